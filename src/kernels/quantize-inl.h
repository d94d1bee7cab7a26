// What the levels' quantize_rows share: which groups they take together.
#pragma once

#include "kernels/generic-inl.h"

namespace hanlin::kernels {
namespace {

// quantize_rows of args.h by kQuantize(in, out, n, scale, sum) for kBatch groups of 32 inputs at a time; groups of all rows count
// through. The first n of in[kBatch] and out[kBatch] count, the others repeat the first group.
template <int kBatch, auto kQuantize>
void quantize_in_batches(const float* x, int64_t ldx, int64_t m, int64_t k, int8_t* q, int64_t ldq, float* scale, int32_t* sum) {
  const int64_t groups = k / kGroup, total = m * groups;
  const float* in[kBatch];
  int8_t* out[kBatch];
  int64_t row = 0, g = 0;  // of the next group
  for (int64_t first = 0; first < total; first += kBatch) {
    const int n = total - first < kBatch ? (int)(total - first) : kBatch;
    for (int i = 0; i < kBatch; ++i) {
      in[i] = i < n ? x + row * ldx + g * kGroup : in[0];
      out[i] = i < n ? q + row * ldq + g * kGroup : q;
      if (i < n && ++g == groups) {
        g = 0;
        ++row;
      }
    }
    kQuantize(in, out, n, scale + first, sum + 2 * first);
  }
}

}  // namespace
}  // namespace hanlin::kernels
