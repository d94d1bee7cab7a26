#include "text/tokenizer_json_parts.h"

#include <algorithm>

namespace hanlin {
namespace {

// Sequences inside sequences deeper than this are refused.
constexpr int kMaxNesting = 8;

Error unsupported(const char* where, const std::string& what) {
  return Error{Code::kUnsupported, std::string(where) + ": expected a type Hanlin knows, got '" + what + "'"};
}

Result<SplitPattern> read_pattern(const FastJson& step, const char* where) {
  const FastJson* pattern = json_find(step, "pattern");
  if (pattern != nullptr) {
    const std::string literal = json_string(*pattern, "String"), regex = json_string(*pattern, "Regex");
    if (!literal.empty()) return SplitPattern::from_literal(literal);
    if (!regex.empty()) return SplitPattern::from_regex(regex);
  }
  return Error{Code::kCorrupt, std::string(where) + ": expected a pattern with a String or a Regex"};
}

Status add_normalizer(const FastJson& step, Normalizer& normalizer, int depth) {
  const std::string type = json_string(step, "type");
  if (type == "Sequence") {
    const FastJson* steps = json_find(step, "normalizers");
    if (steps == nullptr || !steps->is_array() || depth >= kMaxNesting) {
      return Error{Code::kCorrupt, "normalizer: expected a Sequence with a list, nested at most " + std::to_string(kMaxNesting) + " deep"};
    }
    for (const FastJson& inner : *steps) HANLIN_TRY(add_normalizer(inner, normalizer, depth + 1));
  } else if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
    const bool compatibility = type.size() == 4;
    const bool composed = type.back() == 'C';
    normalizer.add(FormStep{compatibility ? (composed ? NormalForm::kNfkc : NormalForm::kNfkd)
                                          : (composed ? NormalForm::kNfc : NormalForm::kNfd)});
  } else if (type == "Lowercase") {
    normalizer.add(LowerStep{});
  } else if (type == "StripAccents") {
    normalizer.add(StripAccentsStep{});
  } else if (type == "BertNormalizer") {
    BertStep bert;
    bert.clean = json_bool(step, "clean_text", true);
    bert.chinese = json_bool(step, "handle_chinese_chars", true);
    bert.lower = json_bool(step, "lowercase", true);
    bert.strip_accents = json_bool(step, "strip_accents", bert.lower);  // null: as lower case
    normalizer.add(bert);
  } else if (type == "Replace") {
    HANLIN_ASSIGN(SplitPattern pattern, read_pattern(step, "normalizer Replace"));
    normalizer.add(ReplaceStep{std::move(pattern), json_string(step, "content")});
  } else if (type == "Prepend") {
    normalizer.add(PrependStep{json_string(step, "prepend")});
  } else if (type == "Strip") {
    normalizer.add(TrimStep{json_bool(step, "strip_left", true), json_bool(step, "strip_right", true), false});
  } else if (type == "Precompiled") {
    HANLIN_ASSIGN(const std::string blob, decode_base64(json_string(step, "precompiled_charsmap")));
    if (!blob.empty()) {
      HANLIN_ASSIGN(CharsMap map, CharsMap::parse(blob));
      normalizer.add(std::move(map));
    }
  } else {
    return unsupported("normalizer", type);
  }
  return {};
}

Result<SplitBehavior> read_behavior(const std::string& name) {
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return unsupported("pre_tokenizer behavior", name);
}

Result<MetaspaceStep> read_metaspace(const FastJson& step) {
  if (const std::string replacement = json_string(step, "replacement", std::string(kMetaspace)); replacement != kMetaspace) {
    return Error{Code::kUnsupported, "Metaspace: expected the replacement U+2581, got '" + replacement + "'"};
  }
  MetaspaceStep metaspace;
  const std::string scheme = json_string(step, "prepend_scheme", json_bool(step, "add_prefix_space", true) ? "always" : "never");
  metaspace.prefix = scheme == "never" ? SpacePrefix::kNever : scheme == "first" ? SpacePrefix::kFirst : SpacePrefix::kAlways;
  metaspace.split = json_bool(step, "split", true);
  return metaspace;
}

constexpr const char* kPunctuationClass = R"([\p{P}\$\+<=>\^`\|~])";  // ASCII punctuation and \p{P}

Status add_pre_tokenizer(const FastJson& step, PreTokenizer& out, bool& byte_level, int depth) {
  const std::string type = json_string(step, "type");
  if (type == "Sequence") {
    const FastJson* steps = json_find(step, "pretokenizers");
    if (steps == nullptr || !steps->is_array() || depth >= kMaxNesting) {
      return Error{Code::kCorrupt, "pre_tokenizer: expected a Sequence with a list, nested at most " + std::to_string(kMaxNesting) + " deep"};
    }
    for (const FastJson& inner : *steps) HANLIN_TRY(add_pre_tokenizer(inner, out, byte_level, depth + 1));
  } else if (type == "Split") {
    HANLIN_ASSIGN(SplitPattern pattern, read_pattern(step, "pre_tokenizer Split"));
    HANLIN_ASSIGN(const SplitBehavior behavior, read_behavior(json_string(step, "behavior", "Isolated")));
    out.add(SplitStep{std::move(pattern), behavior, json_bool(step, "invert", false)});
  } else if (type == "Digits") {
    if (byte_level) {  // Falcon: there the step sees the byte alphabet, in which some bytes look like digits
      return Error{Code::kUnsupported, "pre_tokenizer: expected Digits in front of ByteLevel, got it behind"};
    }
    return out.add_regex(json_bool(step, "individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)");
  } else if (type == "ByteLevel") {
    byte_level = true;
    if (json_bool(step, "add_prefix_space", true)) out.add(SpaceStep{});
    if (json_bool(step, "use_regex", true)) {
      return out.add_regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)");
    }
  } else if (type == "Metaspace") {
    HANLIN_ASSIGN(const MetaspaceStep metaspace, read_metaspace(step));
    out.add(metaspace);
  } else if (type == "Whitespace") {  // \w+|[^\w\s]+ is kept: white space goes, then words and the rest part
    HANLIN_TRY(out.add_regex(R"(\s+)", SplitBehavior::kRemoved));
    return out.add_regex(R"(\w+)");
  } else if (type == "WhitespaceSplit") {
    return out.add_regex(R"(\s+)", SplitBehavior::kRemoved);
  } else if (type == "Punctuation") {
    HANLIN_ASSIGN(const SplitBehavior behavior, read_behavior(json_string(step, "behavior", "Isolated")));
    return out.add_regex(kPunctuationClass, behavior);
  } else if (type == "BertPreTokenizer") {
    HANLIN_TRY(out.add_regex(R"(\s+)", SplitBehavior::kRemoved));
    return out.add_regex(kPunctuationClass);
  } else if (type == "CharDelimiterSplit") {
    const std::string delimiter = json_string(step, "delimiter");
    if (delimiter.empty()) return Error{Code::kCorrupt, "CharDelimiterSplit: expected a delimiter, got none"};
    out.add(SplitStep{SplitPattern::from_literal(delimiter), SplitBehavior::kRemoved, false});
  } else {
    return unsupported("pre_tokenizer", type);
  }
  return {};
}

// A special token named in a post-processor, checked against the vocabulary.
Result<int32_t> special_id(const FastJson* value, const TokenizerParts& parts, const char* where) {
  if (value != nullptr && value->is_number_integer()) {
    const auto id = value->get<int64_t>();
    if (id >= 0 && id < parts.vocabulary->size()) return static_cast<int32_t>(id);
  }
  return Error{Code::kCorrupt, std::string(where) + ": expected the id of a token"};
}

Status read_template(const FastJson& processor, const char* key, const TokenizerParts& parts, std::vector<TemplatePiece>& out) {
  const FastJson* pieces = json_find(processor, key);
  const FastJson* specials = json_find(processor, "special_tokens");
  if (pieces == nullptr || !pieces->is_array()) {
    return Error{Code::kCorrupt, std::string("TemplateProcessing: expected a list '") + key + "'"};
  }
  out.clear();
  for (const FastJson& piece : *pieces) {
    if (const FastJson* sequence = json_find(piece, "Sequence")) {
      out.push_back({json_string(*sequence, "id") == "B" ? TemplatePiece::kSecondText : TemplatePiece::kFirstText,
                     static_cast<int32_t>(json_int(*sequence, "type_id", 0))});
    } else if (const FastJson* special = json_find(piece, "SpecialToken")) {
      const FastJson* entry = specials == nullptr ? nullptr : json_find(*specials, json_string(*special, "id").c_str());
      const FastJson* ids = entry == nullptr ? nullptr : json_find(*entry, "ids");
      if (ids == nullptr || !ids->is_array()) {
        return Error{Code::kCorrupt, "TemplateProcessing: expected '" + json_string(*special, "id") + "' among its special_tokens"};
      }
      for (const FastJson& id : *ids) {
        HANLIN_ASSIGN(const int32_t value, special_id(&id, parts, "TemplateProcessing"));
        out.push_back({value, static_cast<int32_t>(json_int(*special, "type_id", 0))});
      }
    }
  }
  if (out.empty()) return Error{Code::kCorrupt, std::string("TemplateProcessing: expected entries in '") + key + "', got none"};
  return {};
}

// BertProcessing and RobertaProcessing name the same two tokens: "cls": [text, id], "sep": [text, id].
Status read_cls_sep(const FastJson& processor, bool roberta, TokenizerParts& parts) {
  int32_t ids[2] = {};
  const char* keys[2] = {"cls", "sep"};
  for (int i = 0; i < 2; ++i) {
    const FastJson* entry = json_find(processor, keys[i]);
    const bool is_pair = entry != nullptr && entry->is_array() && entry->size() == 2;
    HANLIN_ASSIGN(ids[i], special_id(is_pair ? &(*entry)[1] : nullptr, parts, "post_processor cls/sep"));
  }
  const int32_t second_type = roberta ? 0 : 1;
  parts.single = {{ids[0], 0}, {}, {ids[1], 0}};
  parts.pair = {{ids[0], 0}, {}, {ids[1], 0}};
  if (roberta) parts.pair.push_back({ids[1], 0});
  parts.pair.push_back({TemplatePiece::kSecondText, second_type});
  parts.pair.push_back({ids[1], second_type});
  return {};
}

Status read_processor(const FastJson& processor, TokenizerParts& parts, int depth) {
  const std::string type = json_string(processor, "type");
  if (type == "Sequence") {
    const FastJson* steps = json_find(processor, "processors");
    if (steps == nullptr || !steps->is_array() || depth >= kMaxNesting) {
      return Error{Code::kCorrupt, "post_processor: expected a Sequence with a list, nested at most " + std::to_string(kMaxNesting) + " deep"};
    }
    for (const FastJson& inner : *steps) HANLIN_TRY(read_processor(inner, parts, depth + 1));
    return {};
  }
  if (type == "TemplateProcessing") {
    HANLIN_TRY(read_template(processor, "single", parts, parts.single));
    return read_template(processor, "pair", parts, parts.pair);
  }
  if (type == "BertProcessing" || type == "RobertaProcessing") return read_cls_sep(processor, type[0] == 'R', parts);
  if (type == "ByteLevel") return {};  // only moves offsets
  return unsupported("post_processor", type);
}

void read_decoder_step(const FastJson& step, TokenizerParts& parts, int depth) {
  const std::string type = json_string(step, "type");
  if (type == "Sequence" && depth < kMaxNesting) {
    const FastJson* steps = json_find(step, "decoders");
    if (steps == nullptr || !steps->is_array()) return;
    for (const FastJson& inner : *steps) read_decoder_step(inner, parts, depth + 1);
  } else if (type == "Strip") {
    if (json_string(step, "content") == " " && json_int(step, "start", 0) > 0) parts.strip_first_space = true;
  } else if (type == "Metaspace") {
    const std::string scheme = json_string(step, "prepend_scheme", json_bool(step, "add_prefix_space", true) ? "always" : "never");
    if (scheme != "never") parts.strip_first_space = true;
  } else if (type == "WordPiece") {
    parts.strip_first_space = parts.space_before_control = true;
  }
}

}  // namespace

const FastJson* json_find(const FastJson& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

std::string json_string(const FastJson& object, const char* key, const std::string& fallback) {
  const FastJson* value = json_find(object, key);
  return value != nullptr && value->is_string() ? value->get_ref<const std::string&>() : fallback;
}

bool json_bool(const FastJson& object, const char* key, bool fallback) {
  const FastJson* value = json_find(object, key);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : fallback;
}

int64_t json_int(const FastJson& object, const char* key, int64_t fallback) {
  const FastJson* value = json_find(object, key);
  return value != nullptr && value->is_number_integer() ? value->get<int64_t>() : fallback;
}

Status add_normalizers(const FastJson& section, Normalizer& normalizer) { return add_normalizer(section, normalizer, 0); }

Status add_pre_tokenizers(const FastJson& section, PreTokenizer& pre_tokenizer, bool& byte_level) {
  return add_pre_tokenizer(section, pre_tokenizer, byte_level, 0);
}

Status read_post_processor(const FastJson& section, TokenizerParts& parts) { return read_processor(section, parts, 0); }

void read_decoder(const FastJson& section, TokenizerParts& parts) { read_decoder_step(section, parts, 0); }

}  // namespace hanlin
