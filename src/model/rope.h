// Angle tables of rotary embeddings. Su et al. 2021, "RoFormer".
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/spec.h"

namespace hanlin {

// Inverse frequencies, double precision: angle of pair i at position p is p · result[i]; [n_rot/2].
// `length`: tokens known when the request started; only dynamic scaling looks at it.
std::vector<double> rope_frequencies(const RopeSpec& spec, int64_t length);
// What cos and sin are multiplied by (YaRN's temperature; otherwise 1).
double rope_attention_factor(const RopeSpec& spec);

// What keys that share the bias `bias` [heads, head_dim] have in common behind rotation: the mean of the rotated bias over positions
// 0 … n_positions - 1. `neox` as Backend::rope.
std::vector<float> mean_rotated_bias(std::span<const float> bias, int64_t head_dim, const RopeSpec& spec, bool neox, int64_t n_positions);

// Cosines and sines, computed in double once per position and kept. One thread.
class RopeTable {
 public:
  explicit RopeTable(RopeSpec spec);
  int64_t n_rot() const { return spec_.n_rot; }
  // Writes rows for positions first … first + n - 1: cos, sin [n, n_rot/2].
  void fill(int64_t first, int64_t n, int64_t length, float* cos, float* sin);

 private:
  void compute(const std::vector<double>& frequencies, int64_t first, int64_t n, float* cos, float* sin) const;
  RopeSpec spec_;
  double factor_;
  std::vector<double> frequencies_;
  std::vector<float> cos_, sin_;  // rows of positions seen so far; unused with dynamic scaling
};

}  // namespace hanlin
