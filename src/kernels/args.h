// What kernels take: pointers, sizes and strides. Nothing of ours is included here and nothing here allocates or fails.
//
// Letters: M rows of activations (tokens), N outputs, K inputs, E head size, B tokens of a KV block.
// All matrices are row-major with their leading dimension in elements.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace hanlin::kernels {

enum class Isa : int { kScalar = 0, kAvx2 = 1, kAvx512 = 2, kAmx = 3 };

// ---------------------------------------------------------------------------------------------------- packed weights

constexpr int kPanelRows = 16;  // outputs of one panel: one 512-bit register of 32-bit sums, one AMX tile's columns
constexpr int kGroup = 32;      // inputs that share an activation scale

// How a weight matrix is stored in memory. One format per source type; pack.h makes them, the layouts are described there.
enum class Packed : uint8_t {
  kF32, kF16, kBF16,
  kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0, kQ2_K, kQ3_K, kQ4_K, kQ5_K, kQ6_K, kIQ4_NL, kIQ4_XS,
};

// A packed [N, K] matrix: ceil(N / 16) panels of `panel_bytes` each, 64-byte aligned. The last panel is padded with
// zero rows; results for padding rows are never written.
struct PackedMatrix {
  Packed format;
  int64_t n, k;
  int64_t panel_bytes;
  const uint8_t* data;
};

// Activations rounded to int8 in groups of 32: x ≈ scale * q, |q| <= 127. The largest value of a group is 127, 126, 125 or
// 124 steps, whichever leaves the least squared error with the best scale for its q, sum(x q) / sum(q q).
//   q [M, K] with row stride ldq, scale [M, K/32], sum [M, K/16] = sums of 16 consecutive q. K is a multiple of 32.
struct QuantRows {
  const int8_t* q;
  int64_t ldq;
  const float* scale;
  const int32_t* sum;
};

// Activations rounded to int16 in groups of 32: x ≈ scale * q, the largest value of a group is 32767 steps or, in digits, 32639.
// Shapes as above. In memory a group is 32 numbers of 16 bits or, where KernelTable::int16_in_digits says so, its 32 high digits
// and then its 32 low ones, both int8: q = 256 * high + low.
struct QuantRows16 {
  const int16_t* q;
  int64_t ldq;
  const float* scale;
  const int32_t* sum;
};

// y[m, n] = sum_k x[m, k] * w[n, k]  (+ bias[n] if not null), for outputs of the panels [panel_begin, panel_end).
// Exactly one form of the activations is used: gemm_f32 reads x, gemm_int8 reads xq, gemm_int16 reads xq16.
// gemm_f32 takes every format (quantised weights are expanded exactly, w = scale * q - min in f32); gemm_int16 takes the
// quantised ones and gemm_int8 those of them that KernelTable::takes_int16 does not name, both with exact integer sums inside a
// group and f32 sums over groups. K of quantised formats: multiple of 32
// (256 for *_K and IQ4_XS). K of float formats: any.
// `scratch`: gemm_scratch_bytes(k) bytes, 64-byte aligned, one per calling thread. y must not alias x.
struct GemmArgs {
  const PackedMatrix* w;
  const float* x;
  int64_t ldx;
  QuantRows xq;
  QuantRows16 xq16;
  int64_t m;
  int64_t panel_begin, panel_end;
  const float* bias;
  float* y;
  int64_t ldy;
  void* scratch;
  const uint8_t* next = nullptr;  // weights that the same thread will probably read afterwards, [next_bytes]; a hint
  int64_t next_bytes = 0;
};

// Row stride for K rounded activations of element_bytes. Rows that are a multiple of 1024 bytes apart would share too few sets of
// the first-level cache, from which a product takes a few bytes of each of 32 rows at a time. Other strides are right, but slower.
static inline int64_t quant_row_stride(int64_t k, int64_t element_bytes) { return k * element_bytes % 1024 == 0 ? k + 64 / element_bytes : k; }

// Rows that an integer product takes at a time: what zeros and mins take from their sums fits into 64 * K bytes of the scratch.
constexpr int64_t kGemmBlockRows = 256;
// Bytes of scratch that any gemm of inner size k may use.
static inline size_t gemm_scratch_bytes(int64_t k) { return (size_t)(k + 64) * 2 * 16 * 4 + 65536; }

// ------------------------------------------------------------------------------------------------------- attention

constexpr int kKvBlock = 32;   // B: tokens of one KV block
constexpr int kKeySpan = 256;  // positions of keys that attention takes together; spans begin at multiples of it

// Layout of one KV block of one layer and one kv head. Floats and IEEE halves: keys [E][B], values [B][E]. Keys stand
// column by column so that a register holds one component of many keys: scores need no horizontal sums.
// kQ8_0: int8 with a scale for 32 components of a token, x = scale * q, |q| <= 127, where x is the key or value, filled up with
// zeros to whole groups of 32, times a Hadamard matrix (rotate-inl.h). A block is ceil(E / 32) tiles of 1024
// bytes, then the tiles' scales as bfloat16 [tile][B]. A tile holds 32 components of 32 tokens; what a product sums over
// (components of keys, tokens of values) stands in pairs, for instructions that add two products of 16-bit numbers:
//   keys [16 pairs of components][B][2], values [16 pairs of tokens][32 components][2].
enum class KvType : uint8_t { kF32, kF16, kQ8_0 };
constexpr int kKvTileBytes = 1024;
static inline int64_t kv_tiles(int64_t head_dim) { return (head_dim + 31) / 32; }
static inline int64_t kv_block_bytes(KvType type, int64_t head_dim) {
  if (type == KvType::kQ8_0) return kv_tiles(head_dim) * (kKvTileBytes + kKvBlock * 2);
  return head_dim * kKvBlock * (type == KvType::kF32 ? 4 : 2);
}
// Where a tile has the number `inner` of those a product sums over, of column `column`.
static inline int64_t kv_tile_at(int64_t inner, int64_t column) { return inner / 2 * 64 + column * 2 + inner % 2; }

