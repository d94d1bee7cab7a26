// A tokeniser from Hugging Face's tokenizer.json (format: the `tokenizers` library, version 1.0 of the file).
// Its truncation and padding settings are for training loops and are left aside.
#include <fmt/format.h>

#include <algorithm>

#include "text/bpe.h"
#include "text/tokenizer_json_parts.h"
#include "text/unigram.h"
#include "text/wordpiece.h"

namespace hanlin {
namespace {

// What "model" holds, before the vocabulary is complete.
struct ModelSection {
  std::string type;
  const FastJson* json = nullptr;
  std::vector<float> scores;  // Unigram
};

class TokenizerJsonLoader {
 public:
  explicit TokenizerJsonLoader(const FastJson& root) : root_(root) {}

  Result<TokenizerParts> load() {
    HANLIN_TRY(read_model_vocabulary());
    HANLIN_TRY(read_added_tokens());
    if (const FastJson* section = json_find(root_, "normalizer")) HANLIN_TRY(add_normalizers(*section, parts_.normalizer));
    bool byte_level = false;
    if (const FastJson* section = json_find(root_, "pre_tokenizer")) {
      HANLIN_TRY(add_pre_tokenizers(*section, parts_.pre_tokenizer, byte_level));
    }
    if (byte_level && model_.type != "BPE") {
      return Error{Code::kUnsupported, "tokenizer.json: expected ByteLevel only with a BPE model, got it with " + model_.type};
    }
    parts_.takes_bytes = byte_level;
    mark_byte_tokens();
    HANLIN_TRY(finish_vocabulary(model_.type == "WordPiece" ? Spelling::kWordPiece
                                 : byte_level               ? Spelling::kByteLevel
                                                            : Spelling::kMetaspace));
    HANLIN_TRY(build_model(byte_level));
    if (const FastJson* section = json_find(root_, "post_processor")) HANLIN_TRY(read_post_processor(*section, parts_));
    if (const FastJson* section = json_find(root_, "decoder")) read_decoder(*section, parts_);
    return std::move(parts_);
  }

 private:
  Status read_model_vocabulary() {
    const FastJson* model = json_find(root_, "model");
    const FastJson* vocab = model == nullptr ? nullptr : json_find(*model, "vocab");
    if (vocab == nullptr) return Error{Code::kCorrupt, "tokenizer.json: expected a model with a vocab"};
    model_.json = model;
    model_.type = json_string(*model, "type");
    if (model_.type.empty()) {  // files from before the field was written
      model_.type = vocab->is_array() ? "Unigram" : json_find(*model, "merges") != nullptr ? "BPE" : "WordPiece";
    }
    if (model_.type != "BPE" && model_.type != "WordPiece" && model_.type != "Unigram") {
      return Error{Code::kUnsupported, "tokenizer.json: expected a BPE, WordPiece or Unigram model, got '" + model_.type + "'"};
    }
    const FastJson* added = json_find(root_, "added_tokens");
    n_max_ids_ = std::min(kMaxVocabulary, static_cast<int64_t>(vocab->size() + (added == nullptr ? 0 : added->size())) + kMaxHoles);
    if (model_.type == "Unigram") return read_unigram_vocabulary(*vocab);
    if (!vocab->is_object()) return Error{Code::kCorrupt, "tokenizer.json: expected an object as vocab"};
    for (const auto& [text, id] : vocab->items()) HANLIN_TRY(put(text, id, TokenKind::kNormal));
    return {};
  }

  Status read_unigram_vocabulary(const FastJson& vocab) {
    if (!vocab.is_array()) return Error{Code::kCorrupt, "tokenizer.json: expected a list as the vocab of Unigram"};
    for (const FastJson& entry : vocab) {
      if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
        return Error{Code::kCorrupt, fmt::format("tokenizer.json: expected [text, score] as token {}", tokens_.size())};
      }
      tokens_.push_back({entry[0].get<std::string>(), TokenKind::kNormal});
      model_.scores.push_back(entry[1].get<float>());
    }
    return {};
  }

  // Puts a token at its id; ids may have holes, but not so large ones that a file could exhaust memory with them.
  Status put(const std::string& text, const FastJson& id_json, TokenKind kind) {
    const int64_t id = id_json.is_number_integer() ? id_json.get<int64_t>() : -1;
    if (id < 0 || id >= n_max_ids_) {
      return Error{Code::kCorrupt, fmt::format("tokenizer.json: expected an id from 0 to {} for token '{}'", n_max_ids_ - 1, text)};
    }
    if (static_cast<size_t>(id) >= tokens_.size()) tokens_.resize(static_cast<size_t>(id) + 1);
    tokens_[static_cast<size_t>(id)] = {text, kind};
    return {};
  }

  Status read_added_tokens() {
    const FastJson* list = json_find(root_, "added_tokens");
    if (list == nullptr) return {};
    if (!list->is_array()) return Error{Code::kCorrupt, "tokenizer.json: expected a list as added_tokens"};
    for (const FastJson& entry : *list) {
      AddedToken token;
      token.content = json_string(entry, "content");
      token.special = json_bool(entry, "special", false);
      token.lstrip = json_bool(entry, "lstrip", false);
      token.rstrip = json_bool(entry, "rstrip", false);
      token.single_word = json_bool(entry, "single_word", false);
      const FastJson* id = json_find(entry, "id");
      if (id == nullptr || token.content.empty()) return Error{Code::kCorrupt, "tokenizer.json: expected added_tokens with id and content"};
      HANLIN_TRY(put(token.content, *id, token.special ? TokenKind::kControl : TokenKind::kUserDefined));
      token.id = id->get<int32_t>();
      (json_bool(entry, "normalized", !token.special) ? added_normalized_ : added_).push_back(std::move(token));
    }
    return {};
  }

