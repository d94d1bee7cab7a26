#include <filesystem>

#include "base/mmap_file.h"
#include "formats/gguf.h"
#include "text/tokenizer.h"
#include "text/tokenizer_files.h"
#include "text/tokenizer_json_parts.h"
#include "text/tokenizer_parts.h"

namespace hanlin {
namespace {

namespace fs = std::filesystem;

bool wants_lower_case(const std::string& directory) {
  const Result<std::string> text = read_file(directory + "/tokenizer_config.json");
  if (!text) return true;
  const FastJson config = FastJson::parse(text->begin(), text->end(), nullptr, false);
  return json_bool(config, "do_lower_case", true);
}

Result<TokenizerParts> load_directory(const std::string& directory) {
  const auto file = [&directory](const char* name) { return directory + "/" + name; };
  Result<TokenizerParts> parts = Error{Code::kNotFound, directory + ": expected tokenizer.json, tokenizer.model, vocab.json with merges.txt or vocab.txt, found none"};
  if (fs::exists(file("tokenizer.json"))) {
    HANLIN_ASSIGN(const std::string text, read_file(file("tokenizer.json")));
    parts = parse_tokenizer_json(text);
  } else if (fs::exists(file("tokenizer.model"))) {
    HANLIN_ASSIGN(const std::string bytes, read_file(file("tokenizer.model")));
    HANLIN_ASSIGN(const std::vector<AddedToken> added, read_added_token_files(directory));
    parts = parse_sentencepiece_model(bytes, added);
  } else if (fs::exists(file("vocab.json")) || fs::exists(file("merges.txt"))) {
    HANLIN_ASSIGN(const std::string text, bpe_files_as_tokenizer_json(directory));
    parts = parse_tokenizer_json(text);
  } else if (fs::exists(file("vocab.txt"))) {
    HANLIN_ASSIGN(const std::string text, read_file(file("vocab.txt")));
    parts = parse_wordpiece_vocab(text, wants_lower_case(directory));
  } else {
    return parts;
  }
  if (!parts) return std::move(parts).error().with_context(directory);
  HANLIN_TRY(apply_tokenizer_config(directory, *parts));
  parts->finish();
  return parts;
}

Result<TokenizerParts> load_parts(const std::string& path) {
  if (fs::is_directory(path)) return load_directory(path);
  HANLIN_ASSIGN(const GgufFile file, GgufFile::open(path));
  Result<TokenizerParts> parts = load_gguf_tokenizer(file);
  if (!parts) return std::move(parts).error().with_context(path);
  return parts;
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::string& path) {
  HANLIN_ASSIGN(TokenizerParts parts, load_parts(path));
  return std::shared_ptr<const Tokenizer>(std::make_shared<Tokenizer>(std::move(parts)));
}

}  // namespace hanlin
