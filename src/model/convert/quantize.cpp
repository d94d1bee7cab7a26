#include "model/convert/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/compute_pool.h"
#include "model/convert/source.h"
#include "model/convert/target.h"
#include "quant/quant.h"

namespace hanlin {
namespace {

constexpr int64_t kChunkValues = int64_t{1} << 22;  // converted between two writes
constexpr int64_t kUnitValues = int64_t{1} << 16;   // one piece of a thread's work

struct PlannedTensor {
  const SourceTensor* source;
  DType dtype;
  int64_t n_rows, n_columns;
  bool copies() const { return source->change == TensorChange::kNone && source->stored.dtype == dtype; }
};

bool is_quantised(DType dtype) { return dtype_info(dtype).block > 1; }

Result<std::vector<PlannedTensor>> plan(const ConvertSource& source, const QuantTarget& target) {
  const bool has_output =
      std::any_of(source.tensors.begin(), source.tensors.end(), [](const SourceTensor& tensor) { return tensor.name == "output.weight"; });
  std::vector<PlannedTensor> tensors;
  for (const SourceTensor& tensor : source.tensors) {
    const StoredTensor& stored = tensor.stored;
    DType dtype = choose_dtype(target, {tensor.name, stored.shape, source.n_layers, has_output}, stored.dtype);
    if (find_codec(stored.dtype) == nullptr) {
      if (tensor.change != TensorChange::kNone) {
        return Error{Code::kUnsupported, fmt::format("tensor {}: expected floating-point values, got {}", tensor.name, dtype_info(stored.dtype).name)};
      }
      dtype = stored.dtype;  // integers travel as they are
    }
    // A bias whose entries move is a matrix of one column.
    const bool is_column = stored.shape.empty() || (stored.shape.size() == 1 && tensor.change == TensorChange::kInterleaveHeads);
    const int64_t n_columns = is_column ? 1 : stored.shape.back();
    tensors.push_back({&tensor, dtype, n_columns > 0 ? stored.n_values() / n_columns : 0, n_columns});
  }
  return tensors;
}

// Writes the tensors one after the other and tells about it.
class Conversion {
 public:
  Conversion(const QuantizeOptions& options, GgufWriter& writer)
      : options_(options), writer_(writer), pool_(options.n_threads > 0 ? options.n_threads : available_cores()),
        scratch_(static_cast<size_t>(pool_.n_threads())) {}

  Status write_all(const std::vector<PlannedTensor>& tensors) {
    progress_.n_tensors = static_cast<int64_t>(tensors.size());
    for (const PlannedTensor& tensor : tensors) progress_.n_bytes += static_cast<int64_t>(tensor.source->stored.bytes);
    for (const PlannedTensor& tensor : tensors) {
      progress_.tensor = tensor.source->name;
      HANLIN_TRY(tensor.copies() || find_codec(tensor.dtype) == nullptr ? copy(tensor) : convert(tensor));
      ++progress_.n_tensors_done;
    }
    return report(0);
  }

 private:
  Status report(int64_t n_bytes) {
    progress_.n_bytes_done += n_bytes;
    if (options_.progress && !options_.progress(progress_)) return Error{Code::kCancelled, "conversion stopped on request"};
    return {};
  }

  Status copy(const PlannedTensor& tensor) {
    const std::span<const uint8_t> bytes(tensor.source->stored.data, tensor.source->stored.bytes);
    constexpr size_t kPiece = size_t{1} << 26;
    for (size_t at = 0; at < bytes.size(); at += kPiece) {
      const auto piece = bytes.subspan(at, std::min(kPiece, bytes.size() - at));
      HANLIN_TRY(writer_.write(piece));
      HANLIN_TRY(report(static_cast<int64_t>(piece.size())));
    }
    return {};
  }

