// tokenizer.json of huggingface/tokenizers: byte-level BPE (GPT-2, Llama 3, Qwen, SmolLM …) and SentencePiece-style BPE
// with byte fallback (Llama 2, Gemma).
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/json.h"
#include "model/convert/hf_tokenizer.h"
#include "text/gguf_pretokenizers.h"
#include "text/known_regexes.h"

namespace hanlin {
namespace {

// Keys sorted rather than kept in order: a vocabulary of 10^5 keys would take hours in a tree that keeps their order.
using SortedJson = nlohmann::json;

constexpr int64_t kMaxTokens = int64_t{1} << 22;
constexpr float kUnmergedScore = -1e6f;  // tokens that no merge makes

// Names that GGUF readers know, tried in this order.
constexpr std::string_view kPreTokenizers[] = {"llama-bpe", "qwen2",       "smollm", "gpt-2",       "deepseek-llm", "deepseek-coder",
                                               "tekken",    "deepseek-v3", "gpt-4o", "stablelm2",   "dbrx",         "falcon"};

const SortedJson* member(const SortedJson& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it != object.end() && !it->is_null() ? &*it : nullptr;
}
std::string text_of(const SortedJson* value) { return value != nullptr && value->is_string() ? value->get<std::string>() : ""; }
bool flag_of(const SortedJson* value, bool fallback) { return value != nullptr && value->is_boolean() ? value->get<bool>() : fallback; }

Error corrupt(std::string message) { return Error{Code::kCorrupt, std::move(message)}; }

Result<int64_t> token_id(const SortedJson& value) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() >= static_cast<uint64_t>(kMaxTokens)) {
    return corrupt(fmt::format("expected token ids from 0 to {}", kMaxTokens - 1));
  }
  return value.get<int64_t>();
}

void put_token(int64_t id, const std::string& text, GgufTokenType type, TokenizerMetadata* out) {
  const auto at = static_cast<size_t>(id);
  if (at >= out->tokens.size()) {
    out->tokens.resize(at + 1);
    out->types.resize(at + 1, static_cast<int32_t>(GgufTokenType::kUnused));
  }
  out->tokens[at] = text;
  out->types[at] = static_cast<int32_t>(type);
}

bool is_byte_token(const std::string& text) { return text.size() == 6 && text.starts_with("<0x") && text.back() == '>'; }

Status read_vocabulary(const SortedJson& model, TokenizerMetadata* out) {
  const SortedJson* vocabulary = member(model, "vocab");
  if (vocabulary == nullptr || !vocabulary->is_object()) return corrupt("expected model.vocab, an object of token ids");
  const std::string unknown = text_of(member(model, "unk_token"));
  for (const auto& [text, value] : vocabulary->items()) {
    HANLIN_ASSIGN(const int64_t id, token_id(value));
    GgufTokenType type = GgufTokenType::kNormal;
    if (out->model == "llama" && is_byte_token(text)) type = GgufTokenType::kByte;
    if (out->model == "llama" && text == unknown) type = GgufTokenType::kUnknown;
    put_token(id, text, type, out);
    if (!unknown.empty() && text == unknown) out->special["unknown"] = static_cast<uint32_t>(id);
  }
  return {};
}

// Merges come as "left right" or as ["left", "right"].
Result<std::pair<std::string, std::string>> read_merge(const SortedJson& value) {
  if (value.is_array() && value.size() == 2 && value[0].is_string() && value[1].is_string()) {
    return std::pair{value[0].get<std::string>(), value[1].get<std::string>()};
  }
  const std::string text = text_of(&value);
  const size_t space = text.find(' ', 1);
  if (space == std::string::npos || space + 1 == text.size()) return corrupt("expected model.merges, pairs of tokens");
  return std::pair{text.substr(0, space), text.substr(space + 1)};
}

// GGUF has no merges for SentencePiece models: the pair whose joined token has the highest score merges first. The score
// is therefore minus the position of the first merge that makes the token.
Status read_merges(const SortedJson& model, TokenizerMetadata* out) {
  const SortedJson* merges = member(model, "merges");
  if (merges == nullptr || !merges->is_array()) return corrupt("expected model.merges, a list");
  std::unordered_map<std::string, float> ranks;
  for (const SortedJson& value : *merges) {
    HANLIN_ASSIGN(const auto merge, read_merge(value));
    if (out->model == "gpt2") out->merges.push_back(merge.first + " " + merge.second);
    else ranks.emplace(merge.first + merge.second, -static_cast<float>(ranks.size()));
  }
  if (out->model == "gpt2") return {};
  out->scores.assign(out->tokens.size(), kUnmergedScore);
  for (size_t i = 0; i < out->tokens.size(); ++i) {
    if (const auto it = ranks.find(out->tokens[i]); it != ranks.end()) out->scores[i] = it->second;
  }
  return {};
}

Status read_added_tokens(const SortedJson& root, TokenizerMetadata* out) {
  const SortedJson* added = member(root, "added_tokens");
  if (added == nullptr) return {};
  if (!added->is_array()) return corrupt("expected added_tokens, a list");
  for (const SortedJson& token : *added) {
    const SortedJson* id_value = member(token, "id");
    if (id_value == nullptr) return corrupt("expected an id in every added token");
    HANLIN_ASSIGN(const int64_t id, token_id(*id_value));
    const bool known = static_cast<size_t>(id) < out->types.size();
    const auto old = known ? static_cast<GgufTokenType>(out->types[static_cast<size_t>(id)]) : GgufTokenType::kUnused;
    if (old == GgufTokenType::kUnknown || old == GgufTokenType::kByte) continue;
    put_token(id, text_of(member(token, "content")), flag_of(member(token, "special"), false) ? GgufTokenType::kControl : GgufTokenType::kUserDefined,
              out);
  }
  return {};
}

