#include "formats/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "formats/safetensors_header.h"

namespace hanlin {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's bound
constexpr std::string_view kSingleName = "model.safetensors", kIndexName = "model.safetensors.index.json";

// The format's names are ours for all types we read from it, except that quantised types have none.
const DTypeInfo* find_plain_dtype(std::string_view name) {
  const DTypeInfo* info = find_dtype(name);
  return info != nullptr && info->block == 1 && info->name == name ? info : nullptr;
}

Result<StoredTensor> place(const SafetensorsEntry& entry, const uint8_t* data, uint64_t n_data_bytes) {
  const std::string where = "tensor " + entry.name.substr(0, 80);
  const DTypeInfo* info = find_plain_dtype(entry.dtype);
  if (info == nullptr) {
    return Error{Code::kUnsupported, fmt::format("{}: expected a type from F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL, got {}", where,
                                                 entry.dtype.substr(0, 40))};
  }
  if (entry.begin > entry.end || entry.end > n_data_bytes) {
    return Error{Code::kCorrupt, fmt::format("{}: expected data within {} bytes, got {} to {} (is the file cut off?)", where, n_data_bytes,
                                             entry.begin, entry.end)};
  }
  int64_t n_bytes = info->bytes;
  bool fits = true;
  for (const int64_t size : entry.shape) fits = fits && !__builtin_mul_overflow(n_bytes, size, &n_bytes);
  if (!fits || static_cast<uint64_t>(n_bytes) != entry.end - entry.begin) {
    return Error{Code::kCorrupt, fmt::format("{}: expected {} for {} of shape [{}], got {} bytes", where,
                                             fits ? fmt::format("{} bytes", n_bytes) : "a shape that fits 63 bits", entry.dtype,
                                             fmt::join(entry.shape, ", "), entry.end - entry.begin)};
  }
  return StoredTensor{entry.name, info->dtype, entry.shape, data + entry.begin, static_cast<size_t>(n_bytes)};
}

Status check_overlaps(std::vector<SafetensorsEntry> entries) {
  std::erase_if(entries, [](const SafetensorsEntry& entry) { return entry.begin == entry.end; });
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  for (size_t i = 1; i < entries.size(); ++i) {
    if (entries[i].begin < entries[i - 1].end) {
      return Error{Code::kCorrupt, fmt::format("expected tensors that do not overlap, got {} inside {}", entries[i].name.substr(0, 80),
                                               entries[i - 1].name.substr(0, 80))};
    }
  }
  return {};
}

Result<std::vector<StoredTensor>> read_tensors(const SafetensorsHeader& header, const uint8_t* data, uint64_t n_data_bytes) {
  std::vector<StoredTensor> tensors;
  tensors.reserve(header.entries.size());
  for (const SafetensorsEntry& entry : header.entries) {
    HANLIN_ASSIGN(StoredTensor tensor, place(entry, data, n_data_bytes));
    tensors.push_back(std::move(tensor));
  }
  HANLIN_TRY(check_overlaps(header.entries));
  return tensors;
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  HANLIN_ASSIGN(MmapFile map, MmapFile::open(path));
  SafetensorsFile file(std::move(map));
  const std::span<const uint8_t> bytes = file.map_.bytes();
  uint64_t n_header = 0;
  if (bytes.size() < sizeof n_header) {
    return Error{Code::kCorrupt, fmt::format("{}: expected at least 8 bytes, got {}", path, bytes.size())};
  }
  std::memcpy(&n_header, bytes.data(), sizeof n_header);
  const uint64_t left = bytes.size() - sizeof n_header;
  if (n_header > std::min(left, kMaxHeaderBytes)) {
    return Error{Code::kCorrupt, fmt::format("{}: expected a header of at most {} bytes, got {} (is this a safetensors file?)", path,
                                             std::min(left, kMaxHeaderBytes), n_header)};
  }
  auto header = parse_safetensors_header({reinterpret_cast<const char*>(bytes.data()) + sizeof n_header, n_header});
  if (!header.ok()) return std::move(header).error().with_context(path + ": header");
  auto tensors = read_tensors(*header, bytes.data() + sizeof n_header + n_header, left - n_header);
  if (!tensors.ok()) return std::move(tensors).error().with_context(path);
  file.tensors_ = std::move(tensors).value();
  file.metadata_ = std::move(header->metadata);
  for (size_t i = 0; i < file.tensors_.size(); ++i) {
    if (!file.index_.emplace(file.tensors_[i].name, i).second) {
      return Error{Code::kCorrupt, fmt::format("{}: expected each tensor once, got {} twice", path, file.tensors_[i].name.substr(0, 80))};
    }
  }
  return file;
}

const StoredTensor* SafetensorsFile::find(std::string_view name) const {
  const auto it = index_.find(std::string(name));
  return it != index_.end() ? &tensors_[it->second] : nullptr;
}

Result<SafetensorsSet> SafetensorsSet::open(const std::string& directory) {
  SafetensorsSet set;
  const std::string index_path = fmt::format("{}/{}", directory, kIndexName);
  std::map<std::string, size_t> n_expected;  // tensors that the index says are in a file
  std::vector<std::pair<std::string, std::string>> weight_map;
  if (auto text = read_file(index_path); text.ok()) {
    auto parsed = parse_safetensors_index(*text);
    if (!parsed.ok()) return std::move(parsed).error().with_context(index_path);
    weight_map = std::move(parsed).value();
    for (const auto& [tensor, file] : weight_map) {
      if (file.empty() || file.find('/') != std::string::npos || file.find('\0') != std::string::npos || file[0] == '.') {
        return Error{Code::kCorrupt, fmt::format("{}: expected names of files in the same directory, got {}", index_path, file.substr(0, 80))};
      }
      ++n_expected[file];
    }
  } else if (text.error().code == Code::kNotFound) {
    n_expected[std::string(kSingleName)] = 0;
  } else {
    return std::move(text).error();
  }
  for (const auto& [name, count] : n_expected) {
    auto file = SafetensorsFile::open(fmt::format("{}/{}", directory, name));
    if (!file.ok() && file.error().code == Code::kNotFound && weight_map.empty()) {
      return Error{Code::kNotFound, fmt::format("{}: expected {} or {}, got neither", directory, kSingleName, kIndexName)};
    }
    if (!file.ok()) return std::move(file).error();
    set.files_.push_back(std::move(file).value());
  }
  for (const SafetensorsFile& file : set.files_) {
    for (const StoredTensor& tensor : file.tensors()) {
      if (!set.index_.emplace(tensor.name, set.tensors_.size()).second) {
        return Error{Code::kCorrupt, fmt::format("{}: expected each tensor in one file, got {} in two", directory, tensor.name.substr(0, 80))};
      }
      set.tensors_.push_back(tensor);
    }
  }
  for (const auto& [tensor, file] : weight_map) {
    if (set.find(tensor) == nullptr) {
      return Error{Code::kCorrupt, fmt::format("{}: expected tensor {} in {}, got a file without it", index_path, tensor.substr(0, 80), file)};
    }
  }
  return set;
}

const StoredTensor* SafetensorsSet::find(std::string_view name) const {
  const auto it = index_.find(std::string(name));
  return it != index_.end() ? &tensors_[it->second] : nullptr;
}

void SafetensorsSet::drop_resident() const {
  for (const SafetensorsFile& file : files_) file.drop_resident();
}

}  // namespace hanlin
