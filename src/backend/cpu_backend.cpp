#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "backend/backend.h"
#include "base/compute_pool.h"
#include "kernels/pack.h"
#include "kernels/table.h"
#include "quant/quant.h"
#include "tensor/arena.h"

namespace hanlin {
namespace {

using kernels::KernelTable;
using kernels::kGroup;
using kernels::kKvBlock;
using kernels::kPanelRows;

// Below this many values a loop over rows is not worth waking the other threads.
constexpr int64_t kSerialValues = 8192;
// Positions of keys that attention takes together (a multiple of the KV block); see attention().
constexpr int64_t kKeySpan = 256;
// Rows of activations that one product works on at a time: their int8 form stays in the second-level cache.
constexpr int64_t kRowsPerBlock = 256;
constexpr int64_t kPackPieceBytes = 256 << 10;

bool is_quantised(DType dtype) { return dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16; }

std::optional<kernels::Packed> packed_format(DType dtype) {
  using kernels::Packed;
  switch (dtype) {
    case DType::kF32: return Packed::kF32;
    case DType::kF16: return Packed::kF16;
    case DType::kBF16: return Packed::kBF16;
    case DType::kQ4_0: return Packed::kQ4_0;
    case DType::kQ4_1: return Packed::kQ4_1;
    case DType::kQ5_0: return Packed::kQ5_0;
    case DType::kQ5_1: return Packed::kQ5_1;
    case DType::kQ8_0: return Packed::kQ8_0;
    case DType::kQ2_K: return Packed::kQ2_K;
    case DType::kQ3_K: return Packed::kQ3_K;
    case DType::kQ4_K: return Packed::kQ4_K;
    case DType::kQ5_K: return Packed::kQ5_K;
    case DType::kQ6_K: return Packed::kQ6_K;
    case DType::kIQ4_NL: return Packed::kIQ4_NL;
    case DType::kIQ4_XS: return Packed::kIQ4_XS;
    default: return std::nullopt;
  }
}

// How a matrix is packed; every matrix the kernels can compute with has one. `dtype` is what is kept: the source's type, or
// Q8_0 for float matrices that are to be rounded.
struct PackPlan {
  DType source, dtype;
  kernels::Packed format;
  int64_t n, k, n_panels, panel_bytes;
  size_t bytes() const { return static_cast<size_t>(n_panels * panel_bytes); }
  // Packs panel `panel` of `rows` to `out`.
  void pack(const uint8_t* rows, int64_t panel, uint8_t* out) const {
    const int64_t first = panel * kPanelRows, stride = row_bytes(source, k);
    const int n_rows = static_cast<int>(std::min<int64_t>(kPanelRows, n - first));
    rows += first * stride;
    if (source == dtype) return kernels::pack_panel(format, rows, stride, n_rows, k, out);
    const int64_t rounded_stride = row_bytes(dtype, k);
    std::vector<float> values(static_cast<size_t>(k));
    std::vector<uint8_t> rounded(static_cast<size_t>(n_rows * rounded_stride));
    for (int i = 0; i < n_rows; ++i) {
      decode_row(source, rows + i * stride, k, values.data());
      encode_row(dtype, values.data(), k, rounded.data() + i * rounded_stride);
    }
    kernels::pack_panel(format, rounded.data(), rounded_stride, n_rows, k, out);
  }
};

Result<PackPlan> plan_for(DType source, DType dtype, int64_t n, int64_t k) {
  const auto format = packed_format(dtype);
  const int64_t block = is_quantised(dtype) ? std::max<int64_t>(kGroup, dtype_info(dtype).block) : 1;
  if (!format || k % block != 0) {
    return Error{Code::kUnsupported, fmt::format("cpu backend: cannot compute with a [{}, {}] matrix of type {}", n, k, dtype_info(source).name)};
  }
  return PackPlan{source, dtype, *format, n, k, (n + kPanelRows - 1) / kPanelRows, kernels::panel_bytes(*format, k)};
}

struct CpuWeight final : Weight {
  CpuWeight(const PackPlan& plan, const uint8_t* data)
      : Weight(plan.n, plan.k, plan.dtype), n_bytes(plan.bytes()), packed{plan.format, plan.n, plan.k, plan.panel_bytes, data} {}
  size_t bytes() const override { return n_bytes; }
  int64_t n_panels() const { return (n + kPanelRows - 1) / kPanelRows; }
  size_t n_bytes;
  kernels::PackedMatrix packed;
  // What holds packed.data: one of the two.
  AlignedBuffer storage;
  std::shared_ptr<const void> mapping;
};

// Layout: [layer][block][key | value][kv head][block bytes].
struct CpuKvCache final : KvCache {
  CpuKvCache(const KvShape& shape, int64_t n_blocks)
      : shape(shape),
        type(shape.dtype == KvDType::kF32 ? kernels::KvType::kF32 : kernels::KvType::kF16),
        head_bytes(kernels::kv_block_bytes(type, shape.head_dim)),
        blocks(n_blocks),
        storage(static_cast<size_t>(shape.n_layers * n_blocks * 2 * shape.n_kv_heads * head_bytes)) {}
  int64_t n_blocks() const override { return blocks; }
  uint8_t* keys(int64_t layer, int64_t block, int64_t head) const {
    return storage.data() + (((layer * blocks + block) * 2) * shape.n_kv_heads + head) * head_bytes;
  }
  uint8_t* values(int64_t layer, int64_t block, int64_t head) const {
    return storage.data() + (((layer * blocks + block) * 2 + 1) * shape.n_kv_heads + head) * head_bytes;
  }
  KvShape shape;
  kernels::KvType type;
  int64_t head_bytes;
  int64_t blocks;
  AlignedBuffer storage;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(const BackendOptions& options, kernels::Isa isa)
      : pool_(options.n_threads > 0 ? options.n_threads : available_cores()),
        table_(kernels::kernel_table(isa)),
        activations_(options.activations),
        float_weights_(options.float_weights),
        scratch_(static_cast<size_t>(pool_.n_threads())) {}

