#include "model/weights.h"

#include <fmt/format.h>

#include "quant/quant.h"

namespace hanlin {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

}  // namespace

std::string layer_name(std::string_view pattern, int64_t layer) { return fmt::format(fmt::runtime(pattern), layer); }

Result<const StoredTensor*> WeightReader::find(const std::string& full_name) const {
  const StoredTensor* tensor = files_.find(full_name);
  if (tensor == nullptr) return Error{Code::kCorrupt, fmt::format("{}: expected a tensor '{}', which is missing", files_.path(), full_name)};
  return tensor;
}

Result<Linear> WeightReader::linear(const std::string& name, int64_t n, int64_t k, int64_t row_begin, int64_t total_rows) const {
  const std::string full_name = prefix_ + name + ".weight";
  HANLIN_ASSIGN(const StoredTensor* tensor, find(full_name));
  const int64_t rows = row_begin < 0 ? n : total_rows;
  if (tensor->shape != std::vector<int64_t>{rows, k}) {
    return Error{Code::kCorrupt, fmt::format("{}: expected '{}' of shape [{}, {}], got {}", files_.path(), full_name, rows, k, shape_text(tensor->shape))};
  }
  const int64_t first = std::max<int64_t>(row_begin, 0);
  Linear layer;
  const std::string part_name = row_begin < 0 ? full_name : fmt::format("{}[{}:{}]", full_name, first, first + n);
  auto weight = maker_.make(part_name, tensor->dtype, n, k, tensor->data + first * row_bytes(tensor->dtype, k));
  if (!weight.ok()) return std::move(weight).error().with_context(full_name);
  layer.weight = std::move(*weight);
  if (files_.find(prefix_ + name + ".bias") != nullptr) {
    HANLIN_ASSIGN(std::vector<float> bias, vector(prefix_ + name + ".bias", rows));
    layer.bias.assign(bias.begin() + first, bias.begin() + first + n);
  }
  return layer;
}

Result<Norm> WeightReader::norm(const std::string& name, int64_t d, float eps, bool rms, float offset) const {
  Norm norm;
  norm.eps = eps;
  norm.offset = offset;
  norm.rms = rms;
  HANLIN_ASSIGN(norm.weight, vector(prefix_ + name + ".weight", d));
  if (!rms && has(name + ".bias")) {
    HANLIN_ASSIGN(norm.bias, vector(prefix_ + name + ".bias", d));
  }
  return norm;
}

Result<StoredTensor> WeightReader::table(const std::string& name, int64_t rows, int64_t cols) const {
  const std::string full_name = prefix_ + name + ".weight";
  HANLIN_ASSIGN(const StoredTensor* tensor, find(full_name));
  if (tensor->shape != std::vector<int64_t>{rows, cols} || find_codec(tensor->dtype) == nullptr) {
    return Error{Code::kCorrupt, fmt::format("{}: expected '{}' of shape [{}, {}], got {} of {}", files_.path(), full_name, rows, cols,
                                             dtype_info(tensor->dtype).name, shape_text(tensor->shape))};
  }
  return *tensor;
}

Result<std::vector<float>> WeightReader::vector(const std::string& full_name, int64_t n) const {
  HANLIN_ASSIGN(const StoredTensor* tensor, find(full_name));
  if (tensor->n_values() != n || n % dtype_info(tensor->dtype).block != 0 || find_codec(tensor->dtype) == nullptr) {
    return Error{Code::kCorrupt, fmt::format("{}: expected '{}' of {} values, got {} of {}", files_.path(), full_name, n,
                                             dtype_info(tensor->dtype).name, shape_text(tensor->shape))};
  }
  std::vector<float> values(static_cast<size_t>(n));
  decode_row(tensor->dtype, tensor->data, n, values.data());
  return values;
}

void read_table_row(const StoredTensor& table, int64_t row, float* out) {
  HANLIN_CHECK(row >= 0 && row < table.shape[0], "read_table_row: row outside the table");
  const int64_t cols = table.shape[1];
  decode_row(table.dtype, table.data + row * row_bytes(table.dtype, cols), cols, out);
}

Result<std::string> find_prefix(const ModelFiles& files, std::span<const std::string_view> prefixes, const std::string& name) {
  for (const std::string_view prefix : prefixes) {
    if (files.find(std::string(prefix) + name) != nullptr) return std::string(prefix);
  }
  return Error{Code::kCorrupt, fmt::format("{}: expected a tensor '{}' (also looked for with the prefixes '{}')", files.path(), name, fmt::join(prefixes, "', '"))};
}

}  // namespace hanlin