// Online-softmax attention of a tile of queries against one kv head.
// Query (t, h) stands at position first_position + t and sees key j iff kv_begin <= j < kv_end and
//   causal:      j <= position, and j > position - window where window > 0
//   not causal:  |j - position| <= window where window > 0, else every j
// score = softcap > 0 ? softcap * tanh(scale * q.k / softcap) : scale * q.k
//   q   [n_tokens][n_heads][E] with token stride ldq; out the same shape with ldo. Heads of one token are E apart.
//   k_blocks[i], v_blocks[i]: block of positions [i * B, (i + 1) * B).
//   A query that sees no key gets zeros.
//   stats: null, or [n_tokens * n_heads][2]: each query's largest score (-FLT_MAX without a key) and its sum of
//   exp(score - largest); with them results over neighbouring ranges of keys can be joined.
//   scratch: attention_scratch_bytes(n_tokens * n_heads, E), 64-byte aligned, one per calling thread.
struct AttentionArgs {
  KvType kv_type;
  bool causal;
  int n_tokens, n_heads, head_dim;
  int64_t first_position;
  int64_t kv_begin, kv_end;
  int64_t window;
  float scale, softcap;
  const float* q;
  int64_t ldq;
  const uint8_t* const* k_blocks;
  const uint8_t* const* v_blocks;
  float* out;
  int64_t ldo;
  void* scratch;
  float* stats;
};
static inline size_t attention_scratch_bytes(int64_t n_queries, int64_t head_dim) {
  return (size_t)((n_queries + 16) * (3 * (head_dim + 48) + 32) * 4 + 16384 + (head_dim + 32) * kKeySpan);
}

// ------------------------------------------------------------------------------------------------------ the table

// One instruction-set level's kernels. Filled scalar → avx2 → avx512 → amx: a level without its own version keeps the
// lower one. Every function is noexcept in effect, allocates nothing, keeps no state and may run on any thread.
struct KernelTable {
  Isa isa;  // the level that filled this table last

  // Rounds M rows of K floats to int8 groups (QuantRows above). Rows with only zeros get scale 0. NaN becomes 0.
  void (*quantize_rows)(const float* x, int64_t ldx, int64_t m, int64_t k, int8_t* q, int64_t ldq, float* scale, int32_t* sum);
  void (*gemm_int8)(const GemmArgs& args);
  // The same in 16 bits, for rows that need them, and the formats that gemm_int8 leaves to it.
  bool int16_in_digits;
  void (*quantize_rows16)(const float* x, int64_t ldx, int64_t m, int64_t k, int16_t* q, int64_t ldq, float* scale, int32_t* sum);
  void (*gemm_int16)(const GemmArgs& args);
  bool (*takes_int16)(Packed format);
  void (*gemm_f32)(const GemmArgs& args);

  void (*attention)(const AttentionArgs& args);
  // Stores one token's key and value (E floats each) at `slot` (0 … B-1) of a block. Halves round to nearest even and
  // saturate at ±65504. kQ8_0: NaN becomes 0.
  void (*kv_write)(KvType type, const float* k, const float* v, int64_t head_dim, int slot, uint8_t* k_block, uint8_t* v_block);

  // y = x / rms(x) * (weight + weight_offset); rms over d values, eps under the root. y may alias x.
  void (*rms_norm)(const float* x, const float* weight, float weight_offset, float eps, int64_t d, float* y);
  // y = (x - mean) / sqrt(var + eps) * weight + bias; weight or bias may be null. y may alias x.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, int64_t d, float* y);
  // Rotates one head of n_rot values in place. cos, sin: n_rot/2 floats. neox: pairs are (i, i + n_rot/2); else (2i, 2i+1).
  void (*rope)(float* x, const float* cos, const float* sin, int64_t n_rot, bool neox);
  void (*add)(const float* a, const float* b, int64_t n, float* y);      // y = a + b, y may alias either
  void (*silu_mul)(const float* gate, const float* up, int64_t n, float* y);       // y = silu(gate) * up
  void (*gelu_tanh_mul)(const float* gate, const float* up, int64_t n, float* y);  // y = gelu_tanh(gate) * up; up may be null: 1
  void (*gelu_erf_mul)(const float* gate, const float* up, int64_t n, float* y);   // y = gelu(gate) * up; up may be null: 1
  float (*max_value)(const float* x, int64_t n);                          // n >= 1
  // Sum over i of exp(x[i] - shift), in double.
  double (*sum_exp)(const float* x, int64_t n, float shift);
  float (*dot)(const float* a, const float* b, int64_t n);
};

}  // namespace hanlin::kernels
