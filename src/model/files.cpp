#include "model/files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/json.h"

namespace hanlin {
namespace fs = std::filesystem;

ModelFiles::~ModelFiles() = default;

Result<std::shared_ptr<const ModelFiles>> ModelFiles::open(const std::string& path) {
  std::shared_ptr<ModelFiles> files(new ModelFiles);
  files->path_ = path;
  std::error_code ec;
  if (!fs::exists(path, ec)) return Error{Code::kNotFound, fmt::format("{}: no such model file or directory", path)};
  std::string gguf_path;
  if (fs::is_directory(path, ec)) {
    if (!fs::exists(fs::path(path) / "config.json", ec)) {
      std::vector<std::string> found;
      for (const auto& entry : fs::directory_iterator(path, ec)) {
        if (entry.path().extension() == ".gguf") found.push_back(entry.path());
      }
      if (found.size() != 1) {
        return Error{Code::kNotFound, fmt::format("{}: expected config.json with safetensors, or exactly one .gguf file; found {} .gguf files", path, found.size())};
      }
      gguf_path = found[0];
    }
  } else {
    gguf_path = path;
  }
  if (!gguf_path.empty()) {
    HANLIN_ASSIGN(GgufFile gguf, GgufFile::open(gguf_path));
    files->gguf_.emplace(std::move(gguf));
    return std::shared_ptr<const ModelFiles>(std::move(files));
  }
  const std::string config_path = path + "/config.json";
  HANLIN_ASSIGN(const std::string text, read_file(config_path, size_t{16} << 20));
  auto config = parse_json(text);
  if (!config.ok()) return std::move(config).error().with_context(config_path);
  if (!config->is_object()) return Error{Code::kCorrupt, config_path + ": expected a JSON object"};
  files->config_ = std::make_unique<Json>(std::move(*config));
  HANLIN_ASSIGN(SafetensorsSet tensors, SafetensorsSet::open(path));
  files->safetensors_.emplace(std::move(tensors));
  return std::shared_ptr<const ModelFiles>(std::move(files));
}

std::unique_ptr<Json> ModelFiles::side_file(const std::string& name) const {
  if (!config_) return nullptr;
  const auto text = read_file(path_ + "/" + name, size_t{16} << 20);
  if (!text.ok()) return nullptr;
  auto json = parse_json(*text);
  return json.ok() ? std::make_unique<Json>(std::move(*json)) : nullptr;
}

const StoredTensor* ModelFiles::find(const std::string& name) const {
  if (safetensors_) return safetensors_->find(name);
  const GgufTensor* tensor = gguf_->find_tensor(name);
  return tensor != nullptr && tensor->dtype ? &tensor->tensor : nullptr;
}

std::vector<const StoredTensor*> ModelFiles::tensors() const {
  std::vector<const StoredTensor*> all;
  if (safetensors_) {
    for (const StoredTensor& tensor : safetensors_->tensors()) all.push_back(&tensor);
  } else {
    for (const GgufTensor& tensor : gguf_->tensors()) all.push_back(&tensor.tensor);
  }
  return all;
}

int64_t ModelFiles::n_parameters() const {
  int64_t n = 0;
  for (const StoredTensor* tensor : tensors()) n += tensor->n_values();
  return n;
}

int64_t ModelFiles::matrix_bytes() const {
  size_t n_bytes = 0;
  for (const StoredTensor* tensor : tensors()) n_bytes += tensor->shape.size() == 2 ? tensor->bytes : 0;
  return static_cast<int64_t>(n_bytes);
}

std::vector<const MmapFile*> ModelFiles::maps() const {
  std::vector<const MmapFile*> all;
  if (safetensors_) {
    for (const SafetensorsFile& file : safetensors_->files()) all.push_back(&file.map());
  } else {
    for (const MmapFile& part : gguf_->parts()) all.push_back(&part);
  }
  return all;
}

void ModelFiles::drop_resident() const {
  if (safetensors_) safetensors_->drop_resident();
  else gguf_->drop_resident();
}

}  // namespace hanlin
