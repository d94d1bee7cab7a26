#include "text/tokenizer_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "base/mmap_file.h"
#include "text/known_regexes.h"
#include "text/tokenizer_json_parts.h"

namespace hanlin {
namespace {

constexpr size_t kMaxBytes = size_t{256} << 20;

// How a family of tokenisers splits; what `transformers` calls its conversion to a fast tokeniser.
enum class Family { kGpt2, kQwen2, kRoberta };

// Names of tokens with a role, wherever they are written. Their texts are recognised in prompts.
std::set<std::string> named_tokens(const FastJson& config, const FastJson& map) {
  std::set<std::string> names;
  for (const FastJson* source : {&map, &config}) {
    for (const char* key : {"bos_token", "eos_token", "unk_token", "pad_token", "cls_token", "sep_token", "mask_token"}) {
      names.insert(special_token_name(*source, key));
    }
    const FastJson* more = json_find(*source, "additional_special_tokens");
    if (more == nullptr || !more->is_array()) continue;
    for (const FastJson& token : *more) names.insert(token.is_string() ? token.get<std::string>() : json_string(token, "content"));
  }
  names.erase("");
  return names;
}

Error bad_entry(const std::string& path, const std::string& key) {
  return Error{Code::kCorrupt, fmt::format("{}: expected ids from 0 to {} and texts of added tokens, got \"{}\"", path, kMaxVocabulary - 1, key.substr(0, 40))};
}

Result<std::vector<AddedToken>> read_decoder(const FastJson& decoder, const std::string& path) {
  std::vector<AddedToken> tokens;
  for (const auto& [key, value] : decoder.items()) {
    AddedToken token;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
    token.content = value.is_string() ? value.get<std::string>() : json_string(value, "content");
    if (error != std::errc() || end != key.data() + key.size() || token.id < 0 || token.id >= kMaxVocabulary || token.content.empty()) {
      return bad_entry(path, key);
    }
    token.special = json_bool(value, "special", false);
    token.lstrip = json_bool(value, "lstrip", false);
    token.rstrip = json_bool(value, "rstrip", false);
    token.single_word = json_bool(value, "single_word", false);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

Result<std::vector<AddedToken>> read_added_tokens_json(const FastJson& object, const std::set<std::string>& named, const std::string& path) {
  std::vector<AddedToken> tokens;
  for (const auto& [text, id] : object.items()) {
    const int64_t number = id.is_number_integer() ? id.get<int64_t>() : -1;
    if (number < 0 || number >= kMaxVocabulary || text.empty()) return bad_entry(path, text);
    AddedToken token;
    token.id = static_cast<int32_t>(number);
    token.content = text;
    token.special = named.contains(text);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

Result<Family> find_family(const std::string& directory, const FastJson& config) {
  std::string name = json_string(config, "tokenizer_class");
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  if (name == "GPT2Tokenizer" || name == "CodeGenTokenizer") return Family::kGpt2;
  if (name == "Qwen2Tokenizer") return Family::kQwen2;
  if (name == "RobertaTokenizer" || name == "BartTokenizer" || name == "LongformerTokenizer") return Family::kRoberta;
  if (!name.empty()) {
    return Error{Code::kUnsupported, fmt::format("tokenizer_config.json: expected tokenizer_class GPT2Tokenizer, Qwen2Tokenizer or RobertaTokenizer for "
                                                 "vocab.json with merges.txt, got '{}'; a tokenizer.json, which transformers' AutoTokenizer saves, would do",
                                                 name)};
  }
  HANLIN_ASSIGN(const FastJson model, read_json_object(directory + "/config.json"));
  const std::string type = json_string(model, "model_type");
  return type.starts_with("qwen") ? Family::kQwen2 : type == "roberta" ? Family::kRoberta : Family::kGpt2;
}

// One merge a line, "left right"; the first line may name a version.
FastJson read_merges(std::string_view text) {
  FastJson merges = FastJson::array();
  for (bool first = true; !text.empty(); first = false) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty() || (first && line.starts_with("#version"))) continue;
    merges.push_back(line);
  }
  return merges;
}

// The sections around the model.
void add_rules(Family family, const FastJson& config, const FastJson& vocab, FastJson& root) {
  const bool space = json_bool(config, "add_prefix_space", false);
  root["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", space}, {"use_regex", family != Family::kQwen2}};
  if (family == Family::kQwen2) {
    const FastJson split = {{"type", "Split"}, {"pattern", {{"Regex", kQwen2Regex}}}, {"behavior", "Isolated"}};
    root["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", FastJson::array({split, root["pre_tokenizer"]})}};
    root["normalizer"] = {{"type", "NFC"}};
  }
  const auto pair = [&](const char* key, const char* fallback) {
    const std::string configured = special_token_name(config, key), name = configured.empty() ? fallback : configured;
    return FastJson::array({name, vocab.contains(name) ? vocab[name] : FastJson(-1)});
  };
  if (family == Family::kRoberta) {
    root["post_processor"] = {{"type", "RobertaProcessing"}, {"cls", pair("cls_token", "<s>")}, {"sep", pair("sep_token", "</s>")}};
  } else if (const FastJson bos = pair("bos_token", "<|endoftext|>"); json_bool(config, "add_bos_token", false) && bos[1] != -1) {
    const FastJson token = {{"SpecialToken", {{"id", bos[0]}, {"type_id", 0}}}};
    const auto text = [](const char* id) { return FastJson{{"Sequence", {{"id", id}, {"type_id", 0}}}}; };
    root["post_processor"] = {{"type", "TemplateProcessing"}, {"single", FastJson::array({token, text("A")})},
                              {"pair", FastJson::array({token, text("A"), token, text("B")})},
                              {"special_tokens", {{bos[0].get<std::string>(), {{"id", bos[0]}, {"ids", {bos[1]}}, {"tokens", {bos[0]}}}}}}};
  }
}

}  // namespace

Result<std::vector<AddedToken>> read_added_token_files(const std::string& directory) {
  const std::string config_path = directory + "/tokenizer_config.json", list_path = directory + "/added_tokens.json";
  HANLIN_ASSIGN(const FastJson config, read_json_object(config_path));
  std::vector<AddedToken> tokens;
  if (const FastJson* decoder = json_find(config, "added_tokens_decoder"); decoder != nullptr && decoder->is_object()) {
    HANLIN_ASSIGN(tokens, read_decoder(*decoder, config_path));
  } else {
    HANLIN_ASSIGN(const FastJson map, read_json_object(directory + "/special_tokens_map.json"));
    HANLIN_ASSIGN(const FastJson list, read_json_object(list_path));
    HANLIN_ASSIGN(tokens, read_added_tokens_json(list, named_tokens(config, map), list_path));
  }
  std::sort(tokens.begin(), tokens.end(), [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  return tokens;
}

Result<std::string> bpe_files_as_tokenizer_json(const std::string& directory) {
  const std::string vocab_path = directory + "/vocab.json", merges_path = directory + "/merges.txt";
  for (const auto& [path, other] : {std::pair{vocab_path, merges_path}, std::pair{merges_path, vocab_path}}) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) return Error{Code::kNotFound, fmt::format("{}: expected beside {}, found no such file", path, other)};
  }
  HANLIN_ASSIGN(const FastJson config, read_json_object(directory + "/tokenizer_config.json"));
  HANLIN_ASSIGN(const FastJson map, read_json_object(directory + "/special_tokens_map.json"));
  HANLIN_ASSIGN(const Family family, find_family(directory, config));
  HANLIN_ASSIGN(FastJson vocab, read_json_object(vocab_path));
  HANLIN_ASSIGN(const std::string merges, read_file(merges_path, kMaxBytes));
  HANLIN_ASSIGN(std::vector<AddedToken> added, read_added_token_files(directory));

  // Tokens of the vocabulary that have a role are recognised in texts, too.
  std::set<std::string> named = named_tokens(config, map);
  if (family == Family::kRoberta) named.insert({"<s>", "</s>", "<pad>", "<unk>", "<mask>"});
  else named.insert("<|endoftext|>");
  for (const AddedToken& token : added) named.erase(token.content);
  for (const std::string& name : named) {
    if (!vocab.contains(name) || !vocab[name].is_number_integer()) continue;
    AddedToken token;
    token.id = vocab[name].get<int32_t>();
    token.content = name;
    token.special = true;
    token.lstrip = name == "<mask>" && family == Family::kRoberta;
    added.push_back(std::move(token));
  }
  FastJson list = FastJson::array();
  for (const AddedToken& token : added) {
    list.push_back({{"id", token.id}, {"content", token.content}, {"special", token.special}, {"lstrip", token.lstrip},
                    {"rstrip", token.rstrip}, {"single_word", token.single_word}, {"normalized", false}});
  }
  FastJson root = {{"version", "1.0"}, {"added_tokens", std::move(list)}, {"decoder", {{"type", "ByteLevel"}}}};
  add_rules(family, config, vocab, root);
  root["model"] = {{"type", "BPE"}, {"merges", read_merges(merges)}};
  root["model"]["vocab"] = std::move(vocab);
  return root.dump(-1, ' ', false, FastJson::error_handler_t::replace);
}

}  // namespace hanlin
