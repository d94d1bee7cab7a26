// Online-softmax attention over tiles of queries (Milakov & Gimelshein 2018; the tiling of FlashAttention), written once
// over a class V of the level's registers: V::kWidth lanes, V::kTileRows and V::kChunks that fit the register file.
//
// Queries (t, h) of the call are rows in order; scratch keeps each row's scaled query, output, maximum and sums. The outer
// loop runs over blocks of 32 keys, which stay in L1 while all tiles of rows use them.
//   scores: a register holds kWidth keys, the query's components are broadcast: no horizontal sums
//   values: a register holds kWidth of E, the weights are broadcast
// Blocks are visited in order and a row's own sums never mix with another's, so a row's result does not depend on the
// tile. Keys a row does not see weigh 0; slots that no row of the tile sees are not read as values.
#pragma once

#include "kernels/attention-int8-inl.h"
#include "kernels/generic-inl.h"
#include "kernels/visible-inl.h"

namespace hanlin::kernels {
namespace {

struct AttentionState {
  int n_rows, padded;  // rows, and E rounded up to 32
  float* q;            // [rows][padded], scaled
  float* out;          // [rows][padded]
  float* maximum;      // [rows]
  float* sum;          // [rows][16] lane sums
  float* weights;      // [kTileRows][32] scores, then weights of one tile and block
  int64_t* begin;      // [rows] visible keys
  int64_t* end;
  Int8State int8;      // with KvType::kQ8_0
};

template <class V>
AttentionState make_state(const AttentionArgs& args) {
  AttentionState s;
  s.n_rows = args.n_tokens * args.n_heads;
  s.padded = (args.head_dim + 31) / 32 * 32;
  const int rows = (s.n_rows + V::kTileRows - 1) / V::kTileRows * V::kTileRows;
  float* next = (float*)args.scratch;
  const auto take = [&next](int64_t n) {
    float* at = next;
    next += (n + 15) / 16 * 16;
    return at;
  };
  s.weights = take(V::kTileRows * kKvBlock);
  s.q = take((int64_t)rows * s.padded);
  s.out = take((int64_t)rows * s.padded);
  s.sum = take(rows * 16);
  s.maximum = take(rows);
  s.begin = (int64_t*)take(rows * 2);
  s.end = (int64_t*)take(rows * 2);
  if (args.kv_type == KvType::kQ8_0) {
    const int n_tiles = s.padded / 32;
    s.int8 = {n_tiles, (int16_t*)take((int64_t)rows * s.padded / 2), take((int64_t)rows * n_tiles), (int16_t*)take(V::kTileRows * s.padded / 2),
              take(V::kTileRows * n_tiles), take(s.padded), take(n_tiles), NULL, 0, 0};
  }
  memset(s.out, 0, (size_t)rows * (size_t)s.padded * 4);
  memset(s.sum, 0, (size_t)rows * 64);
  for (int row = 0; row < rows; ++row) {
    const int source = row < s.n_rows ? row : s.n_rows - 1;  // padding rows repeat the last one and are not stored
    const int t = source / args.n_heads, h = source % args.n_heads;
    const float* q = args.q + t * args.ldq + (int64_t)h * args.head_dim;
    float* scaled = s.q + (int64_t)row * s.padded;
    for (int e = 0; e < args.head_dim; ++e) scaled[e] = q[e] * args.scale;
    for (int e = args.head_dim; e < s.padded; ++e) scaled[e] = 0;
    if (args.kv_type == KvType::kQ8_0) {
      round_query<V>(scaled, s.int8.n_tiles, s.int8.q + (int64_t)row * s.padded, s.int8.q_scale + (int64_t)row * s.int8.n_tiles);
    }
    s.maximum[row] = -FLT_MAX;
    visible_keys(args, args.first_position + t, &s.begin[row], &s.end[row]);
  }
  return s;
}

template <class V, KvType kType>
HANLIN_INLINE typename V::Reg load_stored(const uint8_t* at) {
  if constexpr (kType == KvType::kF32) return V::load((const float*)at);
  else return V::load_f16(at);
}

// scores[r][32] of one block. `next` is the block that comes after; it is prefetched line by line.
template <class V, KvType kType, int kRows>
HANLIN_INLINE void block_scores(const float* q, int64_t ldq, int head_dim, const uint8_t* block, const uint8_t* next, float* scores) {
  constexpr int64_t kBytes = kType == KvType::kF32 ? 4 : 2, kLine = kKvBlock * kBytes;
  HANLIN_UNROLL
  for (int key = 0; key < kKvBlock; key += 2 * V::kWidth) {
    typename V::Reg acc[kRows][2];
    HANLIN_UNROLL
    for (int r = 0; r < kRows; ++r) acc[r][0] = acc[r][1] = V::set(0.0f);
    for (int64_t e = 0; e < head_dim; ++e) {
      const uint8_t* line = block + e * kLine + key * kBytes;
      _mm_prefetch((const char*)next + e * kLine + key * kBytes, _MM_HINT_T0);
      if constexpr (2 * V::kWidth * kBytes > 64) _mm_prefetch((const char*)next + e * kLine + key * kBytes + 64, _MM_HINT_T0);
      const typename V::Reg k0 = load_stored<V, kType>(line), k1 = load_stored<V, kType>(line + V::kWidth * kBytes);
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const typename V::Reg component = V::set(q[r * ldq + e]);
        acc[r][0] = V::fma(component, k0, acc[r][0]);
        acc[r][1] = V::fma(component, k1, acc[r][1]);
      }
    }
    HANLIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      V::store(scores + r * kKvBlock + key, acc[r][0]);
      V::store(scores + r * kKvBlock + key + V::kWidth, acc[r][1]);
    }
  }
}

