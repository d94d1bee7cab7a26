#include "quant/formats/super_block.h"

namespace hanlin {
namespace {

constexpr int kTries = 9;         // inverse scales tried on each side of the plain one
constexpr int kAffineTries = 20;  // inverse scales tried for types with an offset

// ---- with an offset -------------------------------------------------------------------------------------------------

struct AffineFit {
  float scale = 0, min = 0;  // x ≈ scale·q − min, min ≥ 0
};

// Weighted sums of one assignment q.
struct Sums {
  float q = 0, qq = 0, qx = 0;
};

// Levels under (scale, min) for n values; returns the weighted squared error.
float assign_affine(const float* x, const float* weight, int n, float scale, float min, int q_max, uint8_t* q) {
  const float inverse_scale = inverse(scale);
  float error = 0;
  for (int i = 0; i < n; ++i) {
    const int level = nearest_int((x[i] + min) * inverse_scale, 0, q_max);
    q[i] = static_cast<uint8_t>(level);
    const float delta = scale * static_cast<float>(level) - min - x[i];
    error += weight[i] * delta * delta;
  }
  return error;
}

// Tries a fan of inverse scales; for each assignment of levels the best (scale, min) follows from linear least squares.
AffineFit fit_affine(const float* x, const float* weight, int n, int q_max) {
  float lowest = 0, highest = x[0], sum_w = 0, sum_x = 0, sum_xx = 0;
  for (int i = 0; i < n; ++i) {
    lowest = std::min(lowest, x[i]);
    highest = std::max(highest, x[i]);
    sum_w += weight[i];
    sum_x += weight[i] * x[i];
    sum_xx += weight[i] * x[i] * x[i];
  }
  const float range = highest - lowest;
  if (!(range > 0)) return {0, -lowest};
  AffineFit best{range / static_cast<float>(q_max), -lowest};
  float best_error = INFINITY;
  for (int attempt = 0; attempt <= kAffineTries; ++attempt) {
    const float inverse_scale = (static_cast<float>(q_max) - 1.0f + 0.1f * static_cast<float>(attempt)) / range;
    Sums sums;
    for (int i = 0; i < n; ++i) {
      const float q = static_cast<float>(nearest_int(inverse_scale * (x[i] - lowest), 0, q_max));
      const float wq = weight[i] * q;
      sums.q += wq;
      sums.qq += wq * q;
      sums.qx += wq * x[i];
    }
    const float determinant = sum_w * sums.qq - sums.q * sums.q;
    if (!(determinant > 0)) continue;
    AffineFit fit{(sum_w * sums.qx - sum_x * sums.q) / determinant, (sums.q * sums.qx - sums.qq * sum_x) / determinant};
    if (fit.min < 0) fit = {sums.qx / sums.qq, 0};
    const float error = sum_xx + fit.scale * fit.scale * sums.qq + fit.min * fit.min * sum_w -
                        2 * (fit.scale * fit.min * sums.q + fit.scale * sums.qx - fit.min * sum_x);
    if (error < best_error && fit.scale > 0) {
      best_error = error;
      best = fit;
    }
  }
  return best;
}

// Chooses the integers of one sub-block for fixed d and dmin: the neighbours of the wanted scale and min.
float choose_integers(const PreparedBlock& block, const AffineShape& shape, int b, AffineFit wanted, float d, float dmin, AffineBlock* out) {
  const int n = shape.sub_block;
  const float *x = block.x.data() + b * n, *weight = block.weight.data() + b * n;
  const int scale0 = nearest_int(wanted.scale * inverse(d), 0, shape.scale_max);
  const int min0 = nearest_int(wanted.min * inverse(dmin), 0, shape.scale_max);
  float best_error = INFINITY;
  uint8_t q[32];
  for (int scale = std::max(scale0 - 1, 0); scale <= std::min(scale0 + 1, shape.scale_max); ++scale) {
    for (int min = std::max(min0 - 1, 0); min <= std::min(min0 + 1, shape.scale_max); ++min) {
      const float error = assign_affine(x, weight, n, d * static_cast<float>(scale), dmin * static_cast<float>(min), shape.q_max, q);
      if (error >= best_error) continue;
      best_error = error;
      out->scale[static_cast<size_t>(b)] = static_cast<uint8_t>(scale);
      out->min[static_cast<size_t>(b)] = static_cast<uint8_t>(min);
      std::copy(q, q + n, out->q.data() + b * n);
    }
  }
  return best_error;
}

float choose_all(const PreparedBlock& block, const AffineShape& shape, const AffineFit* wanted, float d, float dmin, AffineBlock* out) {
  out->d = out->dmin = 0;
  const float stored_d = block.stored(d, &out->d), stored_dmin = block.stored(dmin, &out->dmin);
  float error = 0;
  for (int b = 0; b < kSuper / shape.sub_block; ++b) error += choose_integers(block, shape, b, wanted[b], stored_d, stored_dmin, out);
  return error;
}

// The d and dmin that fit the chosen integers best: two linear equations.
bool refit(const PreparedBlock& block, const AffineShape& shape, const AffineBlock& chosen, float* d, float* dmin) {
  double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;  // x ≈ d·a − dmin·b
  for (int i = 0; i < kSuper; ++i) {
    const auto sub = static_cast<size_t>(i / shape.sub_block), at = static_cast<size_t>(i);
    const double a = chosen.scale[sub] * chosen.q[at], b = -static_cast<double>(chosen.min[sub]), w = block.weight[at], x = block.x[at];
    aa += w * a * a;
    ab += w * a * b;
    bb += w * b * b;
    ax += w * a * x;
    bx += w * b * x;
  }
  const double determinant = aa * bb - ab * ab;
  if (determinant > 1e-9 * aa * bb) {
    *d = static_cast<float>((ax * bb - bx * ab) / determinant);
    *dmin = static_cast<float>((bx * aa - ax * ab) / determinant);
  } else if (aa > 0) {
    *d = static_cast<float>(ax / aa);
    *dmin = 0;
  }
  return *d > 0 && *dmin >= 0;
}

// ---- without an offset ----------------------------------------------------------------------------------------------

int level_index(float value, const SymmetricShape& shape) { return shape.index_of[nearest_int(value, -128, 127) + 128]; }

// Weighted projection of x on the levels that an inverse scale assigns: the best scale for them is qx / qq, and it
// takes away qx² / qq of the squared error.
Sums project(const float* x, const float* weight, int n, float inverse_scale, const SymmetricShape& shape) {
  Sums sums;
  for (int i = 0; i < n; ++i) {
    const float level = shape.levels[level_index(inverse_scale * x[i], shape)];
    const float wl = weight[i] * level;
    sums.qx += wl * x[i];
    sums.qq += wl * level;
  }
  return sums;
}

float choose_scales(const PreparedBlock& block, const SymmetricShape& shape, const float* wanted, float d, SymmetricBlock* out) {
  const float stored = block.stored(d, &out->d);
  const int n = shape.sub_block;
  float total = 0;
  uint8_t index[32];
  for (int b = 0; b < kSuper / n; ++b) {
    const int scale0 = nearest_int(wanted[b] * inverse(stored), shape.scale_min, shape.scale_max);
    float best_error = INFINITY;
    for (int scale = std::max(scale0 - 1, shape.scale_min); scale <= std::min(scale0 + 1, shape.scale_max); ++scale) {
      const float error =
          assign_levels(block.x.data() + b * n, block.weight.data() + b * n, n, stored * static_cast<float>(scale), shape, index);
      if (error >= best_error) continue;
      best_error = error;
      out->scale[static_cast<size_t>(b)] = static_cast<int8_t>(scale);
      std::copy(index, index + n, out->index.data() + b * n);
    }
    total += best_error;
  }
  return total;
}

float refit(const PreparedBlock& block, const SymmetricShape& shape, const SymmetricBlock& chosen) {
  double ax = 0, aa = 0;
  for (int i = 0; i < kSuper; ++i) {
    const auto at = static_cast<size_t>(i);
    const double a = chosen.scale[static_cast<size_t>(i / shape.sub_block)] * shape.levels[chosen.index[at]];
    ax += block.weight[at] * a * block.x[at];
    aa += block.weight[at] * a * a;
  }
  return aa > 0 ? static_cast<float>(ax / aa) : 0.0f;
}

}  // namespace

PreparedBlock prepare(const float* src, int n, int sub_block, const float* importance) {
  PreparedBlock block;
  float largest = 0;
  for (int i = 0; i < n; ++i) {
    const float x = clean(src[i]);
    block.x[static_cast<size_t>(i)] = x;
    largest = std::max(largest, std::fabs(x));
  }
  block.zero = largest == 0;
  if (block.zero) return block;
  block.exponent = std::ilogb(largest);
  for (int i = 0; i < n; ++i) block.x[static_cast<size_t>(i)] = std::ldexp(block.x[static_cast<size_t>(i)], -block.exponent);
  float sum_squares = 0;
  for (int i = 0; i < n; ++i) sum_squares += block.x[static_cast<size_t>(i)] * block.x[static_cast<size_t>(i)];
  const float mean_square = sum_squares / static_cast<float>(n);
  for (int start = 0; start < n; start += sub_block) {
    float sub_squares = 0;
    for (int i = start; i < start + sub_block; ++i) sub_squares += block.x[static_cast<size_t>(i)] * block.x[static_cast<size_t>(i)];
    const float typical = std::sqrt(sub_squares / static_cast<float>(sub_block));
    for (int i = start; i < start + sub_block; ++i) {
      const float x = block.x[static_cast<size_t>(i)];
      float weight = typical + std::fabs(x);
      if (importance != nullptr) {
        const float given = importance[i] > 0 && std::isfinite(importance[i]) ? std::min(importance[i], 1e18f) : 0.0f;
        weight = given * std::sqrt(mean_square + x * x);
      }
      block.weight[static_cast<size_t>(i)] = weight;
    }
  }
  return block;
}

AffineBlock encode_affine_super(const PreparedBlock& block, const AffineShape& shape) {
  AffineBlock best;
  if (block.zero) return best;
  AffineFit fits[16];
  float largest_scale = 0, largest_min = 0;
  for (int b = 0; b < kSuper / shape.sub_block; ++b) {
    fits[b] = fit_affine(block.x.data() + b * shape.sub_block, block.weight.data() + b * shape.sub_block, shape.sub_block, shape.q_max);
    largest_scale = std::max(largest_scale, fits[b].scale);
    largest_min = std::max(largest_min, fits[b].min);
  }
  float d = largest_scale / static_cast<float>(shape.scale_max), dmin = largest_min / static_cast<float>(shape.scale_max);
  float best_error = choose_all(block, shape, fits, d, dmin, &best);
  AffineBlock again;
  if (refit(block, shape, best, &d, &dmin) && choose_all(block, shape, fits, d, dmin, &again) < best_error) best = again;
  return best;
}

float best_symmetric_scale(const float* x, const float* weight, int n, const SymmetricShape& shape) {
  float extreme = 0;
  for (int i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  }
  if (std::fabs(extreme) < 1e-30f) return 0;
  float best_scale = extreme / static_cast<float>(shape.levels[0]), best_gain = 0;
  for (const int8_t end : {shape.levels[0], shape.levels[shape.n_levels - 1]}) {  // the extreme may take either end
    for (int attempt = -kTries; attempt <= kTries; ++attempt) {
      const float inverse_scale = (static_cast<float>(end) + shape.step * static_cast<float>(attempt)) / extreme;
      const Sums sums = project(x, weight, n, inverse_scale, shape);
      if (sums.qq > 0 && sums.qx * sums.qx > best_gain * sums.qq) {
        best_gain = sums.qx * sums.qx / sums.qq;
        best_scale = sums.qx / sums.qq;
      }
    }
  }
  return best_scale;
}

float assign_levels(const float* x, const float* weight, int n, float scale, const SymmetricShape& shape, uint8_t* index) {
  const float inverse_scale = inverse(scale);
  float error = 0;
  for (int i = 0; i < n; ++i) {
    index[i] = static_cast<uint8_t>(level_index(inverse_scale * x[i], shape));
    const float delta = scale * static_cast<float>(shape.levels[index[i]]) - x[i];
    error += weight[i] * delta * delta;
  }
  return error;
}

SymmetricBlock encode_symmetric_super(const PreparedBlock& block, const SymmetricShape& shape) {
  SymmetricBlock best;
  const int n_sub = kSuper / shape.sub_block;
  float wanted[16];
  float largest = 0;
  for (int b = 0; b < n_sub && !block.zero; ++b) {
    wanted[b] = best_symmetric_scale(block.x.data() + b * shape.sub_block, block.weight.data() + b * shape.sub_block, shape.sub_block, shape);
    if (std::fabs(wanted[b]) > std::fabs(largest)) largest = wanted[b];
  }
  if (largest == 0) {
    best.index.fill(static_cast<uint8_t>(level_index(0, shape)));
    return best;
  }
  const float error = choose_scales(block, shape, wanted, largest / static_cast<float>(shape.scale_min), &best);
  SymmetricBlock again;
  const float d = refit(block, shape, best);
  if (d != 0 && choose_scales(block, shape, wanted, d, &again) < error) best = again;
  return best;
}

}  // namespace hanlin
