// Reading GGUF files (versions 2 and 3, little-endian): metadata and tensor directory. Knows nothing of models.
// Format: "GGUF" specification, docs/gguf.md of ggml-org/ggml.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/mmap_file.h"
#include "base/result.h"
#include "formats/stored_tensor.h"

namespace hanlin {

// Value types of the metadata; the numbers are the format's.
enum class GgufType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };
const char* gguf_type_name(GgufType type);  // "u32", "string", …
// Bytes of a value of fixed size; 0 for strings and arrays.
size_t gguf_type_bytes(GgufType type);

constexpr uint32_t kGgufMaxDims = 4;  // of a tensor

// An array as it lies in the file: `bytes` holds its elements in the file's encoding, checked when the file was opened.
struct GgufArray {
  GgufType element_type = GgufType::kU8;
  uint64_t n = 0;
  std::span<const uint8_t> bytes;
};

// One metadata value. Unsigned and signed integers of all widths are widened, floats become double; `type` keeps the
// original one. Strings and arrays are views into the file.
struct GgufValue {
  GgufType type = GgufType::kU32;
  std::variant<uint64_t, int64_t, double, bool, std::string_view, GgufArray> data;

  // Each is empty if the value has another type. as_u64 and as_i64 take every integer type whose value fits;
  // as_f64 takes floats and integers; as_ints every integer array (and booleans); as_floats F32 and F64 arrays.
  std::optional<uint64_t> as_u64() const;
  std::optional<int64_t> as_i64() const;
  std::optional<double> as_f64() const;
  std::optional<bool> as_bool() const;
  std::optional<std::string_view> as_string() const;
  std::optional<std::vector<std::string_view>> as_strings() const;
  std::optional<std::vector<int64_t>> as_ints() const;
  std::optional<std::vector<float>> as_floats() const;
};

// An entry of the tensor directory. `tensor.shape` is row-major (the reverse of the order in the file).
// A type we do not know leaves `dtype` empty and `tensor.data` null; `raw_type` is its number in the format.
struct GgufTensor {
  uint32_t raw_type = 0;
  std::optional<DType> dtype;
  StoredTensor tensor;
};

// The numbers the format gives to types, both ways; empty where there is none.
std::optional<DType> dtype_from_gguf(uint32_t raw_type);
std::optional<uint32_t> dtype_to_gguf(DType dtype);

// An open GGUF model: one file, or all parts of a split one (name-00001-of-00003.gguf; any part may be named, the
// metadata is the first part's). Everything it returns is a view that lives as long as this object. Movable; reading is
// safe from any thread.
class GgufFile {
 public:
  // Errors name the file, what was expected and what came: kNotFound, kIo, kCorrupt, kUnsupported (other versions,
  // big-endian files).
  static Result<GgufFile> open(const std::string& path);

  const std::string& path() const { return path_; }
  uint32_t version() const { return version_; }

  // Metadata in the order of the file.
  const std::vector<std::pair<std::string, GgufValue>>& metadata() const { return metadata_; }
  const GgufValue* find(std::string_view key) const;  // null if absent
  // Empty if absent or of another type (rules of GgufValue::as_…).
  std::optional<std::string> get_string(std::string_view key) const;
  std::optional<uint64_t> get_u64(std::string_view key) const;
  std::optional<int64_t> get_i64(std::string_view key) const;
  std::optional<double> get_f64(std::string_view key) const;
  std::optional<bool> get_bool(std::string_view key) const;
  std::optional<std::vector<std::string_view>> get_strings(std::string_view key) const;
  std::optional<std::vector<int64_t>> get_ints(std::string_view key) const;
  std::optional<std::vector<float>> get_floats(std::string_view key) const;
  // For keys a reader cannot do without: the error says whether the key is missing or of the wrong type.
  Result<std::string> require_string(std::string_view key) const;
  Result<uint64_t> require_u64(std::string_view key) const;
  Result<double> require_f64(std::string_view key) const;

  // The directory in the order of the file(s).
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find_tensor(std::string_view name) const;  // null if absent
  // Errors: kNotFound; kUnsupported for a type we do not know.
  Result<StoredTensor> tensor(std::string_view name) const;

  // The mapped file(s), in the order of the parts.
  const std::vector<MmapFile>& parts() const { return parts_; }
  // Total size of the file(s).
  size_t n_bytes() const;
  // See MmapFile::drop_resident.
  void drop_resident() const;

 private:
  GgufFile() = default;
  Status add_part(const std::string& path);
  Status check_split(uint64_t n_parts) const;

  std::string path_;
  uint32_t version_ = 0;
  std::vector<MmapFile> parts_;
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::unordered_map<std::string, size_t> metadata_index_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string, size_t> tensor_index_;
};

}  // namespace hanlin