// Masks, caps and turns one row's 32 scores into weights; returns what the earlier output must be multiplied with.
template <class V>
HANLIN_INLINE float row_weights(const AttentionArgs& args, const AttentionState& s, int row, int64_t first, float* weights) {
  if (args.softcap > 0) {
    const float inverse = 1.0f / args.softcap;
    for (int j = 0; j < kKvBlock; ++j) weights[j] = args.softcap * tanh_lane(weights[j] * inverse);
  }
  const int64_t from = s.begin[row] - first, to = s.end[row] - first;
  if (from > 0 || to < kKvBlock) {
    for (int j = 0; j < kKvBlock; ++j) weights[j] = j >= from && j < to ? weights[j] : -INFINITY;
  }
  typename V::Reg highest = V::load(weights);
  HANLIN_UNROLL
  for (int j = V::kWidth; j < kKvBlock; j += V::kWidth) highest = V::max(highest, V::load(weights + j));
  float correction = 1.0f;
  if (V::any_greater(highest, s.maximum[row])) {
    float lanes[V::kWidth], maximum = s.maximum[row];
    V::store(lanes, highest);
    for (int j = 0; j < V::kWidth; ++j) maximum = lanes[j] > maximum ? lanes[j] : maximum;
    correction = exp_lane(s.maximum[row] - maximum);
    s.maximum[row] = maximum;
  }
  const typename V::Reg shift = V::set(s.maximum[row]);
  typename V::Reg total = V::mul(V::load(s.sum + row * 16), V::set(correction));
  HANLIN_UNROLL
  for (int j = 0; j < kKvBlock; j += V::kWidth) {
    const typename V::Reg weight = V::exp(V::sub(V::load(weights + j), shift));
    V::store(weights + j, weight);
    total = V::add(total, weight);
  }
  V::store(s.sum + row * 16, total);
  return correction;
}

// out[r][e … e + kWidth * kChunks) = out * correction + sum over keys [from, to) of weight * value. With kPartial only
// `n_lanes` components are left (then kChunks is 1).
template <class V, KvType kType, int kRows, int kChunks, bool kPartial>
HANLIN_INLINE void add_values(const float* weights, const float* corrections, const uint8_t* block, int head_dim, int e, int from, int to,
                              int n_lanes, float* out, int64_t ldo) {
  constexpr int64_t kBytes = kType == KvType::kF32 ? 4 : 2;
  typename V::Reg acc[kRows][kChunks];
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    HANLIN_UNROLL
    for (int c = 0; c < kChunks; ++c) acc[r][c] = V::mul(V::load(out + r * ldo + e + V::kWidth * c), V::set(corrections[r]));
  }
  for (int j = from; j < to; ++j) {
    const uint8_t* line = block + ((int64_t)j * head_dim + e) * kBytes;
    typename V::Reg values[kChunks];
    if constexpr (kPartial) {
      alignas(64) uint8_t copy[V::kWidth * kBytes] = {0};
      memcpy(copy, line, (size_t)(n_lanes * kBytes));
      values[0] = load_stored<V, kType>(copy);
    } else {
      HANLIN_UNROLL
      for (int c = 0; c < kChunks; ++c) values[c] = load_stored<V, kType>(line + V::kWidth * c * kBytes);
    }
    HANLIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const typename V::Reg weight = V::set(weights[r * kKvBlock + j]);
      HANLIN_UNROLL
      for (int c = 0; c < kChunks; ++c) acc[r][c] = V::fma(weight, values[c], acc[r][c]);
    }
  }
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    HANLIN_UNROLL
    for (int c = 0; c < kChunks; ++c) V::store(out + r * ldo + e + V::kWidth * c, acc[r][c]);
  }
}

