// Small helpers that every format shares: scales as 16-bit floats, clean input, rounding.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "tensor/dtype.h"

namespace hanlin {

constexpr float kMaxHalf = 65504.0f;

inline float load_half(const uint8_t* src) {
  uint16_t bits;
  std::memcpy(&bits, src, 2);
  return f16_to_f32(bits);
}
inline void store_half(uint8_t* dst, float value) {
  const uint16_t bits = f32_to_f16(value);
  std::memcpy(dst, &bits, 2);
}

// A scale that a 16-bit float can hold.
inline float saturated(float scale) { return std::clamp(scale, -kMaxHalf, kMaxHalf); }
// 1/scale; 0 for a scale so small that the quotient is not finite.
inline float inverse(float scale) {
  const float quotient = scale != 0.0f ? 1.0f / scale : 0.0f;
  return std::isfinite(quotient) ? quotient : 0.0f;
}

// Input as encoders want it: NaN → 0, infinities → the largest finite float.
inline float clean(float x) { return std::isnan(x) ? 0.0f : std::clamp(x, -3.0e38f, 3.0e38f); }

// Conversions to int that are defined for every input; the result lies in [lo, hi] (|lo|, |hi| < 2^22).
inline int truncated_int(float x, int lo, int hi) {
  if (!(x > static_cast<float>(lo))) return lo;
  return x < static_cast<float>(hi) ? static_cast<int>(x) : hi;
}
inline int nearest_int(float x, int lo, int hi) {
  x = x > static_cast<float>(lo) ? x : static_cast<float>(lo);
  x = x < static_cast<float>(hi) ? x : static_cast<float>(hi);
  // Adding 1.5 · 2^23 leaves the rounded integer in the low bits of the mantissa (ties to even); vectorises well.
  return static_cast<int>(std::bit_cast<uint32_t>(x + 12582912.0f) & 0x7fffff) - 0x400000;
}

}  // namespace hanlin
