// Online-softmax attention. Queries (t, h) of the call are rows in order; scratch keeps each row's scaled query, output,
// maximum and sums. The outer loop runs over blocks of 32 keys, which stay in L1 while all tiles of 8 (or 4, 2, 1) rows
// use them.
//   scores: a register holds 16 keys, the query's values are broadcast: no horizontal sums
//   values: a register holds 16 of E, the weights are broadcast
// Blocks are visited in order and a row's own sums never mix with another's, so a row's result does not depend on the
// tile. Keys a row does not see weigh 0; slots that no row of the tile sees are not read as values.
#include "kernels/avx512/math.h"
#include "kernels/fill.h"
#include "kernels/visible-inl.h"

namespace hanlin::kernels {
namespace {

constexpr int kTileRows = 8;

// Rows of scratch; `padded` is E rounded up to 16.
struct State {
  int n_rows, padded;
  float* q;        // [rows][padded], scaled
  float* out;      // [rows][padded]
  float* maximum;  // [rows]
  float* sum;      // [rows][16] lane sums
  float* weights;  // [kTileRows][32]
  int64_t* begin;  // [rows] visible keys
  int64_t* end;
};

State make_state(const AttentionArgs& args) {
  State s;
  s.n_rows = args.n_tokens * args.n_heads;
  s.padded = (args.head_dim + 15) / 16 * 16;
  const int rows = (s.n_rows + kTileRows - 1) / kTileRows * kTileRows;
  float* next = (float*)args.scratch;
  const auto take = [&next](int64_t n) {
    float* at = next;
    next += (n + 15) / 16 * 16;
    return at;
  };
  s.weights = take(kTileRows * kKvBlock);
  s.q = take((int64_t)rows * s.padded);
  s.out = take((int64_t)rows * s.padded);
  s.sum = take(rows * 16);
  s.maximum = take(rows);
  s.begin = (int64_t*)take(rows * 2);
  s.end = (int64_t*)take(rows * 2);
  const __m512 scale = _mm512_set1_ps(args.scale);
  for (int row = 0; row < rows; ++row) {
    const int source = row < s.n_rows ? row : s.n_rows - 1;  // padding rows repeat the last one and are not stored
    const int t = source / args.n_heads, h = source % args.n_heads;
    const float* q = args.q + t * args.ldq + (int64_t)h * args.head_dim;
    for (int e = 0; e < s.padded; e += 16) {
      const int left = args.head_dim - e;
      const __mmask16 lanes = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
      _mm512_store_ps(s.q + (int64_t)row * s.padded + e, _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, q + e), scale));
      _mm512_store_ps(s.out + (int64_t)row * s.padded + e, _mm512_setzero_ps());
    }
    _mm512_store_ps(s.sum + row * 16, _mm512_setzero_ps());
    s.maximum[row] = -FLT_MAX;
    visible_keys(args, args.first_position + t, &s.begin[row], &s.end[row]);
  }
  return s;
}

// 16 stored values as floats.
template <KvType kType>
HANLIN_INLINE __m512 load_values(const uint8_t* at, __mmask16 lanes) {
  if constexpr (kType == KvType::kF32) return _mm512_maskz_loadu_ps(lanes, at);
  else return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, at));
}

// scores[r][0, 1]: 32 keys of one block. `next` is the block that comes after; it is prefetched line by line.
template <KvType kType, int kRows>
HANLIN_INLINE void block_scores(const float* q, int64_t ldq, int head_dim, const uint8_t* block, const uint8_t* next, __m512 (*scores)[2]) {
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) scores[r][0] = scores[r][1] = _mm512_setzero_ps();
  constexpr int64_t kBytes = kType == KvType::kF32 ? 4 : 2;
  for (int64_t e = 0; e < head_dim; ++e) {
    const int64_t line = e * kKvBlock * kBytes;
    HANLIN_UNROLL
    for (int64_t ahead = 0; ahead < kKvBlock * kBytes; ahead += 64) _mm_prefetch((const char*)next + line + ahead, _MM_HINT_T0);
    const __m512 k0 = load_values<kType>(block + line, 0xffff), k1 = load_values<kType>(block + line + 16 * kBytes, 0xffff);
    HANLIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const __m512 value = _mm512_set1_ps(q[r * ldq + e]);
      scores[r][0] = _mm512_fmadd_ps(value, k0, scores[r][0]);
      scores[r][1] = _mm512_fmadd_ps(value, k1, scores[r][1]);
    }
  }
}

