// The CPU backend's state and what its parts share: weights and small operations in cpu_backend.cpp, products in
// cpu_linear.cpp, attention in cpu_attention.cpp. Only these files include it.
#pragma once

#include <algorithm>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu_weight.h"
#include "base/compute_pool.h"
#include "kernels/args.h"
#include "tensor/storage.h"

namespace hanlin {

// Below this many values a loop over rows is not worth waking the other threads.
constexpr int64_t kSerialValues = 8192;

inline kernels::KvType kernel_type(KvDType dtype) {
  switch (dtype) {
    case KvDType::kF16: return kernels::KvType::kF16;
    case KvDType::kF32: return kernels::KvType::kF32;
    case KvDType::kQ8_0: return kernels::KvType::kQ8_0;
  }
  return kernels::KvType::kF16;
}

// Layout: [block][layer][key | value][kv head][block bytes]. All layers of a block lie side by side: a text that grows touches
// new memory a block at a time. With each layer's blocks together it would reach a fresh huge page, which the kernel must
// clear first, in all layers in the same step.
struct CpuKvCache final : KvCache {
  CpuKvCache(const KvShape& shape, int64_t n_blocks)
      : shape(shape),
        type(kernel_type(shape.dtype)),
        head_bytes(kernels::kv_block_bytes(type, shape.head_dim)),
        blocks(n_blocks),
        storage(static_cast<size_t>(shape.n_layers * n_blocks * 2 * shape.n_kv_heads * head_bytes)) {}
  int64_t n_blocks() const override { return blocks; }
  uint8_t* keys(int64_t layer, int64_t block, int64_t head) const {
    return storage.data() + (((block * shape.n_layers + layer) * 2) * shape.n_kv_heads + head) * head_bytes;
  }
  uint8_t* values(int64_t layer, int64_t block, int64_t head) const {
    return storage.data() + (((block * shape.n_layers + layer) * 2 + 1) * shape.n_kv_heads + head) * head_bytes;
  }
  KvShape shape;
  kernels::KvType type;
  int64_t head_bytes;
  int64_t blocks;
  AlignedBuffer storage;
  size_t backed = 0;  // bytes of `storage` that the system was asked to back
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(const BackendOptions& options, kernels::Isa isa);
  std::string describe() const override;
  int n_threads() const override { return pool_.n_threads(); }
  void run_units(int64_t n_units, const std::function<void(int64_t, int)>& fn) override { pool_.run(n_units, fn); }
  Result<std::unique_ptr<Weight>> make_weight(DType dtype, int64_t n, int64_t k, const uint8_t* rows) override;
  std::string packed_layout() const override;
  Result<size_t> packed_bytes(DType dtype, int64_t n, int64_t k) const override;
  Status pack_weight(DType dtype, int64_t n, int64_t k, const uint8_t* rows, const PackSink& sink) override;
  Result<std::unique_ptr<Weight>> adopt_weight(DType dtype, int64_t n, int64_t k, std::span<const uint8_t> packed,
                                               std::shared_ptr<const void> keep_alive) override;
  int64_t kv_block_bytes(const KvShape& shape) const override;
  Result<std::unique_ptr<KvCache>> make_kv_cache(const KvShape& shape, int64_t n_blocks) override;
  bool back_blocks(KvCache& cache, int64_t end, size_t most_bytes) override;

  void linear(TensorView x, std::span<const LinearCall> calls, std::span<const uint8_t> precise) override;
  void rms_norm(TensorView x, const float* weight, int64_t weight_size, float offset, float eps, TensorView y) override;
  void layer_norm(TensorView x, const float* weight, const float* bias, float eps, TensorView y) override;
  void add(TensorView x, TensorView y) override;
  void add_to_rows(TensorView x, const float* row) override;
  void gated(Activation activation, TensorView gate, TensorView up, TensorView out) override;
  void rope(TensorView x, int64_t head_dim, int64_t n_rot, const float* cos, const float* sin, bool neox) override;
  void kv_write(KvCache& cache, int64_t layer, TensorView k, TensorView v, std::span<const TokenRange> ranges) override;
  void attention(const KvCache& cache, int64_t layer, TensorView q, std::span<const TokenRange> ranges, const AttentionSpec& spec,
                 TensorView out) override;
  void encoder_attention(TensorView q, TensorView k, TensorView v, std::span<const TokenRange> ranges, const AttentionSpec& spec,
                         TensorView out) override;

