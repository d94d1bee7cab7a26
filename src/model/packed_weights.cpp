#include "model/packed_weights.h"

#include "base/mmap_file.h"

namespace hanlin {
namespace {

// The rows of a matrix in the model's file: read ahead while the object is made, no longer resident once it is gone.
class SourceRows {
 public:
  SourceRows(DType dtype, int64_t n, int64_t k, const uint8_t* rows) : rows_(rows, static_cast<size_t>(n * row_bytes(dtype, k))) { will_need(rows_); }
  SourceRows(const SourceRows&) = delete;
  ~SourceRows() { drop_resident(rows_); }

 private:
  std::span<const uint8_t> rows_;
};

}  // namespace

Result<std::unique_ptr<Weight>> FreshWeights::make(const std::string&, DType dtype, int64_t n, int64_t k, const uint8_t* rows) {
  const SourceRows source(dtype, n, k, rows);
  return backend_.make_weight(dtype, n, k, rows);
}

Result<std::unique_ptr<Weight>> MappedWeights::make(const std::string& name, DType dtype, int64_t n, int64_t k, const uint8_t* rows) {
  if (const auto packed = file_->find(name, dtype, n, k); !packed.empty()) {
    auto weight = backend_.adopt_weight(dtype, n, k, packed, file_);
    if (weight.ok()) return weight;
  }
  ++n_missing_;
  return fresh_.make(name, dtype, n, k, rows);
}

Result<std::unique_ptr<Weight>> FiledWeights::make(const std::string& name, DType dtype, int64_t n, int64_t k, const uint8_t* rows) {
  HANLIN_ASSIGN(const size_t n_bytes, backend_.packed_bytes(dtype, n, k));
  const SourceRows source(dtype, n, k, rows);
  const auto fill = [&](const PackSink& sink) { return backend_.pack_weight(dtype, n, k, rows, sink); };
  HANLIN_ASSIGN(const PackedWriter::Added added, writer_.add(name, dtype, n, k, n_bytes, fill));
  return backend_.adopt_weight(dtype, n, k, added.bytes, added.keep_alive);
}

}  // namespace hanlin