// Masks, caps and turns one row's scores into weights; returns what the earlier output must be multiplied with.
HANLIN_INLINE float row_weights(const AttentionArgs& args, const State& s, int row, int64_t first, __m512* scores, float* weights) {
  if (args.softcap > 0) {
    const __m512 cap = _mm512_set1_ps(args.softcap), inverse = _mm512_set1_ps(1.0f / args.softcap);
    HANLIN_UNROLL
    for (int i = 0; i < 2; ++i) scores[i] = _mm512_mul_ps(cap, tanh_vector(_mm512_mul_ps(scores[i], inverse)));
  }
  const int64_t from = s.begin[row] - first, to = s.end[row] - first;
  if (from > 0 || to < kKvBlock) {
    const uint32_t low = from <= 0 ? ~0u : from >= kKvBlock ? 0 : ~0u << from;
    const uint32_t high = to >= kKvBlock ? ~0u : to <= 0 ? 0 : ~(~0u << to);
    const __m512 hidden = _mm512_set1_ps(-INFINITY);
    scores[0] = _mm512_mask_mov_ps(hidden, (__mmask16)(low & high), scores[0]);
    scores[1] = _mm512_mask_mov_ps(hidden, (__mmask16)((low & high) >> 16), scores[1]);
  }
  float correction = 1.0f;
  const __m512 highest = _mm512_max_ps(scores[0], scores[1]);
  if (_mm512_cmp_ps_mask(highest, _mm512_set1_ps(s.maximum[row]), _CMP_GT_OQ)) {
    const float maximum = _mm512_reduce_max_ps(highest);
    correction = _mm512_cvtss_f32(exp_vector(_mm512_set1_ps(s.maximum[row] - maximum)));
    s.maximum[row] = maximum;
  }
  const __m512 shift = _mm512_set1_ps(s.maximum[row]);
  const __m512 w0 = exp_vector(_mm512_sub_ps(scores[0], shift)), w1 = exp_vector(_mm512_sub_ps(scores[1], shift));
  _mm512_store_ps(weights, w0);
  _mm512_store_ps(weights + 16, w1);
  float* sum = s.sum + row * 16;
  _mm512_store_ps(sum, _mm512_fmadd_ps(_mm512_load_ps(sum), _mm512_set1_ps(correction), _mm512_add_ps(w0, w1)));
  return correction;
}

// out[r][e … e + 16 * kChunks) = out * correction + sum over keys [from, to) of weight * value. `lanes` masks the last chunk.
template <KvType kType, int kRows, int kChunks>
HANLIN_INLINE void add_values(const float* weights, const float* corrections, const uint8_t* block, int head_dim, int e, int from, int to,
                              __mmask16 lanes, float* out, int64_t ldo) {
  __m512 acc[kRows][kChunks];
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    HANLIN_UNROLL
    for (int c = 0; c < kChunks; ++c) acc[r][c] = _mm512_mul_ps(_mm512_load_ps(out + r * ldo + e + 16 * c), _mm512_set1_ps(corrections[r]));
  }
  constexpr int64_t kBytes = kType == KvType::kF32 ? 4 : 2;
  for (int j = from; j < to; ++j) {
    const uint8_t* line = block + ((int64_t)j * head_dim + e) * kBytes;
    __m512 values[kChunks];
    HANLIN_UNROLL
    for (int c = 0; c < kChunks; ++c) values[c] = load_values<kType>(line + 16 * c * kBytes, c == kChunks - 1 ? lanes : (__mmask16)0xffff);
    HANLIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const __m512 weight = _mm512_set1_ps(weights[r * kKvBlock + j]);
      HANLIN_UNROLL
      for (int c = 0; c < kChunks; ++c) acc[r][c] = _mm512_fmadd_ps(weight, values[c], acc[r][c]);
    }
  }
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    HANLIN_UNROLL
    for (int c = 0; c < kChunks; ++c) _mm512_store_ps(out + r * ldo + e + 16 * c, acc[r][c]);
  }
}

