// From tensors in files to weights in a backend, with every shape checked.
#pragma once

#include <string>
#include <string_view>

#include "backend/backend.h"
#include "model/files.h"
#include "ops/ops.h"

namespace hanlin {

// "layers.{}.mlp" and 3 → "layers.3.mlp".
std::string layer_name(std::string_view pattern, int64_t layer);

// Where a model's matrices come from: made of the file's rows, or taken from a packed file (packed_weights.h).
class WeightMaker {
 public:
  virtual ~WeightMaker() = default;
  // The matrix [n, k] whose rows, of type `dtype`, stand at `rows`. `name` is the same at every load of the model.
  virtual Result<std::unique_ptr<Weight>> make(const std::string& name, DType dtype, int64_t n, int64_t k, const uint8_t* rows) = 0;
};

// Reads tensors of one model. Errors name file and tensor, what shape was expected and what came.
class WeightReader {
 public:
  // `prefix` is put in front of every name ("model.").
  WeightReader(const ModelFiles& files, WeightMaker& maker, std::string prefix) : files_(files), maker_(maker), prefix_(std::move(prefix)) {}

  bool has(const std::string& name) const { return files_.find(prefix_ + name) != nullptr; }
  // name.weight [n, k] (rows row_begin … of a larger matrix if row_begin >= 0) and name.bias if the file has one.
  Result<Linear> linear(const std::string& name, int64_t n, int64_t k, int64_t row_begin = -1, int64_t total_rows = -1) const;
  // name.weight [d] and, unless rms, name.bias [d] if the file has one.
  Result<Norm> norm(const std::string& name, int64_t d, float eps, bool rms, float offset = 0.0f) const;
  // A table that is read row by row: a view into the file.
  Result<StoredTensor> table(const std::string& name, int64_t rows, int64_t cols) const;
  Result<std::vector<float>> vector(const std::string& full_name, int64_t n) const;

 private:
  Result<const StoredTensor*> find(const std::string& full_name) const;
  const ModelFiles& files_;
  WeightMaker& maker_;
  std::string prefix_;
};

// Decodes row `row` of a table into `out` (cols floats).
void read_table_row(const StoredTensor& table, int64_t row, float* out);

// The first of `prefixes` under which the file has `name`; an error listing them if none.
Result<std::string> find_prefix(const ModelFiles& files, std::span<const std::string_view> prefixes, const std::string& name);

}  // namespace hanlin
