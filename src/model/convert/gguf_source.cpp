#include <fmt/format.h>

#include <algorithm>

#include "model/convert/source.h"

namespace hanlin {
namespace {

// Entries that describe the old file rather than the model.
bool is_about_file(std::string_view key) {
  return key == "general.file_type" || key == "general.quantization_version" || key == "general.alignment" || key.starts_with("split.");
}

}  // namespace

Result<ConvertSource> read_gguf_source(std::shared_ptr<const ModelFiles> files) {
  const GgufFile& file = *files->gguf();
  ConvertSource source;
  HANLIN_ASSIGN(source.architecture, file.require_string("general.architecture"));
  source.n_layers = static_cast<int64_t>(std::min<uint64_t>(file.get_u64(source.architecture + ".block_count").value_or(0), 1 << 20));
  source.has_tokenizer = file.find("tokenizer.ggml.tokens") != nullptr;
  for (const GgufTensor& entry : file.tensors()) {
    HANLIN_ASSIGN(StoredTensor stored, file.tensor(entry.tensor.name));
    std::string name = stored.name;
    source.tensors.push_back({std::move(name), std::move(stored)});
  }
  source.write_metadata = [&file](GgufWriter& writer) {
    for (const auto& [key, value] : file.metadata()) {
      if (!is_about_file(key)) writer.set(key, value);
    }
  };
  source.files = std::move(files);
  return source;
}

}  // namespace hanlin
