// Attention over a cache of int8 (KvType::kQ8_0), for attention-tiles-inl.h. Queries and weights are rounded to 16 bits, a
// scale for each row and 32 of what is summed (queries) or for each row and span (weights); a product is then an exact
// integer, two multiplications a lane. What that adds to the rounding of the cache itself is a hundredth of it.
//
// A row's weights are multiplied with the scales of the values' tokens before they are rounded. Their range is set by what
// this row sees alone, so that neither later tokens nor other rows reach its result.
#pragma once

#include "kernels/attention-float-inl.h"

namespace hanlin::kernels {
namespace {

constexpr float kInt16Steps = 32767.0f;  // kKeySpan products of that and 127 still fit into 32 bits
constexpr float kLeast = 1e-30f;         // a largest value below counts as this: its inverse is finite, rounding gives 0

// Room for one call: rounded queries, the rounded weights of one tile of rows, the scales of one span's values.
struct Int8State {
  int n_tiles;
  int16_t* q;        // [rows][n_tiles][32]
  float* q_scale;    // [rows][n_tiles]
  int16_t* weights;  // [kTileRows][n_tiles][kKeySpan]
  float* factor;     // [kTileRows][n_tiles]: what sums of weights and values must be multiplied with
  float* scales;     // [n_tiles][kKeySpan]: of the span's values, 0 where no row sees them
  float* largest;    // [n_tiles]: of the scales of tokens [from, to)
  int from, to;
};

// Rounds one row of scaled queries [n_tiles * 32].
template <class V>
void round_query(const float* q, int n_tiles, int16_t* rounded, float* scale) {
  for (int tile = 0; tile < n_tiles; ++tile, q += 32, rounded += 32) {
    typename V::Reg largest = V::set(kLeast);
    for (int i = 0; i < 32; i += V::kWidth) largest = V::max(largest, V::max(V::load(q + i), V::sub(V::set(0.0f), V::load(q + i))));
    const float amax = V::max_lane(largest);
    const typename V::Reg inverse = V::set(kInt16Steps / amax);
    for (int i = 0; i < 32; i += V::kWidth) V::store_int16(rounded + i, V::mul(V::load(q + i), inverse));
    scale[tile] = amax * (1.0f / kInt16Steps);
  }
}

// The scales of a span's values; `seen` by some row. Other slots may hold anything.
template <class V>
void read_value_scales(const uint8_t* const* blocks, KeyRange seen, Int8State* s) {
  s->from = s->to = -1;
  for (int tile = 0; tile < s->n_tiles; ++tile) {
    float* scales = s->scales + tile * kKeySpan;
    for (int b = seen.first_block(); b < seen.end_block(); ++b) {
      const uint8_t* from = blocks[b] + (int64_t)s->n_tiles * kKvTileBytes + tile * kKvBlock * 2;
      for (int j = 0; j < kKvBlock; j += V::kWidth) V::store(scales + b * kKvBlock + j, V::load_bf16(from + 2 * j));
    }
    for (int j = seen.first_block() * kKvBlock; j < seen.from; ++j) scales[j] = 0;
    for (int j = seen.to; j < seen.end_block() * kKvBlock; ++j) scales[j] = 0;
  }
}

// The largest scales among those that one row sees.
template <class V>
__attribute__((noinline)) void find_largest_scales(KeyRange seen, Int8State* s) {
  s->from = seen.from, s->to = seen.to;
  for (int tile = 0; tile < s->n_tiles; ++tile) {
    const float* scales = s->scales + tile * kKeySpan;
    typename V::Reg largest = V::set(kLeast);
    int j = seen.from;
    for (; j + V::kWidth <= seen.to; j += V::kWidth) largest = V::max(largest, V::load(scales + j));
    float amax = V::max_lane(largest);
    for (; j < seen.to; ++j) amax = scales[j] > amax ? scales[j] : amax;
    s->largest[tile] = amax;
  }
}

// Rounds row r's weights of the keys that the tile of rows sees. They are at most 1.
template <class V>
HANLIN_INLINE void round_weights(const float* weights, KeyRange tile_sees, KeyRange row_sees, Int8State& s, int r) {
  if (s.from != row_sees.from || s.to != row_sees.to) find_largest_scales<V>(row_sees, &s);
  const int begin = tile_sees.first_block() * kKvBlock, end = tile_sees.end_block() * kKvBlock, n_tiles = s.n_tiles;
  int16_t* rounded = s.weights + (int64_t)r * n_tiles * kKeySpan;
  const float* scales = s.scales;
  for (int tile = 0; tile < n_tiles; ++tile, rounded += kKeySpan, scales += kKeySpan) {
    const typename V::Reg inverse = V::set(kInt16Steps / s.largest[tile]);
    for (int j = begin; j < end; j += V::kWidth) V::store_int16(rounded + j, V::mul(V::load(weights + j), V::mul(V::load(scales + j), inverse)));
    s.factor[r * n_tiles + tile] = s.largest[tile] * (1.0f / kInt16Steps);
  }
}

// acc[kRows][2] += 16-bit numbers [kRows][32], `lda` from one row to the next, times 2 * kWidth columns of a tile. `next` is
// prefetched.
template <class V, int kRows>
HANLIN_INLINE void add_tile(const int16_t* rows, int64_t lda, const uint8_t* columns, const uint8_t* next, typename V::Ints (*acc)[2]) {
  HANLIN_UNROLL  // or g++ 12 copies all sums in each round
  for (int pair = 0; pair < 16; ++pair) {
    const uint8_t* line = columns + pair * 64;
    _mm_prefetch((const char*)next + pair * 64, _MM_HINT_T0);
    const typename V::Ints b0 = V::widen(line), b1 = V::widen(line + 2 * V::kWidth);
    HANLIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const typename V::Ints a = V::set_pair(rows + r * lda + 2 * pair);
      acc[r][0] = V::dot(acc[r][0], a, b0);
      acc[r][1] = V::dot(acc[r][1], a, b1);
    }
  }
}

// scores[r * kKeySpan + 0 … 31] of one block. The state comes as a copy, which stores of vectors cannot change: through a
// reference its members would be read again after each.
template <class V, int kRows>
HANLIN_INLINE void int8_scores(const Int8State s, int row, const uint8_t* block, const uint8_t* next, float* scores) {
  const int n_tiles = s.n_tiles;
  const uint8_t* scales = block + (int64_t)n_tiles * kKvTileBytes;
  for (int tile = 0; tile < n_tiles; ++tile, block += kKvTileBytes, next += kKvTileBytes, scales += kKvBlock * 2) {
    const float* q_scale = s.q_scale + (int64_t)row * n_tiles + tile;
    const int16_t* q = s.q + ((int64_t)row * n_tiles + tile) * 32;
    HANLIN_UNROLL
    for (int key = 0; key < kKvBlock; key += 2 * V::kWidth) {
      typename V::Ints acc[kRows][2];
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) acc[r][0] = acc[r][1] = V::zero_ints();
      add_tile<V, kRows>(q, (int64_t)n_tiles * 32, block + key * 2, next + key * 2, acc);
      const typename V::Reg scale[2] = {V::load_bf16(scales + 2 * key), V::load_bf16(scales + 2 * (key + V::kWidth))};
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        HANLIN_UNROLL
        for (int half = 0; half < 2; ++half) {
          float* to = scores + r * kKeySpan + key + half * V::kWidth;
          // An fma always: whether the compiler joins a product and a sum must not depend on the tile.
          const typename V::Reg earlier = tile == 0 ? V::set(0.0f) : V::load(to);
          V::store(to, V::fma(V::mul(V::to_float(acc[r][half]), scale[half]), V::set(q_scale[(int64_t)r * n_tiles]), earlier));
        }
      }
    }
  }
  _mm_prefetch((const char*)next, _MM_HINT_T0);  // its scales
  _mm_prefetch((const char*)next + n_tiles * 64 - 1, _MM_HINT_T0);
}

