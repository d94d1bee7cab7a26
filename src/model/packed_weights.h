// The three ways to the matrices of a model: made from the file's rows, taken from a packed file, or made into one.
#pragma once

#include <memory>
#include <string>

#include "model/packed_file.h"
#include "model/weights.h"

namespace hanlin {

enum class PackedCache { kOff, kAuto, kOn };

// Where and when packed weights are kept between loads.
struct PackedOptions {
  PackedCache cache = PackedCache::kOff;
  std::string directory;  // empty: as kOff
};

// kAuto keeps packed weights of models with at least this much in matrices: smaller ones are packed in a moment.
constexpr int64_t kPackedAutoBytes = int64_t{256} << 20;

// Packs into memory of this process.
class FreshWeights final : public WeightMaker {
 public:
  explicit FreshWeights(Backend& backend) : backend_(backend) {}
  Result<std::unique_ptr<Weight>> make(const std::string& name, DType dtype, int64_t n, int64_t k, const uint8_t* rows) override;

 private:
  Backend& backend_;
};

// Takes matrices from a packed file. One that it does not have is packed afresh: the model is right in any case.
class MappedWeights final : public WeightMaker {
 public:
  MappedWeights(Backend& backend, std::shared_ptr<const PackedFile> file) : backend_(backend), fresh_(backend), file_(std::move(file)) {}
  Result<std::unique_ptr<Weight>> make(const std::string& name, DType dtype, int64_t n, int64_t k, const uint8_t* rows) override;
  int n_missing() const { return n_missing_; }

 private:
  Backend& backend_;
  FreshWeights fresh_;
  std::shared_ptr<const PackedFile> file_;
  int n_missing_ = 0;
};

// Packs into a packed file and takes the matrices from there. Errors are those of packing or of writing.
class FiledWeights final : public WeightMaker {
 public:
  FiledWeights(Backend& backend, PackedWriter& writer) : backend_(backend), writer_(writer) {}
  Result<std::unique_ptr<Weight>> make(const std::string& name, DType dtype, int64_t n, int64_t k, const uint8_t* rows) override;

 private:
  Backend& backend_;
  PackedWriter& writer_;
};

}  // namespace hanlin