  Status convert(const PlannedTensor& tensor) {
    const int64_t out_row_bytes = row_bytes(tensor.dtype, tensor.n_columns);
    const int64_t in_row_bytes = row_bytes(tensor.source->stored.dtype, tensor.n_columns);
    const int64_t chunk_rows = std::max<int64_t>(1, kChunkValues / tensor.n_columns);
    const int64_t unit_rows = std::max<int64_t>(1, kUnitValues / tensor.n_columns);
    for (int64_t first = 0; first < tensor.n_rows; first += chunk_rows) {
      const int64_t n_rows = std::min(chunk_rows, tensor.n_rows - first);
      out_.resize(static_cast<size_t>(n_rows * out_row_bytes));
      pool_.run((n_rows + unit_rows - 1) / unit_rows, [&](int64_t unit, int thread) {
        std::vector<float>& values = scratch_[static_cast<size_t>(thread)];
        values.resize(static_cast<size_t>(tensor.n_columns));
        for (int64_t row = unit * unit_rows; row < std::min((unit + 1) * unit_rows, n_rows); ++row) {
          convert_row(tensor, first + row, in_row_bytes, values.data(), out_.data() + row * out_row_bytes);
        }
      });
      HANLIN_TRY(writer_.write(out_));
      HANLIN_TRY(report(n_rows * in_row_bytes));
    }
    return {};
  }

  static void convert_row(const PlannedTensor& tensor, int64_t row, int64_t in_row_bytes, float* values, uint8_t* out) {
    const SourceTensor& source = *tensor.source;
    decode_row(source.stored.dtype, source.stored.data + source.stored_row(row) * in_row_bytes, tensor.n_columns, values);
    if (source.change == TensorChange::kAddOne) {
      for (int64_t i = 0; i < tensor.n_columns; ++i) values[i] += 1.0f;
    }
    encode_row(tensor.dtype, values, tensor.n_columns, out);
  }

  const QuantizeOptions& options_;
  GgufWriter& writer_;
  ComputePool pool_;
  std::vector<std::vector<float>> scratch_;  // one row per thread
  std::vector<uint8_t> out_;
  QuantizeProgress progress_;
};

Result<const QuantTarget*> require_target(const std::string& name) {
  if (const QuantTarget* target = find_quant_target(name)) return target;
  std::string known;
  for (const QuantTarget& target : quant_targets()) known += fmt::format("{}{}", known.empty() ? "" : " ", target.name);
  return Error{Code::kInvalidArgument, fmt::format("expected a quantisation type from {}, got {}", known, name), "target"};
}

}  // namespace

Result<QuantizeReport> quantize(const std::string& source_path, const std::string& output, const QuantizeOptions& options) {
  HANLIN_ASSIGN(const QuantTarget* target, require_target(options.target));
  std::error_code ignored;
  if (std::filesystem::equivalent(source_path, output, ignored)) {
    return Error{Code::kInvalidArgument, fmt::format("{}: expected an output other than the source", output), "output"};
  }
  HANLIN_ASSIGN(auto files, ModelFiles::open(source_path));
  HANLIN_ASSIGN(const ConvertSource source, files->gguf() != nullptr ? read_gguf_source(files) : read_hf_source(files));
  HANLIN_ASSIGN(const std::vector<PlannedTensor> tensors, plan(source, *target));

  HANLIN_ASSIGN(GgufWriter writer, GgufWriter::create(output));
  source.write_metadata(writer);
  writer.set_u32("general.quantization_version", 2);
  writer.set_u32("general.file_type", target->file_type);
  QuantizeReport report{source.architecture, static_cast<int64_t>(tensors.size())};
  report.has_tokenizer = source.has_tokenizer;
  for (const PlannedTensor& tensor : tensors) {
    const StoredTensor& stored = tensor.source->stored;
    HANLIN_TRY(writer.declare_tensor(tensor.source->name, tensor.dtype, stored.shape));
    report.source_bytes += static_cast<int64_t>(stored.bytes);
    report.output_bytes += row_bytes(tensor.dtype, stored.n_values());
    report.n_requantised += !tensor.copies() && is_quantised(stored.dtype);
  }
  HANLIN_TRY(Conversion(options, writer).write_all(tensors));
  HANLIN_TRY(writer.finish());
  return report;
}

}  // namespace hanlin
