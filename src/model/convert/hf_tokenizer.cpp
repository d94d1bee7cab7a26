#include "model/convert/hf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/json.h"
#include "base/mmap_file.h"
#include "text/tokenizer_files.h"

namespace hanlin {
namespace {

constexpr size_t kMaxConfigBytes = size_t{64} << 20;

// A JSON object beside config.json; null (no value) where the file is absent.
Result<Json> read_object(const std::string& path) {
  auto text = read_file(path, kMaxConfigBytes);
  if (!text.ok() && text.error().code == Code::kNotFound) return Json();
  if (!text.ok()) return std::move(text).error();
  auto json = parse_json(*text);
  if (!json.ok()) return std::move(json).error().with_context(path);
  if (!json->is_object()) return Error{Code::kCorrupt, path + ": expected a JSON object"};
  return json;
}

const Json* member(const Json& object, const std::string& key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it != object.end() && !it->is_null() ? &*it : nullptr;
}

// "text" or {"content": "text"}.
std::string token_text(const Json* value) {
  if (value != nullptr && value->is_object()) value = member(*value, "content");
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

// Special tokens by name from tokenizer_config.json, by number from config.json (the first where there are several).
void read_special(const Json& tokenizer_config, const Json& config, TokenizerMetadata* out) {
  for (const auto& [name, key] : {std::pair{"bos", "bos_token"}, {"eos", "eos_token"}, {"unknown", "unk_token"}, {"padding", "pad_token"}}) {
    const std::string text = token_text(member(tokenizer_config, key));
    const auto it = std::find(out->tokens.begin(), out->tokens.end(), text);
    if (!text.empty() && it != out->tokens.end()) {
      out->special[name] = static_cast<uint32_t>(it - out->tokens.begin());
      continue;
    }
    const Json* id = member(config, std::string(key) + "_id");
    if (id != nullptr && id->is_array() && !id->empty()) id = &id->front();
    if (id != nullptr && id->is_number_unsigned() && id->get<uint64_t>() < out->tokens.size()) out->special[name] = id->get<uint32_t>();
  }
}

void read_flag(const Json& object, const char* key, std::optional<bool>* flag) {
  if (const Json* value = member(object, key); value != nullptr && value->is_boolean()) *flag = value->get<bool>();
}

// A string, or a list of named templates of which "default" is meant.
std::string read_chat_template(const Json& tokenizer_config, const std::string& directory) {
  if (auto file = read_file(directory + "/chat_template.jinja", kMaxConfigBytes); file.ok()) return std::move(file).value();
  const Json* value = member(tokenizer_config, "chat_template");
  if (value == nullptr) return "";
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) return "";
  for (const Json& entry : *value) {
    const Json *name = member(entry, "name"), *text = member(entry, "template");
    if (name != nullptr && *name == "default" && text != nullptr && text->is_string()) return text->get<std::string>();
  }
  return "";
}

// Tokens that stand beside a SentencePiece model. Those past the last row of the embedding are left out.
void place_added_tokens(const std::vector<AddedToken>& added, size_t n_vocab, TokenizerMetadata* out) {
  for (const AddedToken& token : added) {
    const auto id = static_cast<size_t>(token.id);
    if (id >= n_vocab) continue;
    if (id >= out->tokens.size()) {
      out->tokens.resize(id + 1);
      out->types.resize(id + 1, static_cast<int32_t>(GgufTokenType::kUnused));
      out->scores.resize(id + 1, 0.0f);
    }
    const auto old = static_cast<GgufTokenType>(out->types[id]);
    if (old == GgufTokenType::kUnknown || old == GgufTokenType::kByte) continue;
    out->tokens[id] = token.content;
    out->types[id] = static_cast<int32_t>(token.special ? GgufTokenType::kControl : GgufTokenType::kUserDefined);
  }
}

// The first of the files that the directory has; false if it has none of them.
Result<bool> read_tokenizer_files(const std::string& directory, size_t n_vocab, TokenizerMetadata* out) {
  const auto exists = [&](const char* name) {
    std::error_code ignored;
    return std::filesystem::exists(directory + "/" + name, ignored);
  };
  // tokenizer.model first where there is one: it has the true scores.
  if (exists("tokenizer.model")) {
    const std::string path = directory + "/tokenizer.model";
    HANLIN_ASSIGN(const std::string bytes, read_file(path));
    if (Status status = parse_tokenizer_model(bytes, out); !status.ok()) return Error(status.error()).with_context(path);
    HANLIN_ASSIGN(const std::vector<AddedToken> added, read_added_token_files(directory));
    place_added_tokens(added, n_vocab, out);
    return true;
  }
  std::string text;
  if (exists("tokenizer.json")) {
    HANLIN_ASSIGN(text, read_file(directory + "/tokenizer.json"));
  } else if (exists("vocab.json") || exists("merges.txt")) {
    HANLIN_ASSIGN(text, bpe_files_as_tokenizer_json(directory));
  } else {
    return false;
  }
  if (Status status = parse_tokenizer_json(text, out); !status.ok()) return Error(status.error()).with_context(directory + "/tokenizer.json");
  return true;
}

// Exactly as many tokens as the embedding has rows; every one with a text of its own.
void fit_vocabulary(size_t n_vocab, TokenizerMetadata* out) {
  out->tokens.resize(n_vocab);
  out->types.resize(n_vocab, static_cast<int32_t>(GgufTokenType::kUnused));
  if (out->model == "llama") out->scores.resize(n_vocab, 0.0f);
  for (size_t i = 0; i < n_vocab; ++i) {
    if (!out->tokens[i].empty()) continue;
    out->tokens[i] = fmt::format("[PAD{}]", i);
    out->types[i] = static_cast<int32_t>(GgufTokenType::kUnused);
  }
  std::erase_if(out->special, [&](const auto& entry) { return entry.second >= n_vocab; });
}

}  // namespace

Result<std::optional<TokenizerMetadata>> read_hf_tokenizer(const std::string& directory, const Json& config, int64_t n_vocab) {
  TokenizerMetadata tokenizer;
  HANLIN_ASSIGN(const Json tokenizer_config, read_object(directory + "/tokenizer_config.json"));
  HANLIN_ASSIGN(const bool found, read_tokenizer_files(directory, static_cast<size_t>(n_vocab), &tokenizer));
  if (!found) return std::optional<TokenizerMetadata>();
  read_special(tokenizer_config, config, &tokenizer);
  read_flag(tokenizer_config, "add_bos_token", &tokenizer.add_bos);
  read_flag(tokenizer_config, "add_eos_token", &tokenizer.add_eos);
  tokenizer.chat_template = read_chat_template(tokenizer_config, directory);
  fit_vocabulary(static_cast<size_t>(n_vocab), &tokenizer);
  return std::optional(std::move(tokenizer));
}

void write_tokenizer(const TokenizerMetadata& tokenizer, GgufWriter& writer) {
  writer.set_string("tokenizer.ggml.model", tokenizer.model);
  writer.set_string("tokenizer.ggml.pre", tokenizer.pre);
  writer.set_strings("tokenizer.ggml.tokens", tokenizer.tokens);
  if (tokenizer.model == "llama") writer.set_f32s("tokenizer.ggml.scores", tokenizer.scores);
  writer.set_i32s("tokenizer.ggml.token_type", tokenizer.types);
  if (tokenizer.model == "gpt2") writer.set_strings("tokenizer.ggml.merges", tokenizer.merges);
  for (const auto& [name, id] : tokenizer.special) writer.set_u32(fmt::format("tokenizer.ggml.{}_token_id", name), id);
  if (tokenizer.add_bos) writer.set_bool("tokenizer.ggml.add_bos_token", *tokenizer.add_bos);
  if (tokenizer.add_eos) writer.set_bool("tokenizer.ggml.add_eos_token", *tokenizer.add_eos);
  if (tokenizer.add_space_prefix) writer.set_bool("tokenizer.ggml.add_space_prefix", *tokenizer.add_space_prefix);
  if (!tokenizer.chat_template.empty()) writer.set_string("tokenizer.chat_template", tokenizer.chat_template);
}

}  // namespace hanlin