// The split expressions of a pre-tokeniser, in order; false if it does something that is none.
bool collect_expressions(const SortedJson& pre, int depth, std::vector<std::string>* expressions) {
  const std::string type = text_of(member(pre, "type"));
  if (type == "Sequence") {
    const SortedJson* parts = member(pre, "pretokenizers");
    if (depth == 0 || parts == nullptr || !parts->is_array()) return false;
    return std::all_of(parts->begin(), parts->end(), [&](const SortedJson& part) { return collect_expressions(part, depth - 1, expressions); });
  }
  if (type == "Split") {
    const SortedJson* pattern = member(pre, "pattern");
    std::string expression = pattern != nullptr ? text_of(member(*pattern, "Regex")) : "";
    if (expression.empty()) return false;
    expressions->push_back(std::move(expression));
    return true;
  }
  if (type == "Digits") {
    expressions->push_back(flag_of(member(pre, "individual_digits"), false) ? R"(\p{N})" : R"(\p{N}+)");
    return true;
  }
  if (type == "ByteLevel") {
    if (flag_of(member(pre, "use_regex"), true)) expressions->emplace_back(kGpt2Regex);
    return true;
  }
  return false;
}

bool contains_type(const SortedJson* stage, std::string_view type) {
  if (stage == nullptr) return false;
  if (text_of(member(*stage, "type")) == type) return true;
  for (const char* list : {"pretokenizers", "normalizers"}) {
    const SortedJson* parts = member(*stage, list);
    if (parts == nullptr || !parts->is_array()) continue;
    if (std::any_of(parts->begin(), parts->end(), [&](const SortedJson& part) { return text_of(member(part, "type")) == type; })) return true;
  }
  return false;
}

Result<std::string> name_pre_tokenizer(const SortedJson& root) {
  std::vector<std::string> expressions;
  const SortedJson* pre = member(root, "pre_tokenizer");
  if (pre == nullptr || !collect_expressions(*pre, 4, &expressions)) {
    return Error{Code::kUnsupported, "expected a pre_tokenizer of regular expressions for byte-level BPE"};
  }
  const bool nfc = contains_type(member(root, "normalizer"), "NFC");
  std::string_view second_best;
  for (const std::string_view name : kPreTokenizers) {
    const GgufPreTokenizer* known = find_gguf_pretokenizer(name);
    if (known == nullptr || !std::equal(known->regexes.begin(), known->regexes.end(), expressions.begin(), expressions.end())) continue;
    if (known->nfc == nfc) return std::string(name);
    if (second_best.empty()) second_best = name;
  }
  if (!second_best.empty()) return std::string(second_best);
  return Error{Code::kUnsupported, fmt::format("expected a pre_tokenizer that GGUF has a name for, got {}", fmt::join(expressions, "  "))};
}

// What TemplateProcessing puts around a single text.
void read_template(const SortedJson* post, int depth, TokenizerMetadata* out) {
  if (post == nullptr || depth == 0) return;
  if (const SortedJson* parts = member(*post, "processors"); parts != nullptr && parts->is_array()) {
    for (const SortedJson& part : *parts) read_template(&part, depth - 1, out);
  }
  const SortedJson* single = member(*post, "single");
  if (text_of(member(*post, "type")) != "TemplateProcessing" || single == nullptr || !single->is_array() || single->empty()) return;
  out->add_bos = member(single->front(), "SpecialToken") != nullptr;
  out->add_eos = member(single->back(), "SpecialToken") != nullptr && single->size() > 1;
}

}  // namespace

Status parse_tokenizer_json(std::string_view text, TokenizerMetadata* out) {
  const SortedJson root = SortedJson::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return corrupt("expected a JSON object");
  const SortedJson* model = member(root, "model");
  if (model == nullptr) return corrupt("expected a model");
  const std::string type = text_of(member(*model, "type"));
  const bool has_merges = member(*model, "merges") != nullptr;
  if (type != "BPE" && !(type.empty() && has_merges)) {
    return Error{Code::kUnsupported, fmt::format("expected a tokenizer of type BPE, got {}", type.empty() ? "none" : type)};
  }
  const SortedJson* pre = member(root, "pre_tokenizer");
  const bool byte_level = contains_type(pre, "ByteLevel");
  if (!byte_level && !flag_of(member(*model, "byte_fallback"), false)) {
    return Error{Code::kUnsupported, "expected BPE on bytes or with byte_fallback"};
  }
  out->model = byte_level ? "gpt2" : "llama";
  if (byte_level) {
    HANLIN_ASSIGN(out->pre, name_pre_tokenizer(root));
  } else {
    out->pre = "default";
    const SortedJson* normalizer = member(root, "normalizer");
    const bool metaspace = contains_type(pre, "Metaspace") && text_of(member(*pre, "prepend_scheme")) != "never";
    out->add_space_prefix = contains_type(normalizer, "Prepend") || metaspace;
  }
  HANLIN_TRY(read_vocabulary(*model, out));
  HANLIN_TRY(read_merges(*model, out));
  HANLIN_TRY(read_added_tokens(root, out));
  if (!byte_level) out->scores.resize(out->tokens.size(), kUnmergedScore);
  read_template(member(root, "post_processor"), 4, out);
  return {};
}

}  // namespace hanlin
