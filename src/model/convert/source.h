// A model as the list of what a GGUF file of it contains. Internal to model/convert/.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/gguf_writer.h"
#include "model/files.h"

namespace hanlin {

// How stored values become GGUF's.
enum class TensorChange {
  kNone,
  kInterleaveHeads,  // rows of q and k: halves of a head become pairs, for rotary pairs (2i, 2i + 1)
  kAddOne,           // norms stored as w of (1 + w)
};

struct SourceTensor {
  std::string name;  // in GGUF
  StoredTensor stored;
  TensorChange change = TensorChange::kNone;
  int64_t head_rows = 0;  // kInterleaveHeads: rows of one head

  // Row of `stored` that becomes row `row`.
  int64_t stored_row(int64_t row) const {
    if (change != TensorChange::kInterleaveHeads) return row;
    const int64_t in_head = row % head_rows;
    return row - in_head + in_head % 2 * (head_rows / 2) + in_head / 2;
  }
};

struct ConvertSource {
  std::string architecture;  // general.architecture
  int64_t n_layers = 0;
  bool has_tokenizer = false;
  std::vector<SourceTensor> tensors;
  std::function<void(GgufWriter&)> write_metadata;  // everything but file type and quantisation version
  // Keep the memory that `stored` and the closure point to.
  std::shared_ptr<const ModelFiles> files;
  std::vector<std::shared_ptr<const std::vector<float>>> computed;
};

Result<ConvertSource> read_gguf_source(std::shared_ptr<const ModelFiles> files);
Result<ConvertSource> read_hf_source(std::shared_ptr<const ModelFiles> files);

}  // namespace hanlin
