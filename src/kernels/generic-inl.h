// The element-wise kernels, written once and compiled at every level: plain loops over lanes that the compiler turns into
// that level's vectors. Include it inside no namespace, from one source of a level; everything has internal linkage.
//   Alignment: none. Tails: the same loop with fewer lanes. Errors: exp, tanh and erfc about 2e-7 relative.
#pragma once

#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels/args.h"
#include "kernels/layout.h"

#define HANLIN_INLINE inline __attribute__((always_inline))
// Before a loop over registers: whole register tiles stay in registers only when nothing of the loop is left.
#ifdef __clang__
#define HANLIN_UNROLL _Pragma("unroll")
#else
#define HANLIN_UNROLL _Pragma("GCC unroll 32")
#endif

namespace hanlin::kernels {
namespace {

constexpr int kLanes = 16;

HANLIN_INLINE float bits_to_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

HANLIN_INLINE uint32_t float_to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

inline float bf16_value(uint16_t bits) { return bits_to_float((uint32_t)bits << 16); }

// Nearest even; beyond the range ±65504, so that no infinity enters the cache; NaN stays NaN.
inline uint16_t to_f16(float x) {
  const uint32_t sign = float_to_bits(x) >> 16 & 0x8000;
  float magnitude = fabsf(x);
  if (magnitude != magnitude) return (uint16_t)(sign | 0x7e00);
  magnitude = magnitude > 65504.0f ? 65504.0f : magnitude;
  const uint32_t bits = float_to_bits(magnitude);
  const uint32_t normal = ((bits + 0xfff + (bits >> 13 & 1)) >> 13) - (112u << 10);
  const uint32_t subnormal = float_to_bits(magnitude + 0.5f) - float_to_bits(0.5f);  // 0.5 has steps of 2^-24
  return (uint16_t)(sign | (magnitude < 6.103515625e-5f ? subnormal : normal));
}

// A half that is no infinity or NaN, without branches: the exponent moves to its place by a multiplication.
inline float finite_f16_lane(uint16_t bits) {
  const float magnitude = bits_to_float((uint32_t)(bits & 0x7fff) << 13) * 0x1p112f;
  return bits_to_float(float_to_bits(magnitude) | (uint32_t)(bits & 0x8000) << 16);
}

inline float f16_value(uint16_t bits) {
  const uint32_t sign = (uint32_t)(bits & 0x8000) << 16, magnitude = bits & 0x7fff;
  if (magnitude >= 0x7c00) return bits_to_float(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  // The exponent is moved by a multiplication, which makes subnormals right as well.
  return bits_to_float(sign | float_to_bits(bits_to_float(magnitude << 13) * 0x1p112f));
}

// e^x: 2^n * e^r with |r| <= ln 2 / 2 (Cody-Waite reduction, Taylor to r^7). Underflows to 0, overflows to infinity. Polynomials are
// summed pairwise (Estrin 1960): what bounds these loops is how long each value takes, not how many operations.
HANLIN_INLINE float exp_lane(float x) {
  const float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  const float shifted = x * 1.44269504f + kMagic;
  const float n = shifted - kMagic;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  const float r2 = r * r;
  const float low = (1.66666667e-1f * r + 0.5f) * r2 + (r + 1.0f), high = (1.98412698e-4f * r + 1.38888889e-3f) * r2 + (8.33333333e-3f * r + 4.16666667e-2f);
  const float p = high * (r2 * r2) + low;
  // Two factors, because 2^n alone leaves the exponent range at both ends.
  const int32_t i = (int32_t)(float_to_bits(shifted) - float_to_bits(kMagic));
  const int32_t half = i >> 1;
  return p * bits_to_float((uint32_t)(half + 127) << 23) * bits_to_float((uint32_t)(i - half + 127) << 23);
}

// tanh: odd Taylor polynomial below 0.45, (1 - e) / (1 + e) with e = exp(-2 |x|) above.
HANLIN_INLINE float tanh_lane(float x) {
  const float a = fabsf(x), x2 = x * x;
  float p = -1.45583438e-3f;
  p = p * x2 + 3.59212803e-3f;
  p = p * x2 + -8.86323552e-3f;
  p = p * x2 + 2.18694885e-2f;
  p = p * x2 + -5.39682540e-2f;
  p = p * x2 + 1.33333333e-1f;
  p = p * x2 + -3.33333333e-1f;
  const float small = x + x * x2 * p;
  const float e = exp_lane(-2.0f * a);
  const float large = copysignf((1.0f - e) / (1.0f + e), x);
  return a < 0.45f ? small : large;
}

// erfc of z >= 0: t * exp(-z^2 + P(t)), t = 2 / (2 + z) (Numerical Recipes, erfcc).
HANLIN_INLINE float erfc_lane(float z) {
  const float t = 1.0f / (1.0f + 0.5f * z);
  const float t2 = t * t, t4 = t2 * t2;
  const float p01 = 1.00002368f * t - 1.26551223f, p23 = 0.09678418f * t + 0.37409196f, p45 = 0.27886807f * t - 0.18628806f;
  const float p67 = 1.48851587f * t - 1.13520398f, p89 = 0.17087277f * t - 0.82215223f;
  const float p = (p89 * t4 + (p67 * t2 + p45)) * t4 + (p23 * t2 + p01);
  return t * exp_lane(p - z * z);
}

HANLIN_INLINE float silu_lane(float x) { return x / (1.0f + exp_lane(-x)); }

// x * (1 + tanh(u)) / 2 = x / (1 + exp(-2u)), u = sqrt(2 / pi) * (x + 0.044715 x^3).
HANLIN_INLINE float gelu_tanh_lane(float x) {
  const float u = 0.797884561f * (x + 0.044715f * x * x * x);
  return x / (1.0f + exp_lane(-2.0f * u));
}

// x * erfc(-x / sqrt 2) / 2, which keeps its relative precision for negative x.
HANLIN_INLINE float gelu_erf_lane(float x) {
  const float tail = 0.5f * erfc_lane(fabsf(x) * 0.707106781f);
  return x * (x > 0.0f ? 1.0f - tail : tail);
}

// Sums of lanes, in a fixed order, halves onto each other: the result does not depend on the vector width.
inline float sum_lanes(const float* lanes) {
  double sums[kLanes / 2];
  for (int i = 0; i < kLanes / 2; ++i) sums[i] = (double)lanes[i] + (double)lanes[i + kLanes / 2];
  for (int n = kLanes / 4; n > 0; n /= 2) {
    for (int i = 0; i < n; ++i) sums[i] += sums[i + n];
  }
  return (float)sums[0];
}

template <float (*kFunction)(float)>
HANLIN_INLINE void activate_mul(const float* gate, const float* up, int64_t n, float* y) {
  if (up) {
    for (int64_t i = 0; i < n; ++i) y[i] = kFunction(gate[i]) * up[i];
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = kFunction(gate[i]);
  }
}

// ------------------------------------------------------------------------------------------------- the table's entries

void silu_mul(const float* gate, const float* up, int64_t n, float* y) { activate_mul<silu_lane>(gate, up, n, y); }
void gelu_tanh_mul(const float* gate, const float* up, int64_t n, float* y) { activate_mul<gelu_tanh_lane>(gate, up, n, y); }
void gelu_erf_mul(const float* gate, const float* up, int64_t n, float* y) { activate_mul<gelu_erf_lane>(gate, up, n, y); }

void add(const float* a, const float* b, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}

float dot(const float* a, const float* b, int64_t n) {
  float lanes[kLanes] = {0};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) lanes[j] += a[i + j] * b[i + j];
  }
  for (int j = 0; i < n; ++i, ++j) lanes[j] += a[i] * b[i];
  return sum_lanes(lanes);
}

float max_value(const float* x, int64_t n) {
  float lanes[kLanes];
  for (int j = 0; j < kLanes; ++j) lanes[j] = x[0];
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  }
  for (; i < n; ++i) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
  for (int j = 1; j < kLanes; ++j) lanes[0] = lanes[j] > lanes[0] ? lanes[j] : lanes[0];
  return lanes[0];
}

