// What stands beside tokenizer.json in a Hugging Face directory: tokenizer_config.json, special_tokens_map.json,
// chat_template.jinja, generation_config.json.
#include <filesystem>

#include "base/mmap_file.h"
#include "text/tokenizer_json_parts.h"

namespace hanlin {
namespace {

void read_special_tokens(const FastJson& config, TokenizerParts& parts) {
  const std::pair<const char*, std::optional<int32_t>*> names[] = {
      {"bos_token", &parts.bos}, {"eos_token", &parts.eos}, {"pad_token", &parts.pad}, {"unk_token", &parts.unk},
      {"cls_token", &parts.cls}, {"sep_token", &parts.sep}, {"mask_token", &parts.mask}};
  for (const auto& [key, slot] : names) {
    const std::string name = special_token_name(config, key);
    const int32_t id = name.empty() ? -1 : parts.vocabulary->find(name);
    if (id >= 0) *slot = id;
  }
}

// A template is a string, or a list of named ones of which "default" counts.
std::string template_of(const FastJson& config) {
  const FastJson* value = json_find(config, "chat_template");
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) return {};
  for (const FastJson& entry : *value) {
    if (json_string(entry, "name") == "default") return json_string(entry, "template");
  }
  return {};
}

// The Llama family lets its configuration overrule the post-processor of tokenizer.json.
void apply_add_tokens(const FastJson& config, TokenizerParts& parts) {
  const std::string tokenizer_class = json_string(config, "tokenizer_class");
  bool overrules = false;
  for (const char* prefix : {"Llama", "CodeLlama", "Gemma"}) overrules = overrules || tokenizer_class.rfind(prefix, 0) == 0;
  if (!overrules) return;
  for (std::vector<TemplatePiece>* pieces : {&parts.single, &parts.pair}) {
    if (const FastJson* add = json_find(config, "add_bos_token"); add != nullptr && add->is_boolean() && parts.bos) {
      const bool there = pieces->front().id == *parts.bos;
      if (add->get<bool>() && !there) pieces->insert(pieces->begin(), {*parts.bos, 0});
      if (!add->get<bool>() && there) pieces->erase(pieces->begin());
    }
    if (const FastJson* add = json_find(config, "add_eos_token"); add != nullptr && add->is_boolean() && parts.eos) {
      const bool there = pieces->back().id == *parts.eos;
      if (add->get<bool>() && !there) pieces->push_back({*parts.eos, 0});
      if (!add->get<bool>() && there) pieces->pop_back();
    }
  }
}

void read_generation_ends(const FastJson& config, TokenizerParts& parts) {
  const FastJson* value = json_find(config, "eos_token_id");
  if (value == nullptr) return;
  const auto add = [&parts](const FastJson& id) {
    if (!id.is_number_integer()) return;
    const auto number = id.get<int64_t>();
    if (number >= 0 && number < parts.vocabulary->size()) parts.end_of_generation.push_back(static_cast<int32_t>(number));
  };
  if (value->is_array()) {
    for (const FastJson& id : *value) add(id);
  } else {
    add(*value);
  }
}

}  // namespace

Result<FastJson> read_json_object(const std::string& path) {
  if (!std::filesystem::exists(path)) return FastJson::object();
  HANLIN_ASSIGN(const std::string text, read_file(path, size_t{64} << 20));
  FastJson json = FastJson::parse(text.begin(), text.end(), nullptr, false);
  if (json.is_discarded() || !json.is_object()) return Error{Code::kCorrupt, path + ": expected a JSON object, got something else"};
  return json;
}

std::string special_token_name(const FastJson& config, const char* key) {
  const FastJson* value = json_find(config, key);
  if (value == nullptr) return {};
  return value->is_string() ? value->get<std::string>() : json_string(*value, "content");
}

Status apply_tokenizer_config(const std::string& directory, TokenizerParts& parts) {
  const std::string prefix = directory + "/";
  HANLIN_ASSIGN(const FastJson map, read_json_object(prefix + "special_tokens_map.json"));
  read_special_tokens(map, parts);
  HANLIN_ASSIGN(const FastJson config, read_json_object(prefix + "tokenizer_config.json"));
  read_special_tokens(config, parts);
  apply_add_tokens(config, parts);
  const FastJson* length = json_find(config, "model_max_length");
  if (length != nullptr && length->is_number()) {  // "no limit" is written as a number around 1e30
    const double value = length->get<double>();
    if (value >= 1 && value < 1e9) parts.max_length = static_cast<int64_t>(value);
  }
  parts.chat_template = template_of(config);
  const std::string jinja = prefix + "chat_template.jinja";
  if (std::filesystem::exists(jinja)) {
    HANLIN_ASSIGN(parts.chat_template, read_file(jinja, size_t{16} << 20));
  }
  HANLIN_ASSIGN(const FastJson generation, read_json_object(prefix + "generation_config.json"));
  read_generation_ends(generation, parts);
  return {};
}

}  // namespace hanlin
