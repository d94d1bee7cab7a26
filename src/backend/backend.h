// The one virtual seam to hardware. A backend owns device memory (weights, KV cache) and runs the operations of ops/ on it.
//
// Letters: T tokens, D model, N outputs, K inputs, H query heads, G kv heads, E head size, V vocabulary.
// All functions are called from one thread (the model's engine thread); they return when the result is there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "tensor/dtype.h"
#include "tensor/tensor_view.h"

namespace hanlin {

// How matrix products treat activations.
//   kAuto: rounded to int8 in groups of 32 where the weight is quantised; f32 where it is a float
//   kF32:  always f32: the reference, several times slower on quantised weights
enum class Activations { kAuto, kF32 };
// How float matrices (F32, F16, BF16) are kept.
//   kStored: as the file has them
//   kQ8_0:   rounded at load to int8 with a scale for 32 inputs: a quarter of the memory of F32 and int8 products, for a
//            relative error of about 0.4 % a weight. Matrices whose inner size is no multiple of 32 stay as they are
enum class FloatWeights { kStored, kQ8_0 };
// How keys and values are kept. kQ8_0: int8 with a scale for 32 components of a token, a little more than half of kF16's bytes.
enum class KvDType { kF16, kF32, kQ8_0 };
enum class Activation { kSilu, kGeluTanh, kGeluErf };

struct BackendOptions {
  int n_threads = 0;  // 0: one per core this process may use
  std::string isa = "auto";
  Activations activations = Activations::kAuto;
  FloatWeights float_weights = FloatWeights::kStored;
};

// A weight matrix [n, k] in the layout the backend computes with. Made by Backend::make_weight or adopt_weight.
class Weight {
 public:
  Weight(int64_t n, int64_t k, DType dtype) : n(n), k(k), dtype(dtype) {}
  virtual ~Weight() = default;
  virtual size_t bytes() const = 0;
  const int64_t n, k;
  const DType dtype;
};

// Takes pieces of a packed matrix: `bytes` belong at `offset` of its packed form. Called from several threads at a time, in
// any order; every byte comes once. false: no more pieces are wanted.
using PackSink = std::function<bool(size_t offset, std::span<const uint8_t> bytes)>;

// Keys and values of all layers, in blocks of 32 tokens. Made by Backend::make_kv_cache.
class KvCache {
 public:
  virtual ~KvCache() = default;
  virtual int64_t n_blocks() const = 0;
};

struct KvShape {
  int64_t n_layers = 0, n_kv_heads = 0, head_dim = 0;
  KvDType dtype = KvDType::kF16;
};

// One product of a group that shares its input: out [T, N] = x · wᵀ (+ bias [N]).
struct LinearCall {
  const Weight* weight = nullptr;
  const float* bias = nullptr;
  TensorView out;
};

// Tokens [begin, begin + n) of a batch belong to one sequence and stand at positions first_position … ; `blocks` is that
// sequence's block table.
struct TokenRange {
  int64_t begin = 0, n = 0;
  int64_t first_position = 0;
  std::span<const int32_t> blocks;
};

struct AttentionSpec {
  int64_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
  int64_t window = 0;     // 0: everything; causal: this many last positions; encoder: this far to each side
  float scale = 1.0f;
  float softcap = 0.0f;   // 0: none
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string describe() const = 0;  // "cpu avx512, 2 threads"
  // Calls fn(unit, thread) once for each unit in [0, n_units), thread in [0, n_threads()), on the threads that compute; returns
  // when all are done.
  virtual int n_threads() const = 0;
  virtual void run_units(int64_t n_units, const std::function<void(int64_t, int)>& fn) = 0;

  // Copies rows [n, k] (encoded as `dtype`, row after row at `rows`) into the backend's layout.
  // Errors: kUnsupported for a type it cannot compute with, kResourceExhausted when memory is refused.
  virtual Result<std::unique_ptr<Weight>> make_weight(DType dtype, int64_t n, int64_t k, const uint8_t* rows) = 0;

