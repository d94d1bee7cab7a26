#include <filesystem>

#include "formats/gguf.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

namespace hanlin {

Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::string& path) {
  HANLIN_ASSIGN(const GgufFile file, GgufFile::open(path));
  Result<TokenizerParts> parts = load_gguf_tokenizer(file);
  if (!parts) return std::move(parts).error().with_context(path);
  return std::shared_ptr<const Tokenizer>(std::make_shared<Tokenizer>(std::move(parts).value()));
}

}  // namespace hanlin