double sum_exp(const float* x, int64_t n, float shift) {
  double lanes[kLanes] = {0};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    float e[kLanes];
    for (int j = 0; j < kLanes; ++j) e[j] = exp_lane(x[i + j] - shift);
    for (int j = 0; j < kLanes; ++j) lanes[j] += e[j];
  }
  for (int j = 0; i < n; ++i, ++j) lanes[j] += exp_lane(x[i] - shift);
  double sum = 0;
  for (int j = 0; j < kLanes; ++j) sum += lanes[j];
  return sum;
}

void rms_norm(const float* x, const float* weight, float weight_offset, float eps, int64_t d, float* y) {
  const float mean = dot(x, x, d) / (float)d;
  const float factor = 1.0f / sqrtf(mean + eps);
  for (int64_t i = 0; i < d; ++i) y[i] = x[i] * factor * (weight[i] + weight_offset);
}

void layer_norm(const float* x, const float* weight, const float* bias, float eps, int64_t d, float* y) {
  float lanes[kLanes] = {0};
  int64_t i = 0;
  for (; i + kLanes <= d; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) lanes[j] += x[i + j];
  }
  for (int j = 0; i < d; ++i, ++j) lanes[j] += x[i];
  const float mean = sum_lanes(lanes) / (float)d;
  memset(lanes, 0, sizeof lanes);
  for (i = 0; i + kLanes <= d; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) lanes[j] += (x[i + j] - mean) * (x[i + j] - mean);
  }
  for (int j = 0; i < d; ++i, ++j) lanes[j] += (x[i] - mean) * (x[i] - mean);
  const float factor = 1.0f / sqrtf(sum_lanes(lanes) / (float)d + eps);
  if (weight && bias) {
    for (i = 0; i < d; ++i) y[i] = (x[i] - mean) * factor * weight[i] + bias[i];
  } else if (weight) {
    for (i = 0; i < d; ++i) y[i] = (x[i] - mean) * factor * weight[i];
  } else {
    for (i = 0; i < d; ++i) y[i] = (x[i] - mean) * factor + (bias ? bias[i] : 0.0f);
  }
}