  std::string describe() const override {
    return fmt::format("cpu {}, {} thread{}", kernels::isa_name(table_.isa), pool_.n_threads(), pool_.n_threads() == 1 ? "" : "s");
  }

  Result<std::unique_ptr<Weight>> make_weight(DType dtype, int64_t n, int64_t k, const uint8_t* rows) override {
    HANLIN_ASSIGN(const PackPlan plan, pack_plan(dtype, n, k));
    AlignedBuffer storage(plan.bytes());
    if (storage.data() == nullptr) {
      return Error{Code::kResourceExhausted, fmt::format("cpu backend: the system refused {} bytes for weights", plan.bytes())};
    }
    pool_.run(plan.n_panels, [&](int64_t panel, int) { plan.pack(rows, panel, storage.data() + panel * plan.panel_bytes); });
    auto weight = std::make_unique<CpuWeight>(plan, storage.data());
    weight->storage = std::move(storage);
    return std::unique_ptr<Weight>(std::move(weight));
  }

  // Panels are the same for every level of kernels: packing knows none.
  std::string packed_layout() const override {
    return fmt::format("cpu panels {}{}", kernels::layout_version(), float_weights_ == FloatWeights::kQ8_0 ? ", floats as Q8_0" : "");
  }
  Result<size_t> packed_bytes(DType dtype, int64_t n, int64_t k) const override {
    HANLIN_ASSIGN(const PackPlan plan, pack_plan(dtype, n, k));
    return plan.bytes();
  }
  Status pack_weight(DType dtype, int64_t n, int64_t k, const uint8_t* rows, const PackSink& sink) override {
    HANLIN_ASSIGN(const PackPlan plan, pack_plan(dtype, n, k));
    // Pieces that stay in the second-level cache between packing and the sink's copy.
    const int64_t panels = std::max<int64_t>(1, kPackPieceBytes / plan.panel_bytes);
    reserve_scratch(static_cast<size_t>(panels * plan.panel_bytes));
    std::atomic<bool> wanted{true};
    pool_.run((plan.n_panels + panels - 1) / panels, [&](int64_t piece, int thread_idx) {
      if (!wanted.load(std::memory_order_relaxed)) return;
      const int64_t begin = piece * panels, end = std::min(plan.n_panels, begin + panels);
      uint8_t* out = scratch_[static_cast<size_t>(thread_idx)].data();
      for (int64_t panel = begin; panel < end; ++panel) plan.pack(rows, panel, out + (panel - begin) * plan.panel_bytes);
      const std::span<const uint8_t> bytes(out, static_cast<size_t>((end - begin) * plan.panel_bytes));
      if (!sink(static_cast<size_t>(begin * plan.panel_bytes), bytes)) wanted = false;
    });
    return wanted ? Status() : Error{Code::kCancelled, "cpu backend: packing was stopped by who takes the pieces"};
  }
  Result<std::unique_ptr<Weight>> adopt_weight(DType dtype, int64_t n, int64_t k, std::span<const uint8_t> packed,
                                               std::shared_ptr<const void> keep_alive) override {
    HANLIN_ASSIGN(const PackPlan plan, pack_plan(dtype, n, k));
    if (packed.size() != plan.bytes() || reinterpret_cast<uintptr_t>(packed.data()) % 64 != 0) {
      return Error{Code::kCorrupt, fmt::format("cpu backend: expected {} aligned bytes for a packed [{}, {}] matrix of type {}, got {}", plan.bytes(), n, k,
                                               dtype_info(dtype).name, packed.size())};
    }
    auto weight = std::make_unique<CpuWeight>(plan, packed.data());
    weight->mapping = std::move(keep_alive);
    return std::unique_ptr<Weight>(std::move(weight));
  }