// One tile of rows against one block.
template <KvType kType, int kRows>
void tile_block(const AttentionArgs& args, const State& s, int row, int64_t first) {
  constexpr int kChunks = kRows == 8 ? 2 : 4;
  int64_t from = kKvBlock, to = 0;  // the keys that some row sees
  for (int r = row; r < row + kRows; ++r) {
    if (s.begin[r] - first < from) from = s.begin[r] - first;
    if (s.end[r] - first > to) to = s.end[r] - first;
  }
  if (from < 0) from = 0;
  if (to > kKvBlock) to = kKvBlock;
  if (from >= to) return;
  const int64_t b = first / kKvBlock, next = first + kKvBlock < args.kv_end ? b + 1 : b;
  const uint8_t* values = args.v_blocks[b];
  __m512 scores[kRows][2];
  block_scores<kType, kRows>(s.q + (int64_t)row * s.padded, s.padded, args.head_dim, args.k_blocks[b], args.k_blocks[next], scores);
  float corrections[kRows];
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) corrections[r] = row_weights(args, s, row + r, first, scores[r], s.weights + r * kKvBlock);
  float* out = s.out + (int64_t)row * s.padded;
  int e = 0;
  for (; e + 16 * kChunks <= args.head_dim; e += 16 * kChunks) {
    add_values<kType, kRows, kChunks>(s.weights, corrections, values, args.head_dim, e, (int)from, (int)to, 0xffff, out, s.padded);
  }
  for (; e < args.head_dim; e += 16) {
    const int left = args.head_dim - e;
    const __mmask16 lanes = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
    add_values<kType, kRows, 1>(s.weights, corrections, values, args.head_dim, e, (int)from, (int)to, lanes, out, s.padded);
  }
}

template <KvType kType>
void all_blocks(const AttentionArgs& args, const State& s) {
  int64_t begin = args.kv_end, end = args.kv_begin;
  for (int row = 0; row < s.n_rows; ++row) {
    if (s.begin[row] >= s.end[row]) continue;
    if (s.begin[row] < begin) begin = s.begin[row];
    if (s.end[row] > end) end = s.end[row];
  }
  for (int64_t first = begin / kKvBlock * kKvBlock; first < end; first += kKvBlock) {
    for (int row = 0; row < s.n_rows; row += kTileRows) {
      const int left = s.n_rows - row;
      if (left > 4) tile_block<kType, 8>(args, s, row, first);
      else if (left > 2) tile_block<kType, 4>(args, s, row, first);
      else if (left > 1) tile_block<kType, 2>(args, s, row, first);
      else tile_block<kType, 1>(args, s, row, first);
    }
  }
}

void attention(const AttentionArgs& args) {
  const State s = make_state(args);
  args.kv_type == KvType::kF32 ? all_blocks<KvType::kF32>(args, s) : all_blocks<KvType::kF16>(args, s);
  for (int row = 0; row < s.n_rows; ++row) {
    const int t = row / args.n_heads, h = row % args.n_heads;
    float* out = args.out + t * args.ldo + (int64_t)h * args.head_dim;
    const float sum = sum_lanes(s.sum + row * 16);
    const __m512 factor = _mm512_set1_ps(sum > 0 ? 1.0f / sum : 0.0f);
    for (int e = 0; e < args.head_dim; e += 16) {
      const int left = args.head_dim - e;
      const __mmask16 lanes = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
      _mm512_mask_storeu_ps(out + e, lanes, _mm512_mul_ps(_mm512_load_ps(s.out + (int64_t)row * s.padded + e), factor));
    }
  }
}

}  // namespace

void fill_avx512_attention(KernelTable& table) { table.attention = attention; }

}  // namespace hanlin::kernels
