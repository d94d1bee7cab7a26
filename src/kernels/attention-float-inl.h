// Attention over a cache of floats or halves, for attention-tiles-inl.h: scores of a block, values of a span.
#pragma once

#include "kernels/generic-inl.h"

namespace hanlin::kernels {
namespace {

// Keys [from, to) of a span, of which somebody sees some; empty: from >= to.
struct KeyRange {
  int from, to;
  int first_block() const { return from / kKvBlock; }
  int end_block() const { return (to + kKvBlock - 1) / kKvBlock; }
};

template <class V, KvType kType>
HANLIN_INLINE typename V::Reg load_stored(const uint8_t* at) {
  if constexpr (kType == KvType::kF32) return V::load((const float*)at);
  else return V::load_f16(at);
}

// Sums of a row in registers. With few rows there is room for more, and without them sums would wait for each other.
template <class V, int kRows>
constexpr int registers_of_a_row() { return 2 * kRows <= V::kTileRows ? 2 * V::kChunks : V::kChunks; }

// sum(h, i) += held(h) * other(i). The first are held in registers, the others come one at a time.
template <class V, int kHeld, int kOthers, class Held, class Other, class Sum>
HANLIN_INLINE void add_held(const Held& held, const Other& other, const Sum& sum) {
  typename V::Reg registers[kHeld];
  HANLIN_UNROLL
  for (int h = 0; h < kHeld; ++h) registers[h] = held(h);
  HANLIN_UNROLL
  for (int i = 0; i < kOthers; ++i) {
    const typename V::Reg one = other(i);
    HANLIN_UNROLL
    for (int h = 0; h < kHeld; ++h) sum(h, i) = V::fma(registers[h], one, sum(h, i));
  }
}

// sums[r][c] += row(r) * column(c); the fewer of the two are held.
template <class V, int kRows, int kColumns, class Row, class Column>
HANLIN_INLINE void add_products(const Row& row, const Column& column, typename V::Reg (*sums)[kColumns]) {
  if constexpr (kRows < kColumns) add_held<V, kRows, kColumns>(row, column, [&](int r, int c) -> auto& { return sums[r][c]; });
  else add_held<V, kColumns, kRows>(column, row, [&](int c, int r) -> auto& { return sums[r][c]; });
}

// scores[r * kKeySpan + 0 … 31] of one block. `next` is prefetched line by line.
template <class V, KvType kType, int kRows>
HANLIN_INLINE void block_scores(const float* q, int64_t ldq, int head_dim, const uint8_t* block, const uint8_t* next, float* scores) {
  constexpr int64_t kBytes = kType == KvType::kF32 ? 4 : 2, kLine = kKvBlock * kBytes;
  constexpr int kFit = registers_of_a_row<V, kRows>(), kRegs = kFit < kKvBlock / V::kWidth ? kFit : kKvBlock / V::kWidth;
  HANLIN_UNROLL
  for (int key = 0; key < kKvBlock; key += kRegs * V::kWidth) {
    typename V::Reg acc[kRows][kRegs];
    HANLIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      HANLIN_UNROLL
      for (int c = 0; c < kRegs; ++c) acc[r][c] = V::set(0.0f);
    }
    for (int64_t e = 0; e < head_dim; ++e) {
      const uint8_t* line = block + e * kLine + key * kBytes;
      HANLIN_UNROLL
      for (int64_t at = 0; at < kRegs * V::kWidth * kBytes; at += 64) _mm_prefetch((const char*)next + e * kLine + key * kBytes + at, _MM_HINT_T0);
      add_products<V, kRows, kRegs>([&](int r) { return V::set(q[r * ldq + e]); },
                                    [&](int c) { return load_stored<V, kType>(line + c * V::kWidth * kBytes); }, acc);
    }
    HANLIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      HANLIN_UNROLL
      for (int c = 0; c < kRegs; ++c) V::store(scores + r * kKeySpan + key + c * V::kWidth, acc[r][c]);
    }
  }
}

// out[r][e … e + kWidth * kChunks) = out * correction + sum over the range's keys of weight * value. With kPartial only
// `n_lanes` components are left (then kChunks is 1).
template <class V, KvType kType, int kRows, int kChunks, bool kPartial>
HANLIN_INLINE void add_values(const float* weights, const float* corrections, const uint8_t* const* blocks, int head_dim, int e, KeyRange range,
                              int n_lanes, float* out, int64_t ldo) {
  constexpr int64_t kBytes = kType == KvType::kF32 ? 4 : 2;
  typename V::Reg acc[kRows][kChunks];
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    HANLIN_UNROLL
    for (int c = 0; c < kChunks; ++c) acc[r][c] = V::mul(V::load(out + r * ldo + e + V::kWidth * c), V::set(corrections[r]));
  }
  for (int b = range.first_block(); b < range.end_block(); ++b) {
    const int first = b * kKvBlock, from = range.from > first ? range.from - first : 0, to = range.to - first < kKvBlock ? range.to - first : kKvBlock;
    const uint8_t* next = b + 1 < range.end_block() ? blocks[b + 1] : blocks[b];
    for (int j = from; j < to; ++j) {
      const int64_t at = ((int64_t)j * head_dim + e) * kBytes;
      const uint8_t* values = blocks[b] + at;
      alignas(64) uint8_t copy[kPartial ? V::kWidth * kBytes : 1];
      if constexpr (kPartial) {
        memset(copy, 0, sizeof copy);
        memcpy(copy, values, (size_t)(n_lanes * kBytes));
        values = copy;
      } else {
        HANLIN_UNROLL
        for (int64_t line = 0; line < V::kWidth * kChunks * kBytes; line += 64) _mm_prefetch((const char*)next + at + line, _MM_HINT_T0);
      }
      add_products<V, kRows, kChunks>([&](int r) { return V::set(weights[r * kKeySpan + first + j]); },
                                      [&](int c) { return load_stored<V, kType>(values + V::kWidth * c * kBytes); }, acc);
    }
  }
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    HANLIN_UNROLL
    for (int c = 0; c < kChunks; ++c) V::store(out + r * ldo + e + V::kWidth * c, acc[r][c]);
  }
}

// The same over all of E.
template <class V, KvType kType, int kRows>
HANLIN_INLINE void span_values(const float* weights, const float* corrections, const uint8_t* const* blocks, int head_dim, KeyRange range, float* out,
                               int64_t ldo) {
  constexpr int kChunks = registers_of_a_row<V, kRows>(), kStep = V::kWidth * kChunks;
  int e = 0;
  for (; e + kStep <= head_dim; e += kStep) {
    add_values<V, kType, kRows, kChunks, false>(weights, corrections, blocks, head_dim, e, range, 0, out, ldo);
  }
  for (; e + V::kWidth <= head_dim; e += V::kWidth) {
    add_values<V, kType, kRows, 1, false>(weights, corrections, blocks, head_dim, e, range, 0, out, ldo);
  }
  if (e < head_dim) {
    add_values<V, kType, kRows, 1, true>(weights, corrections, blocks, head_dim, e, range, head_dim - e, out, ldo);
  }
}

}  // namespace
}  // namespace hanlin::kernels