 private:
  // fn(begin, end) on stretches of x's rows, in parallel where it is worth it.
  template <typename Fn>
  void for_row_ranges(TensorView x, const Fn& fn) {
    if (x.rows * x.cols <= kSerialValues) return fn(int64_t{0}, x.rows);
    const int64_t rows_per_unit = std::max<int64_t>(1, kSerialValues / std::max<int64_t>(1, x.cols));
    pool_.run((x.rows + rows_per_unit - 1) / rows_per_unit,
              [&](int64_t unit, int) { fn(unit * rows_per_unit, std::min(x.rows, (unit + 1) * rows_per_unit)); });
  }
  template <typename Fn>
  void for_rows(TensorView x, const Fn& fn) {
    for_row_ranges(x, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) fn(row);
    });
  }

  struct RoundedRows {
    AlignedBuffer values, scales, sums;
  };
  // Activations as the products with quantised weights take them, kept in `memory`: QuantRows or QuantRows16 by its quantiser.
  template <typename Rows, typename T>
  Rows round_rows(TensorView x, RoundedRows& memory, void (*quantize)(const float*, int64_t, int64_t, int64_t, T*, int64_t, float*, int32_t*));
  // linear() where all rows are precise or none is.
  void multiply(TensorView x, std::span<const LinearCall> calls, bool precise);

  // Fills attention_units_ for tiles of `tile` tokens, and block_pointers_; how many parts the units have.
  int64_t plan_attention(const CpuKvCache& kv, int64_t layer, std::span<const TokenRange> ranges, const AttentionSpec& spec, int64_t tile);

  Result<PackPlan> pack_plan(DType dtype, int64_t n, int64_t k) const;

  // Scratch of one thread, grown outside of parallel loops only.
  void reserve_scratch(size_t bytes) {
    for (AlignedBuffer& buffer : scratch_) {
      if (buffer.size() < bytes) buffer = AlignedBuffer(bytes);
    }
  }
  template <typename T>
  T* grow(AlignedBuffer& buffer, int64_t count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    if (buffer.size() < bytes) buffer = AlignedBuffer(bytes + bytes / 4);
    return buffer.as<T>();
  }

  // Work lists of the loops; members so that a step does not allocate.
  struct LinearUnit {
    const LinearCall* call;
    int64_t panel_begin, panel_end, row_begin, n_rows;
  };
  struct AttentionUnit {
    const TokenRange* range;
    int64_t begin, n, head;  // query tokens [begin, begin + n) of the range against one kv head
    size_t keys, values;     // where the pointers to this head's blocks start
    int64_t span_begin, span_end;  // spans of keys
    int64_t part;                  // of attention_parts_, or -1: the result goes straight to the output
  };

  struct KvWriteUnit {
    const TokenRange* range;
    int64_t begin, end;  // positions, of one block
  };

  ComputePool pool_;
  const kernels::KernelTable& table_;
  Activations activations_;
  FloatWeights float_weights_;
  std::vector<AlignedBuffer> scratch_;
  std::vector<LinearUnit> linear_units_;
  std::vector<AttentionUnit> attention_units_;
  std::vector<KvWriteUnit> kv_write_units_;
  std::vector<const uint8_t*> block_pointers_;
  AlignedBuffer attention_parts_;  // per part [tile tokens][group heads][E] and the stats of each query
  RoundedRows int8_, int16_;
  AlignedBuffer sorted_rows_;  // linear's rows of one kind and their results
};

}  // namespace hanlin
