// The files of one model, opened: a GGUF file, or a Hugging Face directory (config.json, safetensors).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"

namespace hanlin {

// Immutable after open(); tensors are views that live as long as this object. Reading is safe from any thread.
class ModelFiles {
 public:
  // `path`: a .gguf file, a directory with config.json and safetensors, or a directory with exactly one .gguf.
  // Errors say what was looked for: kNotFound, kCorrupt, kUnsupported.
  static Result<std::shared_ptr<const ModelFiles>> open(const std::string& path);
  ~ModelFiles();

  const std::string& path() const { return path_; }
  const GgufFile* gguf() const { return gguf_ ? &*gguf_ : nullptr; }
  // config.json; null for GGUF.
  const Json* config() const { return config_.get(); }
  // A JSON file beside config.json, or null where it is absent or not JSON. Directories only.
  std::unique_ptr<Json> side_file(const std::string& name) const;

  // The tensor called `name` in the file's own naming, or null.
  const StoredTensor* find(const std::string& name) const;
  std::vector<const StoredTensor*> tensors() const;
  int64_t n_parameters() const;
  // Bytes of all matrices (tensors of two dimensions) in the files.
  int64_t matrix_bytes() const;
  // The mapped files that hold the tensors, always in the same order.
  std::vector<const MmapFile*> maps() const;
  // Tells the system that the mapped pages are not needed any more (weights were packed).
  void drop_resident() const;

 private:
  ModelFiles() = default;
  std::string path_;
  std::optional<GgufFile> gguf_;
  std::optional<SafetensorsSet> safetensors_;
  std::unique_ptr<Json> config_;
};

}  // namespace hanlin
