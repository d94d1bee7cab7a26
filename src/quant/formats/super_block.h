// Search for the scales of block types (K and IQ4): least weighted squared error Σ w (x − decoded)².
//
// All work happens on values divided by a power of two so that the largest magnitude lies in [1, 2): squares neither
// overflow nor vanish, whatever the input. The power returns in the 16-bit scale at the end.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "quant/formats/bytes.h"

namespace hanlin {

constexpr int kSuper = 256;

// 256 (or fewer) input values made ready: x = source / 2^exponent, with the weight of each value's error.
struct PreparedBlock {
  std::array<float, kSuper> x;
  std::array<float, kSuper> weight;
  int exponent = 0;
  bool zero = true;  // nothing but zeros

  // The value a 16-bit float stores for `scale` (given in prepared units), back in prepared units.
  float stored(float scale, uint16_t* bits) const {
    *bits = f32_to_f16(saturated(std::ldexp(scale, exponent)));
    return std::ldexp(f16_to_f32(*bits), -exponent);
  }
};

// Weights without importance are rms of the sub-block + |x|: large weights of a network matter more, yet not so much that
// the small ones drown (with x² the divergence from the exact model was larger for IQ4_NL and Q6_K).
PreparedBlock prepare(const float* src, int n, int sub_block, const float* importance);

// Types with an offset: x ≈ d·scale[b]·q − dmin·min[b].
struct AffineShape {
  int sub_block;  // values per scale
  int q_max;      // levels 0 … q_max
  int scale_max;  // scales and mins 0 … scale_max
};
struct AffineBlock {
  uint16_t d = 0, dmin = 0;  // 16-bit floats
  std::array<uint8_t, 16> scale{}, min{};
  std::array<uint8_t, kSuper> q{};
};
AffineBlock encode_affine_super(const PreparedBlock& block, const AffineShape& shape);

// Types without: x ≈ d·scale[b]·level[index]. The levels are a table; the index of the level nearest to a value comes
// from `index_of` (value rounded to an integer and offset by 128).
struct SymmetricShape {
  int sub_block;
  int scale_min, scale_max;
  const int8_t* levels;       // ascending, levels[0] < 0
  int n_levels;
  const uint8_t* index_of;    // 256 entries
  float step;                 // distance of the inverse scales that are tried, in levels
};
struct SymmetricBlock {
  uint16_t d = 0;
  std::array<int8_t, 16> scale{};
  std::array<uint8_t, kSuper> index{};
};
SymmetricBlock encode_symmetric_super(const PreparedBlock& block, const SymmetricShape& shape);

// The best scale for n values alone, and their levels under it (IQ4_NL, which has no super-block).
float best_symmetric_scale(const float* x, const float* weight, int n, const SymmetricShape& shape);
// Index of the nearest level for each value; returns the weighted squared error under that scale.
float assign_levels(const float* x, const float* weight, int n, float scale, const SymmetricShape& shape, uint8_t* index);

// index_of for ascending levels.
template <size_t kLevels>
constexpr std::array<uint8_t, 256> nearest_level_table(const std::array<int8_t, kLevels>& levels) {
  std::array<uint8_t, 256> table{};
  for (int value = -128; value < 128; ++value) {
    size_t best = 0;
    for (size_t i = 1; i < kLevels; ++i) {
      const int distance = value > levels[i] ? value - levels[i] : levels[i] - value;
      const int best_distance = value > levels[best] ? value - levels[best] : levels[best] - value;
      if (distance < best_distance) best = i;
    }
    table[static_cast<size_t>(value + 128)] = static_cast<uint8_t>(best);
  }
  return table;
}

}  // namespace hanlin
