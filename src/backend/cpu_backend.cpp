#include "backend/cpu_backend.h"

#include <fmt/format.h>

#include <atomic>

#include "kernels/pack.h"
#include "kernels/table.h"

namespace hanlin {
namespace {

// Bytes packed at a time on the way into a file: they stay in the second-level cache between packing and copying.
constexpr int64_t kPackPieceBytes = 256 << 10;

}  // namespace

CpuBackend::CpuBackend(const BackendOptions& options, kernels::Isa isa)
    : pool_(options.n_threads > 0 ? options.n_threads : available_cores()),
      table_(kernels::kernel_table(isa)),
      activations_(options.activations),
      float_weights_(options.float_weights),
      scratch_(static_cast<size_t>(pool_.n_threads())) {}

std::string CpuBackend::describe() const {
  return fmt::format("cpu {}, {} thread{}", kernels::isa_name(table_.isa), pool_.n_threads(), pool_.n_threads() == 1 ? "" : "s");
}

Result<PackPlan> CpuBackend::pack_plan(DType dtype, int64_t n, int64_t k) const {
  const bool rounds = float_weights_ == FloatWeights::kQ8_0 && !is_quantised(dtype) && k % kernels::kGroup == 0;
  return plan_for(dtype, rounds ? DType::kQ8_0 : dtype, n, k);
}

Result<std::unique_ptr<Weight>> CpuBackend::make_weight(DType dtype, int64_t n, int64_t k, const uint8_t* rows) {
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
std::string CpuBackend::packed_layout() const {
  return fmt::format("cpu panels {}{}", kernels::layout_version(), float_weights_ == FloatWeights::kQ8_0 ? ", floats as Q8_0" : "");
}

Result<size_t> CpuBackend::packed_bytes(DType dtype, int64_t n, int64_t k) const {
  HANLIN_ASSIGN(const PackPlan plan, pack_plan(dtype, n, k));
  return plan.bytes();
}

Status CpuBackend::pack_weight(DType dtype, int64_t n, int64_t k, const uint8_t* rows, const PackSink& sink) {
  HANLIN_ASSIGN(const PackPlan plan, pack_plan(dtype, n, k));
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

Result<std::unique_ptr<Weight>> CpuBackend::adopt_weight(DType dtype, int64_t n, int64_t k, std::span<const uint8_t> packed,
                                                         std::shared_ptr<const void> keep_alive) {
  HANLIN_ASSIGN(const PackPlan plan, pack_plan(dtype, n, k));
  if (packed.size() != plan.bytes() || reinterpret_cast<uintptr_t>(packed.data()) % 64 != 0) {
    return Error{Code::kCorrupt, fmt::format("cpu backend: expected {} aligned bytes for a packed [{}, {}] matrix of type {}, got {}", plan.bytes(), n, k,
                                             dtype_info(dtype).name, packed.size())};
  }
  auto weight = std::make_unique<CpuWeight>(plan, packed.data());
  weight->mapping = std::move(keep_alive);
  return std::unique_ptr<Weight>(std::move(weight));
}

int64_t CpuBackend::kv_block_bytes(const KvShape& shape) const {
  return shape.n_layers * 2 * shape.n_kv_heads * kernels::kv_block_bytes(kernel_type(shape.dtype), shape.head_dim);
}

Result<std::unique_ptr<KvCache>> CpuBackend::make_kv_cache(const KvShape& shape, int64_t n_blocks) {
  auto cache = std::make_unique<CpuKvCache>(shape, n_blocks);
  if (cache->storage.data() == nullptr) {
    return Error{Code::kResourceExhausted, fmt::format("cpu backend: the system refused {} bytes for the KV cache", n_blocks * kv_block_bytes(shape))};
  }
  return std::unique_ptr<KvCache>(std::move(cache));
}

void CpuBackend::rms_norm(TensorView x, const float* weight, int64_t weight_size, float offset, float eps, TensorView y) {
  for_rows(x, [&](int64_t row) {
    for (int64_t c = 0; c < x.cols; c += weight_size) table_.rms_norm(x.row(row) + c, weight, offset, eps, weight_size, y.row(row) + c);
  });
}

void CpuBackend::layer_norm(TensorView x, const float* weight, const float* bias, float eps, TensorView y) {
  for_rows(x, [&](int64_t row) { table_.layer_norm(x.row(row), weight, bias, eps, x.cols, y.row(row)); });
}

void CpuBackend::add(TensorView x, TensorView y) {
  for_rows(x, [&](int64_t row) { table_.add(x.row(row), y.row(row), x.cols, x.row(row)); });
}

void CpuBackend::add_to_rows(TensorView x, const float* row) {
  for_rows(x, [&](int64_t i) { table_.add(x.row(i), row, x.cols, x.row(i)); });
}

void CpuBackend::gated(Activation activation, TensorView gate, TensorView up, TensorView out) {
  const auto fn = activation == Activation::kSilu      ? table_.silu_mul
                  : activation == Activation::kGeluTanh ? table_.gelu_tanh_mul
                                                        : table_.gelu_erf_mul;
  for_rows(gate, [&](int64_t row) { fn(gate.row(row), up.data != nullptr ? up.row(row) : nullptr, gate.cols, out.row(row)); });
}

void CpuBackend::rope(TensorView x, int64_t head_dim, int64_t n_rot, const float* cos, const float* sin, bool neox) {
  const int64_t half = n_rot / 2;
  for_rows(x, [&](int64_t row) {
    for (int64_t c = 0; c < x.cols; c += head_dim) table_.rope(x.row(row) + c, cos + row * half, sin + row * half, n_rot, neox);
  });
}

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