// out[r][E] = out * correction + weights * values of a span.
template <class V, int kRows>
HANLIN_INLINE void int8_values(const Int8State s, const float* corrections, const uint8_t* const* blocks, KeyRange range, float* out, int64_t ldo) {
  const int n_tiles = s.n_tiles, last = range.end_block() - 1;
  for (int tile = 0; tile < n_tiles; ++tile) {
    HANLIN_UNROLL
    for (int column = 0; column < 32; column += 2 * V::kWidth) {
      const int64_t at = tile * kKvTileBytes + column * 2;
      typename V::Ints acc[kRows][2];
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) acc[r][0] = acc[r][1] = V::zero_ints();
      for (int b = range.first_block(); b <= last; ++b) {
        const uint8_t* next = blocks[b + 2 <= last ? b + 2 : last];
        add_tile<V, kRows>(s.weights + tile * kKeySpan + b * kKvBlock, (int64_t)n_tiles * kKeySpan, blocks[b] + at, next + at, acc);
      }
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const typename V::Reg correction = V::set(corrections[r]), factor = V::set(s.factor[r * n_tiles + tile]);
        HANLIN_UNROLL
        for (int half = 0; half < 2; ++half) {
          float* to = out + r * ldo + tile * 32 + column + half * V::kWidth;
          V::store(to, V::fma(V::to_float(acc[r][half]), factor, V::mul(V::load(to), correction)));
        }
      }
    }
  }
}

}  // namespace
}  // namespace hanlin::kernels
