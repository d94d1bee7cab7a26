// The rotation of an int8 cache's keys and values, and of the queries that meet them.
#pragma once

#include "kernels/generic-inl.h"

namespace hanlin::kernels {
namespace {

constexpr int64_t kMaxOrder = 256;

// How many of a head's `width` components, a multiple of 32, are rotated together: the largest power of two that divides them.
constexpr int64_t rotation_order(int64_t width) {
  const int64_t order = width & -width;
  return order < kMaxOrder ? order : kMaxOrder;
}

// Multiplies each rotation_order(n) of the n components of x by the Hadamard matrix of that order (Sylvester's) over its root. It is
// orthogonal and its own inverse: products of two rotated vectors are those of the vectors. Single large components are
// spread over the others, so that rounding 32 of them in steps of one size loses less (QuaRot, Ashkboos et al. 2024).
inline void rotate(float* x, int64_t n) {
  typedef float Lanes __attribute__((vector_size(32)));
  const Lanes minus4 = {1, 1, 1, 1, -1, -1, -1, -1}, minus2 = {1, 1, -1, -1, 1, 1, -1, -1}, minus1 = {1, -1, 1, -1, 1, -1, 1, -1};
  const int64_t order = rotation_order(n);
  const float factor = 1.0f / sqrtf((float)order);
  for (int64_t i = 0; i < n; i += 8) {
    Lanes a;
    memcpy(&a, x + i, sizeof a);
    a = a * minus4 + __builtin_shufflevector(a, a, 4, 5, 6, 7, 0, 1, 2, 3);
    a = a * minus2 + __builtin_shufflevector(a, a, 2, 3, 0, 1, 6, 7, 4, 5);
    a = a * minus1 + __builtin_shufflevector(a, a, 1, 0, 3, 2, 5, 4, 7, 6);
    a *= factor;
    memcpy(x + i, &a, sizeof a);
  }
  for (int64_t half = 8; half < order; half *= 2) {
    for (int64_t i = 0; i < n; i = (i + 8) & half ? i + 8 + half : i + 8) {
      Lanes a, b;
      memcpy(&a, x + i, sizeof a);
      memcpy(&b, x + i + half, sizeof b);
      const Lanes sum = a + b, difference = a - b;
      memcpy(x + i, &sum, sizeof sum);
      memcpy(x + i + half, &difference, sizeof difference);
    }
  }
}

}  // namespace
}  // namespace hanlin::kernels
