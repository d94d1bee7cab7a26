#include "backend/cpu_weight.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "kernels/pack.h"
#include "quant/quant.h"

namespace hanlin {

using kernels::kGroup;
using kernels::kPanelRows;

namespace {

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

}  // namespace

void PackPlan::pack(const uint8_t* rows, int64_t panel, uint8_t* out) const {
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

Result<PackPlan> plan_for(DType source, DType dtype, int64_t n, int64_t k) {
  const auto format = packed_format(dtype);
  const int64_t block = is_quantised(dtype) ? std::max<int64_t>(kGroup, dtype_info(dtype).block) : 1;
  if (!format || k % block != 0) {
    return Error{Code::kUnsupported, fmt::format("cpu backend: cannot compute with a [{}, {}] matrix of type {}", n, k, dtype_info(source).name)};
  }
  return PackPlan{source, dtype, *format, n, k, (n + kPanelRows - 1) / kPanelRows, kernels::panel_bytes(*format, k)};
}

}  // namespace hanlin