  int64_t kv_block_bytes(const KvShape& shape) const override {
    const auto type = shape.dtype == KvDType::kF32 ? kernels::KvType::kF32 : kernels::KvType::kF16;
    return shape.n_layers * 2 * shape.n_kv_heads * kernels::kv_block_bytes(type, shape.head_dim);
  }

  Result<std::unique_ptr<KvCache>> make_kv_cache(const KvShape& shape, int64_t n_blocks) override {
    auto cache = std::make_unique<CpuKvCache>(shape, n_blocks);
    if (cache->storage.data() == nullptr) {
      return Error{Code::kResourceExhausted, fmt::format("cpu backend: the system refused {} bytes for the KV cache", n_blocks * kv_block_bytes(shape))};
    }
    return std::unique_ptr<KvCache>(std::move(cache));
  }

  void linear(TensorView x, std::span<const LinearCall> calls) override;
  void rms_norm(TensorView x, const float* weight, int64_t weight_size, float offset, float eps, TensorView y) override {
    for_rows(x, [&](int64_t row) {
      for (int64_t c = 0; c < x.cols; c += weight_size) table_.rms_norm(x.row(row) + c, weight, offset, eps, weight_size, y.row(row) + c);
    });
  }
  void layer_norm(TensorView x, const float* weight, const float* bias, float eps, TensorView y) override {
    for_rows(x, [&](int64_t row) { table_.layer_norm(x.row(row), weight, bias, eps, x.cols, y.row(row)); });
  }
  void add(TensorView x, TensorView y) override {
    for_rows(x, [&](int64_t row) { table_.add(x.row(row), y.row(row), x.cols, x.row(row)); });
  }
  void gated(Activation activation, TensorView gate, TensorView up, TensorView out) override;
  void rope(TensorView x, int64_t head_dim, int64_t n_rot, const float* cos, const float* sin, bool neox) override {
    const int64_t half = n_rot / 2;
    for_rows(x, [&](int64_t row) {
      for (int64_t c = 0; c < x.cols; c += head_dim) table_.rope(x.row(row) + c, cos + row * half, sin + row * half, n_rot, neox);
    });
  }
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

  Result<PackPlan> pack_plan(DType dtype, int64_t n, int64_t k) const {
    const bool rounds = float_weights_ == FloatWeights::kQ8_0 && !is_quantised(dtype) && k % kGroup == 0;
    return plan_for(dtype, rounds ? DType::kQ8_0 : dtype, n, k);
  }

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