// The same over all of E, from floats or halves.
template <class V, KvType kType, int kRows>
HANLIN_INLINE void block_values(const AttentionState& s, const float* corrections, const uint8_t* values, int head_dim, int from, int to, float* out) {
  constexpr int kChunks = kRows == V::kTileRows ? V::kChunks : 2 * V::kChunks, kStep = V::kWidth * kChunks;
  int e = 0;
  for (; e + kStep <= head_dim; e += kStep) {
    add_values<V, kType, kRows, kChunks, false>(s.weights, corrections, values, head_dim, e, from, to, 0, out, s.padded);
  }
  for (; e + V::kWidth <= head_dim; e += V::kWidth) {
    add_values<V, kType, kRows, 1, false>(s.weights, corrections, values, head_dim, e, from, to, 0, out, s.padded);
  }
  if (e < head_dim) {
    add_values<V, kType, kRows, 1, true>(s.weights, corrections, values, head_dim, e, from, to, head_dim - e, out, s.padded);
  }
}

// One tile of rows against one block.
template <class V, KvType kType, int kRows>
void tile_block(const AttentionArgs& args, AttentionState& s, int row, int64_t first) {
  int64_t from = kKvBlock, to = 0;  // the keys that some row sees
  for (int r = row; r < row + kRows; ++r) {
    if (s.begin[r] - first < from) from = s.begin[r] - first;
    if (s.end[r] - first > to) to = s.end[r] - first;
  }
  if (from < 0) from = 0;
  if (to > kKvBlock) to = kKvBlock;
  if (from >= to) return;
  const int64_t b = first / kKvBlock, next = first + kKvBlock < args.kv_end ? b + 1 : b;
  float* out = s.out + (int64_t)row * s.padded;
  if constexpr (kType == KvType::kQ8_0) int8_scores<V, kRows>(s.int8, row, args.k_blocks[b], args.k_blocks[next], s.weights);
  else block_scores<V, kType, kRows>(s.q + (int64_t)row * s.padded, s.padded, args.head_dim, args.k_blocks[b], args.k_blocks[next], s.weights);
  float corrections[kRows];
  for (int r = 0; r < kRows; ++r) {
    corrections[r] = row_weights<V>(args, s, row + r, first, s.weights + r * kKvBlock);
    if constexpr (kType == KvType::kQ8_0) {
      const int64_t row_from = s.begin[row + r] - first, row_to = s.end[row + r] - first;
      read_value_scales<V>(args.v_blocks[b], row_from < 0 ? 0 : (int)row_from, row_to > kKvBlock ? kKvBlock : (int)row_to, &s.int8);
      round_weights<V>(s.weights + r * kKvBlock, s.int8, r);
    }
  }
  if constexpr (kType == KvType::kQ8_0) int8_values<V, kRows>(s.int8, corrections, args.v_blocks[b], args.v_blocks[next], out, s.padded);
  else block_values<V, kType, kRows>(s, corrections, args.v_blocks[b], args.head_dim, (int)from, (int)to, out);
}

template <class V, KvType kType>
void all_blocks(const AttentionArgs& args, AttentionState& s) {
  int64_t begin = args.kv_end, end = args.kv_begin;
  for (int row = 0; row < s.n_rows; ++row) {
    if (s.begin[row] >= s.end[row]) continue;
    if (s.begin[row] < begin) begin = s.begin[row];
    if (s.end[row] > end) end = s.end[row];
  }
  for (int64_t first = begin / kKvBlock * kKvBlock; first < end; first += kKvBlock) {
    for (int row = 0; row < s.n_rows; row += V::kTileRows) {
      const int left = s.n_rows - row;
      if (left > V::kTileRows / 2) tile_block<V, kType, V::kTileRows>(args, s, row, first);
      else if (left > 2) tile_block<V, kType, V::kTileRows / 2>(args, s, row, first);
      else if (left > 1) tile_block<V, kType, 2>(args, s, row, first);
      else tile_block<V, kType, 1>(args, s, row, first);
    }
  }
}

template <class V>
void tiled_attention(const AttentionArgs& args) {
  if (args.n_tokens <= 0 || args.n_heads <= 0) return;
  AttentionState s = make_state<V>(args);
  if (args.kv_type == KvType::kF32) all_blocks<V, KvType::kF32>(args, s);
  else if (args.kv_type == KvType::kF16) all_blocks<V, KvType::kF16>(args, s);
  else all_blocks<V, KvType::kQ8_0>(args, s);
  for (int row = 0; row < s.n_rows; ++row) {
    const int t = row / args.n_heads, h = row % args.n_heads;
    float* out = args.out + t * args.ldo + (int64_t)h * args.head_dim;
    const float* row_out = s.out + (int64_t)row * s.padded;
    const float sum = sum_lanes(s.sum + row * 16);
    const float factor = sum > 0 ? 1.0f / sum : 0.0f;
    for (int e = 0; e < args.head_dim; ++e) out[e] = row_out[e] * factor;
    if (args.stats) {
      args.stats[2 * row] = s.maximum[row];
      args.stats[2 * row + 1] = sum;
    }
  }
}

}  // namespace
}  // namespace hanlin::kernels
