// Products of activations and weights: rounding, shares of panels and rows.
#include "backend/cpu_backend.h"

namespace hanlin {

using kernels::kGroup;
using kernels::kPanelRows;

namespace {

// Rows of activations that one product works on at a time: their rounded form stays in the second-level cache.
constexpr int64_t kRowsPerBlock = 256;

// Rows from `row` on; `groups` of 32 inputs each.
template <typename Rows>
Rows rows_from(const Rows& x, int64_t row, int64_t groups) {
  return {x.q + row * x.ldq, x.ldq, x.scale + row * groups, x.sum + row * groups * 2};
}

enum class Product { kF32, kInt8, kInt16 };

}  // namespace

void CpuBackend::linear(TensorView x, std::span<const LinearCall> calls, std::span<const uint8_t> precise) {
  for (const LinearCall& call : calls) {
    HANLIN_CHECK(call.weight->k == x.cols, "linear: input width does not match the weight");
    HANLIN_CHECK(call.weight->n == call.out.cols && call.out.rows == x.rows, "linear: output shape does not match");
  }
  HANLIN_CHECK(precise.empty() || static_cast<int64_t>(precise.size()) == x.rows, "linear: a mark for each row or none");
  const auto n_precise = std::count_if(precise.begin(), precise.end(), [](uint8_t mark) { return mark != 0; });
  if (n_precise == 0 || n_precise == x.rows) return multiply(x, calls, n_precise != 0);

  // Rows of both kinds: each kind in matrices of its own.
  int64_t n_columns = 0;
  for (const LinearCall& call : calls) n_columns += call.weight->n;
  float* memory = grow<float>(sorted_rows_, x.rows * (x.cols + n_columns));
  std::vector<int64_t> rows;
  std::vector<LinearCall> sorted_calls(calls.begin(), calls.end());
  for (const bool kind : {false, true}) {
    rows.clear();
    for (int64_t row = 0; row < x.rows; ++row) {
      if ((precise[static_cast<size_t>(row)] != 0) == kind) rows.push_back(row);
    }
    const auto n_rows = static_cast<int64_t>(rows.size());
    const TensorView sorted{memory, n_rows, x.cols, x.cols};
    float* out = memory + n_rows * x.cols;
    for (LinearCall& call : sorted_calls) {
      call.out = {out, n_rows, call.weight->n, call.weight->n};
      out += n_rows * call.weight->n;
    }
    for_rows(sorted, [&](int64_t i) { std::copy_n(x.row(rows[static_cast<size_t>(i)]), x.cols, sorted.row(i)); });
    multiply(sorted, sorted_calls, kind);
    for (size_t c = 0; c < calls.size(); ++c) {
      const TensorView from = sorted_calls[c].out;
      for_rows(from, [&](int64_t i) { std::copy_n(from.row(i), from.cols, calls[c].out.row(rows[static_cast<size_t>(i)])); });
    }
  }
}

template <typename Rows, typename T>
Rows CpuBackend::round_rows(TensorView x, RoundedRows& memory, void (*quantize)(const float*, int64_t, int64_t, int64_t, T*, int64_t, float*, int32_t*)) {
  const int64_t k = x.cols, groups = k / kGroup, ldq = kernels::quant_row_stride(k, sizeof(T));
  T* values = grow<T>(memory.values, x.rows * ldq);
  float* scales = grow<float>(memory.scales, x.rows * groups);
  int32_t* sums = grow<int32_t>(memory.sums, x.rows * groups * 2);
  for_row_ranges(x, [&](int64_t begin, int64_t end) {
    quantize(x.row(begin), x.stride, end - begin, k, values + begin * ldq, ldq, scales + begin * groups, sums + begin * groups * 2);
  });
  return {values, ldq, scales, sums};
}

void CpuBackend::multiply(TensorView x, std::span<const LinearCall> calls, bool precise) {
  if (x.rows == 0) return;
  const int64_t k = x.cols, groups = k / kGroup;
  const auto product_of = [&](const CpuWeight& weight) {
    if (activations_ != Activations::kAuto || !is_quantised(weight.dtype)) return Product::kF32;
    return precise || table_.takes_int16(weight.packed.format) ? Product::kInt16 : Product::kInt8;
  };
  kernels::QuantRows int8{};
  kernels::QuantRows16 int16{};
  int64_t n_panels = 0;
  for (const LinearCall& call : calls) {
    const auto* weight = static_cast<const CpuWeight*>(call.weight);
    const Product product = product_of(*weight);
    if (product == Product::kInt8 && int8.q == nullptr) int8 = round_rows<kernels::QuantRows>(x, int8_, table_.quantize_rows);
    if (product == Product::kInt16 && int16.q == nullptr) int16 = round_rows<kernels::QuantRows16>(x, int16_, table_.quantize_rows16);
    n_panels += weight->n_panels();
  }

  // A unit is some panels of one product for one block of rows; kernels like panels in fours. Few rows: units of a good
  // stretch of memory. Many rows: few panels, so that the dynamic share-out stays even. The last units are smaller, so that the
  // threads end together: nine units of four panels would leave one of two threads without work for a tenth of the time.
  const int64_t wanted = n_panels / (pool_.n_threads() * (x.rows <= 8 ? 8 : 4));
  const int64_t panels_per_unit = std::clamp<int64_t>(wanted / 4 * 4, 4, x.rows <= 8 ? 64 : 8);
  reserve_scratch(kernels::gemm_scratch_bytes(k));
  std::vector<LinearUnit>& units = linear_units_;
  units.clear();
  int64_t n_left = n_panels * ((x.rows + kRowsPerBlock - 1) / kRowsPerBlock);
  for (int64_t row = 0; row < x.rows; row += kRowsPerBlock) {
    for (const LinearCall& call : calls) {
      const int64_t panels = static_cast<const CpuWeight*>(call.weight)->n_panels();
      for (int64_t panel = 0; panel < panels;) {
        const int64_t half = n_left / pool_.n_threads() / 2;  // of what is left for each thread
        const int64_t n = std::min(panels - panel, half < 4 ? 2 : std::min(panels_per_unit, half / 4 * 4));
        units.push_back({&call, panel, panel + n, row, std::min(kRowsPerBlock, x.rows - row)});
        panel += n;
        n_left -= n;
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
    // Threads take units in turn, so the one after the other threads' is probably this thread's next.
    if (const auto next = static_cast<size_t>(unit_idx + pool_.n_threads()); next < units.size()) {
      const kernels::PackedMatrix& w = static_cast<const CpuWeight*>(units[next].call->weight)->packed;
      args.next = w.data + units[next].panel_begin * w.panel_bytes;
      args.next_bytes = std::min<int64_t>(2, units[next].panel_end - units[next].panel_begin) * w.panel_bytes;
    }
    const Product product = product_of(*weight);
    if (product == Product::kF32) return table_.gemm_f32(args);
    if (product == Product::kInt16) {
      args.xq16 = rows_from(int16, unit.row_begin, groups);
      return table_.gemm_int16(args);
    }
    args.xq = rows_from(int8, unit.row_begin, groups);
    table_.gemm_int8(args);
  });
}

}  // namespace hanlin
