// Products of activations and weights: rounding, shares of panels and rows, products in two terms.
#include "backend/cpu_backend.h"

namespace hanlin {

using kernels::kGroup;
using kernels::kPanelRows;

namespace {

// Rows of activations that one product works on at a time: their int8 form stays in the second-level cache.
constexpr int64_t kRowsPerBlock = 256;

}  // namespace

void CpuBackend::linear(TensorView x, std::span<const LinearCall> calls, std::span<const uint8_t> precise) {
  if (x.rows == 0) return;
  bool any_int8 = false;
  int64_t n_panels = 0;
  for (const LinearCall& call : calls) {
    HANLIN_CHECK(call.weight->k == x.cols, "linear: input width does not match the weight");
    HANLIN_CHECK(call.weight->n == call.out.cols && call.out.rows == x.rows, "linear: output shape does not match");
    any_int8 |= activations_ == Activations::kAuto && is_quantised(call.weight->dtype);
    n_panels += static_cast<const CpuWeight*>(call.weight)->n_panels();
  }
  const int64_t k = x.cols;
  HANLIN_CHECK(precise.empty() || static_cast<int64_t>(precise.size()) == x.rows, "linear: a mark for each row or none");
  // Row i of x becomes the int8 rows from first_row(i) on: its rounded values and, where it is precise, what the rounding left.
  std::vector<int64_t>& firsts = first_rows_;
  firsts.assign(1, 0);
  for (const uint8_t is_precise : precise) firsts.push_back(firsts.back() + (is_precise ? 2 : 1));
  const auto first_row = [&](int64_t row) { return precise.empty() ? row : firsts[static_cast<size_t>(row)]; };
  kernels::QuantRows quantised{};
  if (any_int8) {
    const int64_t n_rows = first_row(x.rows);
    int8_t* values = grow<int8_t>(quant_values_, n_rows * k);
    float* scales = grow<float>(quant_scales_, n_rows * (k / kGroup));
    int32_t* sums = grow<int32_t>(quant_sums_, n_rows * (k / 16));
    float* rests = precise.empty() ? nullptr : grow<float>(rests_, x.rows * k);
    const auto quantise = [&](const float* rows, int64_t stride, int64_t n, int64_t first) {
      table_.quantize_rows(rows, stride, n, k, values + first * k, scales + first * (k / kGroup), sums + first * (k / 16));
    };
    if (precise.empty()) {
      for_row_ranges(x, [&](int64_t begin, int64_t end) { quantise(x.row(begin), x.stride, end - begin, begin); });
    } else {
      for_rows(x, [&](int64_t row) {
        const int64_t first = first_row(row);
        quantise(x.row(row), x.stride, 1, first);
        if (first_row(row + 1) == first + 1) return;
        float* rest = rests + row * k;
        for (int64_t i = 0; i < k; ++i) {
          rest[i] = x.row(row)[i] - scales[first * (k / kGroup) + i / kGroup] * static_cast<float>(values[first * k + i]);
        }
        quantise(rest, k, 1, first + 1);
      });
    }
    quantised = {values, scales, sums};
  }

  // A unit is some panels of one product for one block of rows; kernels like panels in fours. Few rows: units of a good
  // stretch of memory. Many rows: few panels, so that the dynamic share-out stays even. The last units are smaller, so that the
  // threads end together: nine units of four panels would leave one of two threads without work for a tenth of the time.
  const int64_t wanted = n_panels / (pool_.n_threads() * (x.rows <= 8 ? 8 : 4));
  const int64_t panels_per_unit = std::clamp<int64_t>(wanted / 4 * 4, 4, x.rows <= 8 ? 64 : 8);
  const size_t gemm_bytes = (kernels::gemm_scratch_bytes(k) + 63) / 64 * 64;
  const int64_t tile_columns = panels_per_unit * kPanelRows;
  reserve_scratch(gemm_bytes + (!precise.empty() ? static_cast<size_t>(2 * std::min(x.rows, kRowsPerBlock) * tile_columns) * sizeof(float) : 0));
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
    if (activations_ != Activations::kAuto || !is_quantised(weight->dtype)) {
      table_.gemm_f32(args);
      return;
    }
    const int64_t first = first_row(unit.row_begin);
    args.m = first_row(unit.row_begin + unit.n_rows) - first;
    args.xq = {quantised.q + first * k, quantised.scale + first * (k / kGroup), quantised.sum + first * (k / 16)};
    if (args.m == unit.n_rows) {
      table_.gemm_int8(args);
      return;
    }
    // All terms into a tile that stays in the cache, then each row's sum (and the bias) into the output.
    const int64_t column = unit.panel_begin * kPanelRows, n_columns = std::min(weight->n, unit.panel_end * kPanelRows) - column;
    auto* tile = reinterpret_cast<float*>(scratch_[static_cast<size_t>(thread_idx)].data() + gemm_bytes);
    args.bias = nullptr;
    args.y = tile - column;  // the kernel adds the panel's column again
    args.ldy = tile_columns;
    table_.gemm_int8(args);
    for (int64_t row = unit.row_begin; row < unit.row_begin + unit.n_rows; ++row) {
      float* out = unit.call->out.row(row) + column;
      const float* term = tile + (first_row(row) - first) * tile_columns;
      if (first_row(row + 1) == first_row(row) + 2) table_.add(term, term + tile_columns, n_columns, out);
      else std::copy_n(term, n_columns, out);
      if (unit.call->bias != nullptr) table_.add(out, unit.call->bias + column, n_columns, out);
    }
  });
}

}  // namespace hanlin