void rope(float* x, const float* cos, const float* sin, int64_t n_rot, bool neox) {
  const int64_t half = n_rot / 2;
  if (neox) {
    float* low = x;
    float* high = x + half;
    for (int64_t i = 0; i < half; ++i) {
      const float a = low[i], b = high[i];
      low[i] = a * cos[i] - b * sin[i];
      high[i] = a * sin[i] + b * cos[i];
    }
  } else {
    for (int64_t i = 0; i < half; ++i) {
      const float a = x[2 * i], b = x[2 * i + 1];
      x[2 * i] = a * cos[i] - b * sin[i];
      x[2 * i + 1] = a * sin[i] + b * cos[i];
    }
  }
}

// Numbers of steps tried for a group's largest value. Rounding errors of neighbouring choices are nearly independent, so
// the best of four leaves about 15 % less squared error than the first.
constexpr float kGroupSteps[4] = {127.0f, 126.0f, 125.0f, 124.0f};

// A group in units of its largest magnitude, which is returned: NaN becomes 0, infinities the largest float. Groups whose largest
// value is below 1e-35 count as zeros: 127 / amax would leave the float range.
HANLIN_INLINE float group_in_units(const float* in, float* unit) {
  float amax = 0;
  for (int i = 0; i < kGroup; ++i) unit[i] = in[i] == in[i] ? in[i] : 0.0f;
  for (int i = 0; i < kGroup; ++i) amax = fabsf(unit[i]) > amax ? fabsf(unit[i]) : amax;
  amax = amax > FLT_MAX ? FLT_MAX : amax;
  const float inverse = amax < 1e-35f ? 0.0f : 1.0f / amax;
  for (int i = 0; i < kGroup; ++i) {
    unit[i] *= inverse;
    unit[i] = unit[i] > 1.0f ? 1.0f : unit[i];
    unit[i] = unit[i] < -1.0f ? -1.0f : unit[i];
  }
  return amax < 1e-35f ? 0.0f : amax;
}

void quantize_rows(const float* x, int64_t ldx, int64_t m, int64_t k, int8_t* q, int64_t ldq, float* scale, int32_t* sum) {
  for (int64_t row = 0; row < m; ++row) {
    for (int64_t g = 0; g < k / kGroup; ++g) {
      const float* in = x + row * ldx + g * kGroup;
      int8_t* out = q + row * ldq + g * kGroup;
      float unit[kGroup];
      const float amax = group_in_units(in, unit);
      float best = -1, best_scale = 0;
      int32_t sums[2] = {0, 0};
      for (int c = 0; c < 4; ++c) {
        float rounded[kGroup], xq[8] = {0}, qq[8] = {0};
        // 1.5 * 2^23 leaves the nearest even whole number in the low bits.
        for (int i = 0; i < kGroup; ++i) rounded[i] = (unit[i] * kGroupSteps[c] + 12582912.0f) - 12582912.0f;
        for (int i = 0; i < kGroup; ++i) {
          xq[i % 8] += unit[i] * rounded[i];
          qq[i % 8] += rounded[i] * rounded[i];
        }
        const float cross = ((xq[0] + xq[4]) + (xq[1] + xq[5])) + ((xq[2] + xq[6]) + (xq[3] + xq[7]));
        const float square = ((qq[0] + qq[4]) + (qq[1] + qq[5])) + ((qq[2] + qq[6]) + (qq[3] + qq[7]));
        // The squared error with the best scale, sum(x q) / sum(q q), is sum(x x) - sum(x q)^2 / sum(q q).
        const float explained = square > 0 ? cross * cross / square : 0.0f;
        if (explained <= best) continue;
        best = explained;
        best_scale = square > 0 ? amax * (cross / square) : 0.0f;
        for (int i = 0; i < kGroup; ++i) out[i] = (int8_t)(int32_t)rounded[i];
      }
      for (int i = 0; i < kGroup; ++i) sums[i / 16] += out[i];
      scale[row * (k / kGroup) + g] = best_scale;
      sum[row * (k / 16) + 2 * g] = sums[0];
      sum[row * (k / 16) + 2 * g + 1] = sums[1];
    }
  }
}

[[maybe_unused]] void fill_generic(KernelTable& table) {
  table.quantize_rows = quantize_rows;
  table.rms_norm = rms_norm;
  table.layer_norm = layer_norm;
  table.rope = rope;
  table.add = add;
  table.silu_mul = silu_mul;
  table.gelu_tanh_mul = gelu_tanh_mul;
  table.gelu_erf_mul = gelu_erf_mul;
  table.max_value = max_value;
  table.sum_exp = sum_exp;
  table.dot = dot;
}

}  // namespace
}  // namespace hanlin::kernels