  void mark_byte_tokens() {
    if (!json_bool(*model_.json, "byte_fallback", false)) return;
    for (auto& token : tokens_) {
      if (token.kind == TokenKind::kNormal && parse_byte_token(token.text)) token.kind = TokenKind::kByte;
    }
  }

  Status finish_vocabulary(Spelling spelling) {
    const std::string unk = json_string(*model_.json, "unk_token");
    auto vocabulary = std::make_shared<Vocabulary>(Vocabulary::build(tokens_));
    std::vector<std::string> bytes;
    bytes.reserve(tokens_.size());
    for (const auto& token : tokens_) bytes.push_back(token_bytes_of(token.text, token.kind, spelling));
    vocabulary->set_bytes(bytes);
    if (const int32_t id = unk.empty() ? -1 : vocabulary->find(unk); id >= 0) parts_.unk = id;
    if (const FastJson* id = json_find(*model_.json, "unk_id"); id != nullptr && id->is_number_integer()) {
      const auto value = id->get<int64_t>();
      if (value >= 0 && value < vocabulary->size()) parts_.unk = static_cast<int32_t>(value);
    }
    parts_.vocabulary = std::move(vocabulary);
    HANLIN_ASSIGN(parts_.added, AddedTokens::build(added_));
    // Tokens that look at normalised text are normalised themselves, as the reference does.
    for (AddedToken& token : added_normalized_) token.content = parts_.normalizer.apply(token.content);
    HANLIN_ASSIGN(parts_.added_normalized, AddedTokens::build(added_normalized_));
    return {};
  }

  ByteFallback byte_fallback(bool fuse_unk) const {
    ByteFallback fallback;
    fallback.unk_id = parts_.unk.value_or(-1);
    fallback.fuse_unk = fuse_unk;
    if (json_bool(*model_.json, "byte_fallback", false)) {
      fallback.byte_ids.assign(256, -1);
      for (size_t i = 0; i < tokens_.size(); ++i) {
        if (const auto byte = parse_byte_token(tokens_[i].text)) fallback.byte_ids[*byte] = static_cast<int32_t>(i);
      }
    }
    return fallback;
  }

  Status build_model(bool byte_level) {
    if (model_.type == "Unigram") {
      model_.scores.resize(tokens_.size(), 0.0f);
      // The reference lets added tokens take part only through their own search.
      parts_.model = make_unigram(*parts_.vocabulary, std::move(model_.scores), byte_fallback(true));
      return {};
    }
    if (model_.type == "WordPiece") {
      WordPieceOptions options;
      options.continuation = json_string(*model_.json, "continuing_subword_prefix", "##");
      options.unk_id = parts_.unk.value_or(-1);
      options.max_chars = static_cast<uint32_t>(std::clamp<int64_t>(json_int(*model_.json, "max_input_chars_per_word", 100), 1, 1 << 20));
      parts_.model = make_wordpiece(*parts_.vocabulary, options);
      return {};
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (const std::string mark = json_string(*model_.json, key); !mark.empty()) {
        return Error{Code::kUnsupported, fmt::format("tokenizer.json: expected a BPE model without {}, got '{}'", key, mark)};
      }
    }
    HANLIN_ASSIGN(const std::vector<Merge> merges, read_merges());
    BpeOptions options;
    options.byte_level = byte_level;
    options.ignore_merges = json_bool(*model_.json, "ignore_merges", false);
    options.fallback = byte_fallback(json_bool(*model_.json, "fuse_unk", false));
    parts_.model = make_rank_bpe(parts_.vocabulary, merges, std::move(options));
    return {};
  }

  Result<std::vector<Merge>> read_merges() const {
    std::vector<Merge> merges;
    const FastJson* list = json_find(*model_.json, "merges");
    if (list == nullptr || !list->is_array()) return Error{Code::kCorrupt, "tokenizer.json: expected a list of merges"};
    merges.reserve(list->size());
    std::string left, right;
    for (const FastJson& entry : *list) {
      if (entry.is_string()) {
        const auto& text = entry.get_ref<const std::string&>();
        const size_t space = text.find(' ');
        left = text.substr(0, space);
        right = space == std::string::npos ? std::string() : text.substr(space + 1);
      } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
        left = entry[0].get<std::string>();
        right = entry[1].get<std::string>();
      } else {
        left.clear();
      }
      const Vocabulary& vocabulary = *parts_.vocabulary;
      const Merge merge{vocabulary.find(left), vocabulary.find(right), vocabulary.find(left + right)};
      if (merge.left < 0 || merge.right < 0 || merge.result < 0) {
        return Error{Code::kCorrupt, fmt::format("tokenizer.json: expected merge {} to join two tokens to a third, got '{}' and '{}'",
                                                 merges.size(), left, right)};
      }
      merges.push_back(merge);
    }
    return merges;
  }

  static constexpr int64_t kMaxHoles = 1 << 18;
  const FastJson& root_;
  int64_t n_max_ids_ = 0;
  std::vector<Vocabulary::Token> tokens_;
  std::vector<AddedToken> added_, added_normalized_;
  ModelSection model_;
  TokenizerParts parts_;
};

}  // namespace

Result<TokenizerParts> parse_tokenizer_json(std::string_view json) {
  // The library's parser keeps its own stack, so depth costs memory only in proportion to the file.
  const FastJson root = FastJson::parse(json.begin(), json.end(), nullptr, false);
  if (root.is_discarded() || !root.is_object()) {
    return Error{Code::kCorrupt, "tokenizer.json: expected a JSON object, got something else"};
  }
  return TokenizerJsonLoader(root).load();
}

}  // namespace hanlin
