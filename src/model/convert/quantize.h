// Writing a model as GGUF: from another GGUF file or from a Hugging Face directory, to any type.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hanlin {

struct QuantizeProgress {
  std::string_view tensor;   // being written
  int64_t n_tensors_done = 0, n_tensors = 0;
  int64_t n_bytes_done = 0, n_bytes = 0;  // of the source
};

struct QuantizeOptions {
  std::string target = "Q4_K_M";  // a name of quant_targets() (model/convert/target.h)
  int n_threads = 0;              // 0: all cores
  // Called from the calling thread a few times a second or once per tensor; false stops with kCancelled. May be empty.
  std::function<bool(const QuantizeProgress&)> progress = {};
};

struct QuantizeReport {
  std::string architecture;  // as written in the file
  int64_t n_tensors = 0;
  int64_t source_bytes = 0, output_bytes = 0;  // tensor data
  int64_t n_requantised = 0;   // tensors whose source was itself quantised: their errors add up
  bool has_tokenizer = false;  // false: the directory had none; the file computes but cannot read text
};

// `source`: what ModelFiles::open takes. Architectures from directories: llama, mistral, qwen2, qwen3, gemma3 (text);
// any from GGUF. The output appears only when it is complete. Errors: kInvalidArgument (unknown target, output equals
// source), kUnsupported (architecture, or a property that GGUF cannot express), kNotFound, kCorrupt, kIo, kCancelled.
Result<QuantizeReport> quantize(const std::string& source, const std::string& output, const QuantizeOptions& options);

}  // namespace hanlin
