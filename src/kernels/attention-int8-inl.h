// Attention over a cache of int8 (KvType::kQ8_0), for attention-tiles-inl.h. Queries and weights are rounded to 16 bits, a
// scale for each row and 32 of what is summed; a product of 32 terms is then an exact integer, two multiplications a lane.
// What that adds to the rounding of the cache itself is a hundredth of it.
//
// A row's weights are multiplied with the scales of the values' tokens before they are rounded. Their range is set by what
// this row sees alone, so that neither later tokens of the block nor other rows reach its result.
#pragma once

#include "kernels/generic-inl.h"

namespace hanlin::kernels {
namespace {

constexpr float kInt16Steps = 32767.0f;

// Room for one call: rounded queries, the rounded weights of one tile of rows, and the scales of one block's values.
struct Int8State {
  int n_tiles;
  int16_t* q;         // [rows][n_tiles][32]
  float* q_scale;     // [rows][n_tiles]
  int16_t* weights;   // [kTileRows][n_tiles][32]
  float* factor;      // [kTileRows][n_tiles]: what integer sums of weights and values must be multiplied with
  float* ratio;       // [n_tiles][32]: scales of the values of tokens [from, to) in steps of unit / 32767, others 0
  float* unit;        // [n_tiles]: the largest of those scales, divided by 32767
  const uint8_t* block;  // whose scales these are
  int from, to;
};

// Rounds one row of scaled queries [n_tiles * 32].
template <class V>
void round_query(const float* q, int n_tiles, int16_t* rounded, float* scale) {
  for (int tile = 0; tile < n_tiles; ++tile, q += 32, rounded += 32) {
    typename V::Reg largest = V::set(0.0f);
    for (int i = 0; i < 32; i += V::kWidth) largest = V::max(largest, V::max(V::load(q + i), V::sub(V::set(0.0f), V::load(q + i))));
    const float amax = V::max_lane(largest);
    const typename V::Reg inverse = V::set(amax < 1e-30f ? 0.0f : kInt16Steps / amax);
    for (int i = 0; i < 32; i += V::kWidth) V::store_int16(rounded + i, V::mul(V::load(q + i), inverse));
    scale[tile] = amax * (1.0f / kInt16Steps);
  }
}

template <class V>
void read_value_scales(const uint8_t* block, int from, int to, Int8State* s) {
  if (s->block == block && s->from == from && s->to == to) return;
  s->block = block, s->from = from, s->to = to;
  const uint8_t* scales = block + (int64_t)s->n_tiles * kKvTileBytes;
  for (int tile = 0; tile < s->n_tiles; ++tile, scales += kKvBlock * 2) {
    float* ratio = s->ratio + tile * kKvBlock;
    for (int j = 0; j < kKvBlock; j += V::kWidth) V::store(ratio + j, V::load_bf16(scales + 2 * j));
    if (from > 0 || to < kKvBlock) {  // other slots may hold anything
      for (int j = 0; j < kKvBlock; ++j) ratio[j] = j >= from && j < to ? ratio[j] : 0.0f;
    }
    typename V::Reg largest = V::load(ratio);
    for (int j = V::kWidth; j < kKvBlock; j += V::kWidth) largest = V::max(largest, V::load(ratio + j));
    const float amax = V::max_lane(largest);
    const typename V::Reg inverse = V::set(amax < 1e-35f ? 0.0f : kInt16Steps / amax);
    for (int j = 0; j < kKvBlock; j += V::kWidth) V::store(ratio + j, V::mul(V::load(ratio + j), inverse));
    s->unit[tile] = amax * (1.0f / kInt16Steps);
  }
}

// Rounds one row's weights [32] for each tile of values.
template <class V>
HANLIN_INLINE void round_weights(const float* weights, const Int8State& s, int r) {
  typename V::Reg largest = V::load(weights);
  HANLIN_UNROLL
  for (int j = V::kWidth; j < kKvBlock; j += V::kWidth) largest = V::max(largest, V::load(weights + j));
  const float amax = V::max_lane(largest);
  const typename V::Reg inverse = V::set(amax < 1e-30f ? 0.0f : 1.0f / amax);
  for (int tile = 0; tile < s.n_tiles; ++tile) {
    int16_t* rounded = s.weights + ((int64_t)r * s.n_tiles + tile) * kKvBlock;
    HANLIN_UNROLL
    for (int j = 0; j < kKvBlock; j += V::kWidth) {
      V::store_int16(rounded + j, V::mul(V::mul(V::load(weights + j), inverse), V::load(s.ratio + tile * kKvBlock + j)));
    }
    s.factor[r * s.n_tiles + tile] = amax * s.unit[tile];
  }
}

// rows [kRows][32] of 16-bit numbers, `lda` from one to the next, times one tile. `finish(column, sums)` gets the sums
// [kRows][2] of 2 * kWidth columns. `next` is prefetched: the tile that the same thread probably reads one block later.
template <class V, int kRows, class Finish>
HANLIN_INLINE void tile_product(const int16_t* rows, int64_t lda, const uint8_t* tile, const uint8_t* next, const Finish& finish) {
  HANLIN_UNROLL
  for (int column = 0; column < 32; column += 2 * V::kWidth) {
    typename V::Ints acc[kRows][2];
    HANLIN_UNROLL
    for (int r = 0; r < kRows; ++r) acc[r][0] = acc[r][1] = V::zero_ints();
    for (int pair = 0; pair < 16; ++pair) {
      const uint8_t* line = tile + pair * 64 + column * 2;
      _mm_prefetch((const char*)next + pair * 64 + column * 2, _MM_HINT_T0);
      const typename V::Ints b0 = V::widen(line), b1 = V::widen(line + 2 * V::kWidth);
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const typename V::Ints a = V::set_pair(rows + r * lda + 2 * pair);
        acc[r][0] = V::dot(acc[r][0], a, b0);
        acc[r][1] = V::dot(acc[r][1], a, b1);
      }
    }
    finish(column, acc);
  }
}

// scores[r][32] of one block.
template <class V, int kRows>
HANLIN_INLINE void int8_scores(const Int8State& s, int row, const uint8_t* block, const uint8_t* next, float* scores) {
  const uint8_t* scales = block + (int64_t)s.n_tiles * kKvTileBytes;
  for (int tile = 0; tile < s.n_tiles; ++tile, scales += kKvBlock * 2) {
    const float* q_scale = s.q_scale + (int64_t)row * s.n_tiles + tile;
    tile_product<V, kRows>(s.q + ((int64_t)row * s.n_tiles + tile) * 32, (int64_t)s.n_tiles * 32, block + tile * kKvTileBytes, next + tile * kKvTileBytes,
                           [&](int column, typename V::Ints (*acc)[2]) __attribute__((always_inline)) {
      HANLIN_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int key = column + half * V::kWidth;
        const typename V::Reg scale = V::load_bf16(scales + 2 * key);
        HANLIN_UNROLL
        for (int r = 0; r < kRows; ++r) {
          float* to = scores + r * kKvBlock + key;
          // An fma always: whether the compiler joins a product and a sum must not depend on the tile.
          const typename V::Reg earlier = tile == 0 ? V::set(0.0f) : V::load(to);
          V::store(to, V::fma(V::mul(V::to_float(acc[r][half]), scale), V::set(q_scale[(int64_t)r * s.n_tiles]), earlier));
        }
      }
    });
  }
}

// out[r][E] = out * correction + weights * values of one block.
template <class V, int kRows>
HANLIN_INLINE void int8_values(const Int8State& s, const float* corrections, const uint8_t* block, const uint8_t* next, float* out, int64_t ldo) {
  for (int tile = 0; tile < s.n_tiles; ++tile) {
    tile_product<V, kRows>(s.weights + tile * 32, (int64_t)s.n_tiles * 32, block + tile * kKvTileBytes, next + tile * kKvTileBytes,
                           [&](int column, typename V::Ints (*acc)[2]) __attribute__((always_inline)) {
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const typename V::Reg correction = V::set(corrections[r]), factor = V::set(s.factor[r * s.n_tiles + tile]);
        HANLIN_UNROLL
        for (int half = 0; half < 2; ++half) {
          float* to = out + r * ldo + tile * 32 + column + half * V::kWidth;
          V::store(to, V::fma(V::to_float(acc[r][half]), factor, V::mul(V::load(to), correction)));
        }
      }
    });
  }
}

}  // namespace
}  // namespace hanlin::kernels