  // The layout apart from the memory it lies in, for weights that are packed once and kept in a file.
  // Equal names: equal rows have equal packed forms ("cpu panels 1").
  virtual std::string packed_layout() const = 0;
  // Bytes of the packed form of a matrix. Errors: kUnsupported, as make_weight.
  virtual Result<size_t> packed_bytes(DType dtype, int64_t n, int64_t k) const = 0;
  // Packs rows as make_weight does, but hands the packed form to `sink` piece by piece; needs little memory.
  // Errors: kUnsupported; kCancelled when the sink wanted no more.
  virtual Status pack_weight(DType dtype, int64_t n, int64_t k, const uint8_t* rows, const PackSink& sink) = 0;
  // A weight over a packed form that lies in memory already, 64-byte aligned; `keep_alive` holds that memory.
  // Errors: kUnsupported; kCorrupt for another number of bytes than packed_bytes().
  virtual Result<std::unique_ptr<Weight>> adopt_weight(DType dtype, int64_t n, int64_t k, std::span<const uint8_t> packed,
                                                       std::shared_ptr<const void> keep_alive) = 0;

  virtual int64_t kv_block_bytes(const KvShape& shape) const = 0;  // of all layers
  virtual Result<std::unique_ptr<KvCache>> make_kv_cache(const KvShape& shape, int64_t n_blocks) = 0;
  // Has the system back the memory of blocks [0, end) where it does not yet, most_bytes of it at most, on all threads: kv_write
  // would wait for single pages on one. false: nothing was left to do, or the system cannot do this.
  virtual bool back_blocks(KvCache& cache, int64_t end, size_t most_bytes) = 0;

  // All products of one input x [T, K]. Outputs must not overlap each other or x.
  // `precise` [T], or empty: the rows that it marks keep about 15 bits in products with quantised weights instead of 8. Other
  // rows get the same bits with and without them.
  virtual void linear(TensorView x, std::span<const LinearCall> calls, std::span<const uint8_t> precise) = 0;
  // y = x / rms(x) · (weight + offset), per group of `weight_size` columns (a row, or each head of a row). y may be x.
  virtual void rms_norm(TensorView x, const float* weight, int64_t weight_size, float offset, float eps, TensorView y) = 0;
  virtual void layer_norm(TensorView x, const float* weight, const float* bias, float eps, TensorView y) = 0;
  virtual void add(TensorView x, TensorView y) = 0;  // x += y
  virtual void add_to_rows(TensorView x, const float* row) = 0;  // each row of x += row
  // out = activation(gate) · up; up.data may be null: out = activation(gate).
  virtual void gated(Activation activation, TensorView gate, TensorView up, TensorView out) = 0;
  // Rotates each of x's heads (cols / head_dim of them) by its token's angle: cos, sin [T, n_rot/2].
  // neox: pairs (i, i + n_rot/2); otherwise (2i, 2i + 1). Values past n_rot stay.
  virtual void rope(TensorView x, int64_t head_dim, int64_t n_rot, const float* cos, const float* sin, bool neox) = 0;

  // Stores k, v [T, G·E] of every token into its sequence's blocks.
  virtual void kv_write(KvCache& cache, int64_t layer, TensorView k, TensorView v, std::span<const TokenRange> ranges) = 0;
  // Causal attention of q [T, H·E] over the cache; out [T, H·E].
  virtual void attention(const KvCache& cache, int64_t layer, TensorView q, std::span<const TokenRange> ranges,
                         const AttentionSpec& spec, TensorView out) = 0;
  // Attention of whole texts in both directions, no cache: blocks of `ranges` are not used.
  virtual void encoder_attention(TensorView q, TensorView k, TensorView v, std::span<const TokenRange> ranges,
                                 const AttentionSpec& spec, TensorView out) = 0;
};

// The CPU backend. Errors: kInvalidArgument for an unknown or unsupported isa.
Result<std::unique_ptr<Backend>> make_cpu_backend(const BackendOptions& options);

}  // namespace hanlin
