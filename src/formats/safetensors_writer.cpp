#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>

#include "base/json.h"
#include "formats/safetensors.h"

namespace hanlin {
namespace {

// One entry of the header, as JSON text. Built as text because a tree that keeps the order of keys is quadratic.
std::string header_entry(const StoredTensor& tensor, uint64_t begin) {
  return fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", dump_json(Json(tensor.name)), dtype_info(tensor.dtype).name,
                     fmt::join(tensor.shape, ","), begin, begin + tensor.bytes);
}

Result<std::string> make_header(const std::string& path, std::span<const StoredTensor> tensors,
                                std::span<const std::pair<std::string, std::string>> metadata) {
  std::string header = "{";
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (size_t i = 0; i < metadata.size(); ++i) {
      header += fmt::format("{}{}:{}", i > 0 ? "," : "", dump_json(Json(metadata[i].first)), dump_json(Json(metadata[i].second)));
    }
    header += '}';
  }
  std::set<std::string> names{"__metadata__"};
  uint64_t begin = 0;
  for (const StoredTensor& tensor : tensors) {
    const DTypeInfo& info = dtype_info(tensor.dtype);
    if (info.block != 1) {
      return Error{Code::kInvalidArgument, fmt::format("{}: tensor {}: safetensors has no type {}", path, tensor.name, info.name)};
    }
    if (static_cast<uint64_t>(tensor.n_values() * info.bytes) != tensor.bytes) {
      return Error{Code::kInvalidArgument, fmt::format("{}: tensor {}: expected {} bytes, got {}", path, tensor.name,
                                                       tensor.n_values() * info.bytes, tensor.bytes)};
    }
    if (!names.insert(tensor.name).second) {
      return Error{Code::kInvalidArgument, fmt::format("{}: tensor name {} is used twice or reserved", path, tensor.name)};
    }
    if (header.size() > 1) header += ',';
    header += header_entry(tensor, begin);
    begin += tensor.bytes;
  }
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');  // the data starts aligned
  return header;
}

// A temporary file that is removed unless it was renamed.
struct TemporaryFile {
  std::string path;
  std::FILE* file = nullptr;
  ~TemporaryFile() {
    if (file == nullptr) return;
    std::fclose(file);
    ::unlink(path.c_str());
  }
  bool write(const void* data, size_t n) const { return n == 0 || std::fwrite(data, 1, n, file) == n; }
};

}  // namespace

Status write_safetensors(const std::string& path, std::span<const StoredTensor> tensors,
                         std::span<const std::pair<std::string, std::string>> metadata) {
  HANLIN_ASSIGN(const std::string header, make_header(path, tensors, metadata));
  TemporaryFile out{fmt::format("{}.tmp{}", path, ::getpid())};
  out.file = std::fopen(out.path.c_str(), "wbe");
  if (out.file == nullptr) return Error{Code::kIo, fmt::format("{}: cannot create: {}", out.path, std::strerror(errno))};
  const uint64_t n_header = header.size();
  bool written = out.write(&n_header, sizeof n_header) && out.write(header.data(), header.size());
  for (const StoredTensor& tensor : tensors) written = written && out.write(tensor.data, tensor.bytes);
  written = written && std::fflush(out.file) == 0 && ::fsync(::fileno(out.file)) == 0 && ::rename(out.path.c_str(), path.c_str()) == 0;
  if (!written) return Error{Code::kIo, fmt::format("{}: cannot write: {}", path, std::strerror(errno))};
  std::fclose(out.file);
  out.file = nullptr;
  return {};
}

}  // namespace hanlin