  // Work lists of the two big loops; members so that a step does not allocate.
  struct LinearUnit {
    const LinearCall* call;
    int64_t panel_begin, panel_end, row_begin, n_rows;
  };
  struct AttentionUnit {
    const TokenRange* range;
    int64_t begin, n, head;  // query tokens [begin, begin + n) of the range against one kv head
    size_t pointers;         // where this head's key and value block pointers start
    int64_t span_begin, span_end;  // spans of keys
    int64_t part;                  // of attention_parts_, or -1: the result goes straight to the output
  };

  ComputePool pool_;
  const KernelTable& table_;
  Activations activations_;
  FloatWeights float_weights_;
  std::vector<AlignedBuffer> scratch_;
  std::vector<LinearUnit> linear_units_;
  std::vector<AttentionUnit> attention_units_;
  std::vector<const uint8_t*> block_pointers_;
  AlignedBuffer attention_parts_;  // per part [tile tokens][group heads][E] and the stats of each query
  AlignedBuffer quant_values_, quant_scales_, quant_sums_, rests_;
};

void CpuBackend::linear(TensorView x, std::span<const LinearCall> calls) {
  if (x.rows == 0) return;
  bool any_int8 = false;
  // Row i of x becomes the int8 rows terms · i … : its rounded values, and with two terms what the rounding left.
  const int64_t terms = calls[0].precise ? 2 : 1;
  int64_t n_panels = 0;
  for (const LinearCall& call : calls) {
    HANLIN_CHECK(call.weight->k == x.cols, "linear: input width does not match the weight");
    HANLIN_CHECK(call.precise == calls[0].precise, "linear: either all products are precise or none");
    HANLIN_CHECK(call.weight->n == call.out.cols && call.out.rows == x.rows, "linear: output shape does not match");
    any_int8 |= activations_ == Activations::kAuto && is_quantised(call.weight->dtype);
    n_panels += static_cast<const CpuWeight*>(call.weight)->n_panels();
  }
  const int64_t k = x.cols;
  kernels::QuantRows quantised{};
  if (any_int8) {
    const int64_t n_rows = x.rows * terms;
    int8_t* values = grow<int8_t>(quant_values_, n_rows * k);
    float* scales = grow<float>(quant_scales_, n_rows * (k / kGroup));
    int32_t* sums = grow<int32_t>(quant_sums_, n_rows * (k / 16));
    float* rests = terms == 2 ? grow<float>(rests_, x.rows * k) : nullptr;
    const auto quantise = [&](const float* rows, int64_t stride, int64_t n, int64_t first) {
      table_.quantize_rows(rows, stride, n, k, values + first * k, scales + first * (k / kGroup), sums + first * (k / 16));
    };
    if (terms == 1) {
      for_row_ranges(x, [&](int64_t begin, int64_t end) { quantise(x.row(begin), x.stride, end - begin, begin); });
    } else {
      for_rows(x, [&](int64_t row) {
        const int64_t first = row * 2;
        float* rest = rests + row * k;
        quantise(x.row(row), x.stride, 1, first);
        for (int64_t i = 0; i < k; ++i) {
          rest[i] = x.row(row)[i] - scales[first * (k / kGroup) + i / kGroup] * static_cast<float>(values[first * k + i]);
        }
        quantise(rest, k, 1, first + 1);
      });
    }
    quantised = {values, scales, sums};
  }

  // A unit is some panels of one product for one block of rows; kernels like panels in fours. Few rows: units of a good
  // stretch of memory. Many rows: few panels, so that the dynamic share-out stays even.
  const int64_t wanted = n_panels / (pool_.n_threads() * (x.rows <= 8 ? 8 : 4));
  const int64_t panels_per_unit = std::clamp<int64_t>(wanted / 4 * 4, 4, x.rows <= 8 ? 64 : 8);
  const size_t gemm_bytes = (kernels::gemm_scratch_bytes(k) + 63) / 64 * 64;
  const int64_t tile_columns = panels_per_unit * kPanelRows;
  reserve_scratch(gemm_bytes + (terms == 2 ? static_cast<size_t>(2 * std::min(x.rows, kRowsPerBlock) * tile_columns) * sizeof(float) : 0));
  std::vector<LinearUnit>& units = linear_units_;
  units.clear();
  for (int64_t row = 0; row < x.rows; row += kRowsPerBlock) {
    for (const LinearCall& call : calls) {
      const int64_t panels = static_cast<const CpuWeight*>(call.weight)->n_panels();
      for (int64_t panel = 0; panel < panels; panel += panels_per_unit) {
        units.push_back({&call, panel, std::min(panels, panel + panels_per_unit), row, std::min(kRowsPerBlock, x.rows - row)});
      }
    }
  }
  pool_.run(static_cast<int64_t>(units.size()), [&](int64_t unit_idx, int thread_idx) {
    const LinearUnit& unit = units[static_cast<size_t>(unit_idx)];
    const auto* weight = static_cast<const CpuWeight*>(unit.call->weight);
    kernels::GemmArgs args{};
    args.w = &weight->packed;
    args.x = x.row(unit.row_begin);
    args.ldx = x.stride;
    args.m = unit.n_rows;
    args.panel_begin = unit.panel_begin;
    args.panel_end = unit.panel_end;
    args.bias = unit.call->bias;
    args.y = unit.call->out.row(unit.row_begin);
    args.ldy = unit.call->out.stride;
    args.scratch = scratch_[static_cast<size_t>(thread_idx)].data();
    if (activations_ != Activations::kAuto || !is_quantised(weight->dtype)) {
      table_.gemm_f32(args);
      return;
    }
    const int64_t first = unit.row_begin * terms;
    args.xq = {quantised.q + first * k, quantised.scale + first * (k / kGroup), quantised.sum + first * (k / 16)};
    if (terms == 1) {
      table_.gemm_int8(args);
      return;
    }
    // Both terms of every row into a tile that stays in the cache, then their sums (and the bias) into the output.
    const int64_t column = unit.panel_begin * kPanelRows, n_columns = std::min(weight->n, unit.panel_end * kPanelRows) - column;
    auto* tile = reinterpret_cast<float*>(scratch_[static_cast<size_t>(thread_idx)].data() + gemm_bytes);
    args.m = unit.n_rows * 2;
    args.bias = nullptr;
    args.y = tile - column;  // the kernel adds the panel's column again
    args.ldy = tile_columns;
    table_.gemm_int8(args);
    for (int64_t row = 0; row < unit.n_rows; ++row) {
      float* out = unit.call->out.row(unit.row_begin + row) + column;
      table_.add(tile + 2 * row * tile_columns, tile + (2 * row + 1) * tile_columns, n_columns, out);
      if (unit.call->bias != nullptr) table_.add(out, unit.call->bias + column, n_columns, out);
    }
  });
}

void CpuBackend::gated(Activation activation, TensorView gate, TensorView up, TensorView out) {
  const auto fn = activation == Activation::kSilu      ? table_.silu_mul
                  : activation == Activation::kGeluTanh ? table_.gelu_tanh_mul
                                                        : table_.gelu_erf_mul;
  for_rows(gate, [&](int64_t row) { fn(gate.row(row), up.data != nullptr ? up.row(row) : nullptr, gate.cols, out.row(row)); });
}

void CpuBackend::kv_write(KvCache& cache, int64_t layer, TensorView k, TensorView v, std::span<const TokenRange> ranges) {
  const auto& kv = static_cast<const CpuKvCache&>(cache);
  const int64_t head_dim = kv.shape.head_dim;
  for (const TokenRange& range : ranges) {
    const auto write_token = [&](int64_t i) {
      const int64_t position = range.first_position + i;
      const int64_t block = range.blocks[static_cast<size_t>(position / kKvBlock)];
      for (int64_t head = 0; head < kv.shape.n_kv_heads; ++head) {
        table_.kv_write(kv.type, k.row(range.begin + i) + head * head_dim, v.row(range.begin + i) + head * head_dim, head_dim,
                        static_cast<int>(position % kKvBlock), kv.keys(layer, block, head), kv.values(layer, block, head));
      }
    };
    // One unit per block: two threads never write into the same cache line.
    const int64_t first_block = range.first_position / kKvBlock;
    const int64_t n_blocks = (range.first_position + range.n - 1) / kKvBlock - first_block + 1;
    const auto write_block = [&](int64_t unit, int) {
      const int64_t begin = std::max(range.first_position, (first_block + unit) * kKvBlock) - range.first_position;
      const int64_t end = std::min(range.first_position + range.n, (first_block + unit + 1) * kKvBlock) - range.first_position;
      for (int64_t i = begin; i < end; ++i) write_token(i);
    };
    if (n_blocks < 2 || range.n * k.cols <= kSerialValues) {
      for (int64_t unit = 0; unit < n_blocks; ++unit) write_block(unit, 0);
    } else {
      pool_.run(n_blocks, write_block);
    }
  }
}

namespace {

// Attention over keys [0, a) and [a, b) becomes attention over [0, b): `out` [rows][n_values] and `stats` (AttentionArgs) are
// the first's and receive the result. Rows of a token stand n_heads to a line of ldo.
void join_attention(int64_t rows, int64_t n_heads, int64_t head_dim, const float* next, const float* next_stats, float* out, int64_t ldo, float* stats) {
  for (int64_t row = 0; row < rows; ++row, next += head_dim, next_stats += 2, stats += 2) {
    if (next_stats[1] == 0) continue;
    const float highest = std::max(stats[0], next_stats[0]);
    const float a = stats[1] * std::exp(stats[0] - highest), b = next_stats[1] * std::exp(next_stats[0] - highest);
    const float share_a = a / (a + b), share_b = b / (a + b);
    float* to = out + row / n_heads * ldo + row % n_heads * head_dim;
    for (int64_t e = 0; e < head_dim; ++e) to[e] = to[e] * share_a + next[e] * share_b;
    stats[0] = highest;
    stats[1] = a + b;
  }
}

}  // namespace

// Keys are taken in spans of kKeySpan positions, each by itself, and the results joined in order. Where spans begin depends
// on positions alone: a token's result is the same bits in a prompt, in a chunk and decoded alone. Few tokens: a unit is
// one span, so that one long text keeps all threads busy. Many: a unit takes all spans of a tile of tokens.
void CpuBackend::attention(const KvCache& cache, int64_t layer, TensorView q, std::span<const TokenRange> ranges,
                           const AttentionSpec& spec, TensorView out) {
  const auto& kv = static_cast<const CpuKvCache&>(cache);
  const int64_t group = spec.n_heads / spec.n_kv_heads;
  const int64_t tile = std::max<int64_t>(1, 64 / group);
  const int64_t tile_values = tile * group * spec.head_dim, tile_stats = tile * group * 2;
  std::vector<AttentionUnit>& units = attention_units_;
  units.clear();
  block_pointers_.clear();
  int64_t n_parts = 0;
  for (const TokenRange& range : ranges) {
    const int64_t n_blocks = (range.first_position + range.n + kKvBlock - 1) / kKvBlock;
    for (int64_t head = 0; head < spec.n_kv_heads; ++head) {
      const size_t pointers = block_pointers_.size();
      for (int64_t i = 0; i < n_blocks; ++i) block_pointers_.push_back(kv.keys(layer, range.blocks[static_cast<size_t>(i)], head));
      for (int64_t i = 0; i < n_blocks; ++i) block_pointers_.push_back(kv.values(layer, range.blocks[static_cast<size_t>(i)], head));
      // Last tiles first: they see the most keys.
      for (int64_t begin = (range.n - 1) / tile * tile; begin >= 0; begin -= tile) {
        AttentionUnit unit{&range, begin, std::min(tile, range.n - begin), head, pointers, 0, 0, -1};
        const int64_t first = range.first_position + begin, end = first + unit.n;
        const int64_t key = spec.window > 0 ? std::max<int64_t>(0, first - spec.window + 1) : 0;
        const int64_t span_begin = key / kKeySpan, span_end = (end + kKeySpan - 1) / kKeySpan;
        if (range.n > tile || span_end - span_begin == 1) {
          unit.span_begin = span_begin;
          unit.span_end = span_end;
          units.push_back(unit);
          continue;
        }
        for (int64_t span = span_begin; span < span_end; ++span) {
          unit.span_begin = span;
          unit.span_end = span + 1;
          unit.part = n_parts++;
          units.push_back(unit);
        }
      }
    }
  }
  const size_t kernel_bytes = (kernels::attention_scratch_bytes(tile * group, spec.head_dim) + 63) / 64 * 64;
  reserve_scratch(kernel_bytes + static_cast<size_t>(tile_values + 2 * tile_stats) * sizeof(float));
  float* parts = grow<float>(attention_parts_, n_parts * (tile_values + tile_stats));
  pool_.run(static_cast<int64_t>(units.size()), [&](int64_t unit_idx, int thread_idx) {
    const AttentionUnit& unit = units[static_cast<size_t>(unit_idx)];
    const TokenRange& range = *unit.range;
    const int64_t n_blocks = (range.first_position + range.n + kKvBlock - 1) / kKvBlock;
    uint8_t* scratch = scratch_[static_cast<size_t>(thread_idx)].data();
    auto* next = reinterpret_cast<float*>(scratch + kernel_bytes);
    float* const next_stats = next + tile_values;
    float* stats = next_stats + tile_stats;
    float* to = out.row(range.begin + unit.begin) + unit.head * group * spec.head_dim;
    int64_t ldo = out.stride;
    if (unit.part >= 0) {
      to = parts + unit.part * (tile_values + tile_stats);
      stats = to + tile_values;
      ldo = group * spec.head_dim;
    }
    kernels::AttentionArgs args{};
    args.kv_type = kv.type;
    args.causal = true;
    args.n_tokens = static_cast<int>(unit.n);
    args.n_heads = static_cast<int>(group);
    args.head_dim = static_cast<int>(spec.head_dim);
    args.first_position = range.first_position + unit.begin;
    const int64_t kv_end = args.first_position + unit.n;
    const int64_t kv_begin = spec.window > 0 ? std::max<int64_t>(0, args.first_position - spec.window + 1) : 0;
    args.window = spec.window;
    args.scale = spec.scale;
    args.softcap = spec.softcap;
    args.q = q.row(range.begin + unit.begin) + unit.head * group * spec.head_dim;
    args.ldq = q.stride;
    args.k_blocks = block_pointers_.data() + unit.pointers;
    args.v_blocks = block_pointers_.data() + unit.pointers + n_blocks;
    args.scratch = scratch;
    for (int64_t span = unit.span_begin; span < unit.span_end; ++span) {
      const bool is_first = span == unit.span_begin;
      args.kv_begin = std::max(kv_begin, span * kKeySpan);
      args.kv_end = std::min(kv_end, (span + 1) * kKeySpan);
      args.out = is_first ? to : next;
      args.ldo = is_first ? ldo : group * spec.head_dim;
      args.stats = is_first ? stats : next_stats;
      table_.attention(args);
      if (!is_first) join_attention(unit.n * group, group, spec.head_dim, next, next_stats, to, ldo, stats);
    }
  });
  // The parts of a tile stand one after the other.
  for (size_t i = 0; i < units.size(); ++i) {
    const AttentionUnit& unit = units[i];
    if (unit.part < 0) continue;
    float* part = parts + unit.part * (tile_values + tile_stats);
    float* to = out.row(unit.range->begin + unit.begin) + unit.head * group * spec.head_dim;
    const int64_t width = group * spec.head_dim;
    float* first = part;
    for (; i + 1 < units.size() && units[i + 1].part >= 0 && units[i + 1].pointers == unit.pointers && units[i + 1].begin == unit.begin; ++i) {
      part += tile_values + tile_stats;
      join_attention(unit.n * group, group, spec.head_dim, part, part + tile_values, first, width, first + tile_values);
    }
    for (int64_t t = 0; t < unit.n; ++t) std::copy_n(first + t * width, width, to + t * out.stride);
  }
}

void CpuBackend::encoder_attention(TensorView q, TensorView k, TensorView v, std::span<const TokenRange> ranges,
                                   const AttentionSpec& spec, TensorView out) {
  HANLIN_CHECK(spec.n_heads == spec.n_kv_heads, "encoder_attention: grouped queries are not an encoder's");
  constexpr auto kType = kernels::KvType::kF32;
  const int64_t block_bytes = kernels::kv_block_bytes(kType, spec.head_dim);
  constexpr int64_t kTile = 64;
  int64_t longest = 0;
  for (const TokenRange& range : ranges) longest = std::max(longest, range.n);
  const int64_t max_blocks = (longest + kKvBlock - 1) / kKvBlock;
  const size_t attention_bytes = (kernels::attention_scratch_bytes(kTile, spec.head_dim) + 63) / 64 * 64;
  const size_t pointer_bytes = static_cast<size_t>(max_blocks * 2) * sizeof(uint8_t*) / 64 * 64 + 64;
  reserve_scratch(attention_bytes + pointer_bytes + static_cast<size_t>(max_blocks * 2 * block_bytes));
  pool_.run(static_cast<int64_t>(ranges.size()) * spec.n_heads, [&](int64_t unit, int thread_idx) {
    const TokenRange& range = ranges[static_cast<size_t>(unit / spec.n_heads)];
    const int64_t head = unit % spec.n_heads, column = head * spec.head_dim;
    const int64_t n_blocks = (range.n + kKvBlock - 1) / kKvBlock;
    uint8_t* scratch = scratch_[static_cast<size_t>(thread_idx)].data();
    auto** pointers = reinterpret_cast<uint8_t**>(scratch + attention_bytes);
    uint8_t* blocks = scratch + attention_bytes + pointer_bytes;
    for (int64_t i = 0; i < 2 * n_blocks; ++i) pointers[i] = blocks + i * block_bytes;
    for (int64_t i = 0; i < range.n; ++i) {
      table_.kv_write(kType, k.row(range.begin + i) + column, v.row(range.begin + i) + column, spec.head_dim,
                      static_cast<int>(i % kKvBlock), pointers[i / kKvBlock], pointers[n_blocks + i / kKvBlock]);
    }
    for (int64_t begin = 0; begin < range.n; begin += kTile) {
      kernels::AttentionArgs args{};
      args.kv_type = kType;
      args.causal = false;
      args.n_tokens = static_cast<int>(std::min(kTile, range.n - begin));
      args.n_heads = 1;
      args.head_dim = static_cast<int>(spec.head_dim);
      args.first_position = begin;
      args.kv_begin = spec.window > 0 ? std::max<int64_t>(0, begin - spec.window) : 0;
      args.kv_end = spec.window > 0 ? std::min(range.n, begin + args.n_tokens + spec.window) : range.n;
      args.window = spec.window;
      args.scale = spec.scale;
      args.softcap = spec.softcap;
      args.q = q.row(range.begin + begin) + column;
      args.ldq = q.stride;
      args.k_blocks = pointers;
      args.v_blocks = pointers + n_blocks;
      args.out = out.row(range.begin + begin) + column;
      args.ldo = out.stride;
      args.scratch = scratch;
      table_.attention(args);
    }
  });
}

}  // namespace

Result<std::unique_ptr<Backend>> make_cpu_backend(const BackendOptions& options) {
  kernels::Isa isa = kernels::best_isa();
  if (options.isa != "auto" && !kernels::parse_isa(options.isa.c_str(), &isa)) {
    return Error{Code::kInvalidArgument, fmt::format("isa: expected auto, scalar, avx2, avx512 or amx, got '{}'", options.isa), "isa"};
  }
  if (!kernels::isa_supported(isa)) {
    return Error{Code::kInvalidArgument,
                 fmt::format("isa: this processor cannot run '{}'; its best level is {}", options.isa, kernels::isa_name(kernels::best_isa())), "isa"};
  }
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(options, isa));
}

}  // namespace hanlin
