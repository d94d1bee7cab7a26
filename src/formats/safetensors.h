// Reading and writing safetensors: one file, or the shards of a Hugging Face directory.
// Format: https://huggingface.co/docs/safetensors (8-byte header length, JSON header, data).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/mmap_file.h"
#include "base/result.h"
#include "formats/stored_tensor.h"

namespace hanlin {

// One mapped file. Tensors are views that live as long as this object; reading is safe from any thread.
class SafetensorsFile {
 public:
  // Errors: kNotFound, kIo; kCorrupt for a header that is not JSON of the format, offsets outside the file, overlapping
  // tensors, or bytes that do not fit dtype and shape; kUnsupported for element types we do not read.
  static Result<SafetensorsFile> open(const std::string& path);

  const std::string& path() const { return map_.path(); }
  const MmapFile& map() const { return map_; }
  // In the order of the header.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const StoredTensor* find(std::string_view name) const;  // null if absent
  // The strings of "__metadata__".
  const std::vector<std::pair<std::string, std::string>>& metadata() const { return metadata_; }
  // See MmapFile::drop_resident.
  void drop_resident() const { map_.drop_resident(); }

 private:
  explicit SafetensorsFile(MmapFile map) : map_(std::move(map)) {}
  MmapFile map_;
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
  std::vector<std::pair<std::string, std::string>> metadata_;
};

// All tensors of a directory: model.safetensors, or the files that model.safetensors.index.json names. Same lifetimes.
class SafetensorsSet {
 public:
  // Errors as for one file; kNotFound if the directory has neither; kCorrupt if the index and the files disagree or a
  // name occurs twice.
  static Result<SafetensorsSet> open(const std::string& directory);

  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const StoredTensor* find(std::string_view name) const;
  const std::vector<SafetensorsFile>& files() const { return files_; }
  void drop_resident() const;

 private:
  SafetensorsSet() = default;
  std::vector<SafetensorsFile> files_;
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

// Writes one file (atomically, through a temporary name). F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL. Data starts at a
// multiple of 8 bytes. Errors: kInvalidArgument for a quantised type, a repeated name, or bytes that do not fit the
// shape; kIo.
Status write_safetensors(const std::string& path, std::span<const StoredTensor> tensors,
                         std::span<const std::pair<std::string, std::string>> metadata = {});

}  // namespace hanlin
