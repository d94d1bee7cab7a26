// Online-softmax attention over tiles of queries (Milakov & Gimelshein 2018; the tiling of FlashAttention), written once
// over a class V of the level's registers: V::kWidth lanes, V::kTileRows and V::kChunks that fit the register file.
//
// Queries (t, h) of the call are rows in order; scratch keeps each row's scaled query, output, maximum and sums. Keys are
// taken in spans of kKeySpan positions. For a tile of rows and a span come first all scores, then all weights, then all
// values: within a phase rows and blocks do not wait for each other, and the values' sums stay in registers.
//   scores: a register holds kWidth keys, the query's components are broadcast: no horizontal sums
//   values: a register holds kWidth of E, the weights are broadcast
// Spans begin at multiples of kKeySpan and a row's own sums never mix with another's, so a row's result does not depend on
// the tile. Keys a row does not see weigh 0; slots that no row of the tile sees are not read as values.
#pragma once

#include "kernels/attention-float-inl.h"
#include "kernels/attention-int8-inl.h"
#include "kernels/rotate-inl.h"
#include "kernels/visible-inl.h"

namespace hanlin::kernels {
namespace {

struct AttentionState {
  int n_rows, padded;  // rows, and E rounded up to 32
  float* q;            // [rows][padded], scaled
  float* out;          // [rows][padded]
  float* maximum;      // [rows]
  float* sum;          // [rows][16] lane sums
  float* weights;      // [kTileRows][kKeySpan] scores, then weights of one tile of rows and one span
  int64_t* begin;      // [rows] visible keys
  int64_t* end;
  Int8State int8;      // with KvType::kQ8_0
};

template <class V>
AttentionState make_state(const AttentionArgs& args) {
  AttentionState s;
  s.n_rows = args.n_tokens * args.n_heads;
  s.padded = (args.head_dim + 31) / 32 * 32;
  float* next = (float*)args.scratch;
  const auto take = [&next](int64_t n) {
    float* at = next;
    next += (n + 15) / 16 * 16;
    return at;
  };
  s.weights = take(V::kTileRows * kKeySpan);
  s.q = take((int64_t)s.n_rows * s.padded);
  s.out = take((int64_t)s.n_rows * s.padded);
  s.sum = take(s.n_rows * 16);
  s.maximum = take(s.n_rows);
  s.begin = (int64_t*)take(s.n_rows * 2);
  s.end = (int64_t*)take(s.n_rows * 2);
  if (args.kv_type == KvType::kQ8_0) {
    const int n_tiles = s.padded / 32;
    s.int8 = {n_tiles, (int16_t*)take((int64_t)s.n_rows * s.padded / 2), take((int64_t)s.n_rows * n_tiles), (int16_t*)take(V::kTileRows * n_tiles * kKeySpan / 2),
              take(V::kTileRows * n_tiles), take(n_tiles * kKeySpan), take(n_tiles), 0, 0};
  }
  memset(s.out, 0, (size_t)s.n_rows * (size_t)s.padded * 4);
  memset(s.sum, 0, (size_t)s.n_rows * 64);
  for (int row = 0; row < s.n_rows; ++row) {
    const int t = row / args.n_heads, h = row % args.n_heads;
    const float* q = args.q + t * args.ldq + (int64_t)h * args.head_dim;
    float* scaled = s.q + (int64_t)row * s.padded;
    for (int e = 0; e < args.head_dim; ++e) scaled[e] = q[e] * args.scale;
    for (int e = args.head_dim; e < s.padded; ++e) scaled[e] = 0;
    if (args.kv_type == KvType::kQ8_0) {
      rotate(scaled, s.padded);
      round_query<V>(scaled, s.int8.n_tiles, s.int8.q + (int64_t)row * s.padded, s.int8.q_scale + (int64_t)row * s.int8.n_tiles);
    }
    s.maximum[row] = -FLT_MAX;
    visible_keys(args, args.first_position + t, &s.begin[row], &s.end[row]);
  }
  return s;
}

// What of the span at `first` rows [row, row + n) see.
inline KeyRange seen_by(const AttentionState& s, int row, int n, int64_t first) {
  int64_t from = kKeySpan, to = 0;
  for (int r = row; r < row + n; ++r) {
    if (s.begin[r] >= s.end[r]) continue;
    if (s.begin[r] - first < from) from = s.begin[r] - first;
    if (s.end[r] - first > to) to = s.end[r] - first;
  }
  return {from < 0 ? 0 : (int)from, to > kKeySpan ? kKeySpan : (int)to};
}

// Masks, caps and turns one row's scores of a span into weights; returns what the earlier output must be multiplied with.
template <class V>
HANLIN_INLINE float row_weights(const AttentionArgs& args, const AttentionState& s, int row, int64_t first, KeyRange tile, float* weights) {
  const int begin = tile.first_block() * kKvBlock, end = tile.end_block() * kKvBlock;
  if (args.softcap > 0) {
    const float inverse = 1.0f / args.softcap;
    for (int j = begin; j < end; ++j) weights[j] = args.softcap * tanh_lane(weights[j] * inverse);
  }
  const int64_t from = s.begin[row] - first, to = s.end[row] - first;
  for (int j = begin; j < end && j < from; ++j) weights[j] = -INFINITY;
  for (int j = to > begin ? (int)to : begin; j < end; ++j) weights[j] = -INFINITY;
  typename V::Reg high[2] = {V::load(weights + begin), V::load(weights + begin + V::kWidth)};
  for (int j = begin + 2 * V::kWidth; j < end; j += 2 * V::kWidth) {
    high[0] = V::max(high[0], V::load(weights + j));
    high[1] = V::max(high[1], V::load(weights + j + V::kWidth));
  }
  const float earlier = s.maximum[row], here = V::max_lane(V::max(high[0], high[1])), maximum = here > earlier ? here : earlier;
  const float correction = maximum > earlier ? exp_lane(earlier - maximum) : 1.0f;
  s.maximum[row] = maximum;
  const typename V::Reg shift = V::set(maximum);
  typename V::Reg total = V::mul(V::load(s.sum + row * 16), V::set(correction));
  for (int j = begin; j < end; j += V::kWidth) {
    const typename V::Reg weight = V::exp(V::sub(V::load(weights + j), shift));
    V::store(weights + j, weight);
    total = V::add(total, weight);
  }
  V::store(s.sum + row * 16, total);
  return correction;
}

// One tile of rows against one span.
template <class V, KvType kType, int kRows>
void tile_span(const AttentionArgs& args, AttentionState& s, int row, int64_t first) {
  const KeyRange seen = seen_by(s, row, kRows, first);
  if (seen.from >= seen.to) return;
  const uint8_t* const* const k_blocks = args.k_blocks + first / kKvBlock;
  const uint8_t* const* const v_blocks = args.v_blocks + first / kKvBlock;
  float* out = s.out + (int64_t)row * s.padded;
  for (int b = seen.first_block(); b < seen.end_block(); ++b) {
    // Two blocks ahead: keys, then the first values.
    const int ahead = b + 2 - seen.end_block();
    const uint8_t* next = ahead < 0 ? k_blocks[b + 2] : v_blocks[seen.first_block() + ahead < seen.end_block() ? seen.first_block() + ahead : seen.first_block()];
    float* scores = s.weights + b * kKvBlock;
    if constexpr (kType == KvType::kQ8_0) int8_scores<V, kRows>(s.int8, row, k_blocks[b], next, scores);
    else block_scores<V, kType, kRows>(s.q + (int64_t)row * s.padded, s.padded, args.head_dim, k_blocks[b], next, scores);
  }
  float corrections[kRows];
  for (int r = 0; r < kRows; ++r) corrections[r] = row_weights<V>(args, s, row + r, first, seen, s.weights + r * kKeySpan);
  if constexpr (kType == KvType::kQ8_0) {
    for (int r = 0; r < kRows; ++r) round_weights<V>(s.weights + r * kKeySpan, seen, seen_by(s, row + r, 1, first), s.int8, r);
    int8_values<V, kRows>(s.int8, corrections, v_blocks, seen, out, s.padded);
  } else {
    span_values<V, kType, kRows>(s.weights, corrections, v_blocks, args.head_dim, seen, out, s.padded);
  }
}

// A tile of n_rows rows, at most kRows.
template <class V, KvType kType, int kRows>
HANLIN_INLINE void tile_of(const AttentionArgs& args, AttentionState& s, int row, int n_rows, int64_t first) {
  if (n_rows == kRows) return tile_span<V, kType, kRows>(args, s, row, first);
  if constexpr (kRows > 1) tile_of<V, kType, kRows - 1>(args, s, row, n_rows, first);
}

// Tiles of about the same height: one row alone would wait for its own sums.
template <class V, KvType kType>
void all_spans(const AttentionArgs& args, AttentionState& s) {
  int64_t begin = args.kv_end, end = args.kv_begin;
  for (int row = 0; row < s.n_rows; ++row) {
    if (s.begin[row] >= s.end[row]) continue;
    if (s.begin[row] < begin) begin = s.begin[row];
    if (s.end[row] > end) end = s.end[row];
  }
  for (int64_t first = begin / kKeySpan * kKeySpan; first < end; first += kKeySpan) {
    if constexpr (kType == KvType::kQ8_0) read_value_scales<V>(args.v_blocks + first / kKvBlock, seen_by(s, 0, s.n_rows, first), &s.int8);
    constexpr int kMost = kType == KvType::kQ8_0 ? V::kInt8TileRows : V::kTileRows;
    const int n_tiles = (s.n_rows + kMost - 1) / kMost;
    for (int tile = 0; tile < n_tiles; ++tile) {
      const int row = s.n_rows * tile / n_tiles;
      tile_of<V, kType, kMost>(args, s, row, s.n_rows * (tile + 1) / n_tiles - row, first);
    }
  }
}

template <class V>
void tiled_attention(const AttentionArgs& args) {
  if (args.n_tokens <= 0 || args.n_heads <= 0) return;
  AttentionState s = make_state<V>(args);
  if (args.kv_type == KvType::kF32) all_spans<V, KvType::kF32>(args, s);
  else if (args.kv_type == KvType::kF16) all_spans<V, KvType::kF16>(args, s);
  else all_spans<V, KvType::kQ8_0>(args, s);
  for (int row = 0; row < s.n_rows; ++row) {
    const int t = row / args.n_heads, h = row % args.n_heads;
    float* out = args.out + t * args.ldo + (int64_t)h * args.head_dim;
    float* row_out = s.out + (int64_t)row * s.padded;
    if (args.kv_type == KvType::kQ8_0) rotate(row_out, s.padded);
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
