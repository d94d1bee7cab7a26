// A tokeniser from the metadata of a GGUF file (keys: "GGUF" specification, docs/gguf.md of ggml-org/ggml).
#include <fmt/format.h>

#include "base/log.h"
#include "formats/gguf.h"
#include "text/bpe.h"
#include "text/gguf_pretokenizers.h"
#include "text/tokenizer_parts.h"
#include "text/unigram.h"
#include "text/wordpiece.h"

namespace hanlin {
namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";

class GgufTokenizerLoader {
 public:
  explicit GgufTokenizerLoader(const GgufFile& file) : file_(file) {}

  Result<TokenizerParts> load() {
    HANLIN_ASSIGN(const std::string model, file_.require_string("tokenizer.ggml.model"));
    HANLIN_TRY(read_tokens());
    read_special_ids();
    if (model == "gpt2") {
      HANLIN_TRY(load_byte_level());
    } else if (model == "llama") {
      HANLIN_TRY(load_sentencepiece_bpe());
    } else if (model == "t5") {
      HANLIN_TRY(load_unigram());
    } else if (model == "bert") {
      HANLIN_TRY(load_wordpiece());
    } else {
      return Error{Code::kUnsupported, "tokenizer.ggml.model: expected gpt2, llama, t5 or bert, got '" + model + "'"};
    }
    parts_.chat_template = file_.get_string("tokenizer.chat_template").value_or("");
    parts_.finish();
    return std::move(parts_);
  }

 private:
  static std::string key(std::string_view name) { return std::string(kPrefix) + std::string(name); }

  Status read_tokens() {
    const auto texts = file_.get_strings(key("tokens"));
    if (!texts || texts->empty()) return Error{Code::kCorrupt, "tokenizer.ggml.tokens: expected an array of strings, got none"};
    if (static_cast<int64_t>(texts->size()) > kMaxVocabulary) {
      return Error{Code::kCorrupt, fmt::format("tokenizer.ggml.tokens: expected at most {} tokens, got {}", kMaxVocabulary, texts->size())};
    }
    const auto types = file_.get_ints(key("token_type"));
    if (types && types->size() != texts->size()) {
      return Error{Code::kCorrupt, fmt::format("tokenizer.ggml.token_type: expected {} entries, got {}", texts->size(), types->size())};
    }
    tokens_.reserve(texts->size());
    for (size_t i = 0; i < texts->size(); ++i) {
      TokenKind kind = TokenKind::kNormal;
      switch (types ? (*types)[i] : 1) {
        case 2: kind = TokenKind::kUnknown; break;
        case 3: kind = TokenKind::kControl; break;
        case 4: kind = TokenKind::kUserDefined; break;
        case 5: kind = TokenKind::kUnused; break;
        case 6: kind = TokenKind::kByte; break;
        default: break;
      }
      // Some converters forget to mark the tokens that end a turn.
      if (kind == TokenKind::kNormal && is_end_of_generation_name((*texts)[i])) kind = TokenKind::kControl;
      tokens_.push_back({std::string((*texts)[i]), kind});
    }
    return {};
  }

  std::optional<int32_t> id_of(std::string_view name) const {
    const auto id = file_.get_i64(key(name));
    return id && *id >= 0 && *id < static_cast<int64_t>(tokens_.size()) ? std::optional(static_cast<int32_t>(*id)) : std::nullopt;
  }

  void read_special_ids() {
    parts_.bos = id_of("bos_token_id");
    parts_.eos = id_of("eos_token_id");
    parts_.unk = id_of("unknown_token_id");
    parts_.pad = id_of("padding_token_id");
    parts_.cls = id_of("cls_token_id");
    parts_.mask = id_of("mask_token_id");
    parts_.sep = id_of("seperator_token_id");  // the format's own spelling
    if (!parts_.sep) parts_.sep = id_of("separator_token_id");
    for (const std::string_view name : {"eot_token_id", "eom_token_id"}) {
      if (const auto id = id_of(name)) parts_.end_of_generation.push_back(*id);
    }
  }

  Status finish_vocabulary(Spelling spelling) {
    auto vocabulary = std::make_shared<Vocabulary>(Vocabulary::build(tokens_));
    std::vector<std::string> bytes;
    bytes.reserve(tokens_.size());
    std::vector<AddedToken> added;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const auto& [text, kind] = tokens_[i];
      bytes.push_back(token_bytes_of(text, kind, spelling));
      if (kind == TokenKind::kControl || kind == TokenKind::kUnknown || kind == TokenKind::kUserDefined) {
        AddedToken token;
        token.id = static_cast<int32_t>(i);
        token.content = text;
        token.special = kind != TokenKind::kUserDefined;
        added.push_back(std::move(token));
      }
    }
    vocabulary->set_bytes(bytes);
    parts_.vocabulary = std::move(vocabulary);
    HANLIN_ASSIGN(parts_.added, AddedTokens::build(std::move(added)));
    return {};
  }

  // BOS, text, EOS as the file says, and the pair of an encoder.
  void set_templates(bool add_bos, bool add_eos, bool add_sep) {
    add_bos = file_.get_bool(key("add_bos_token")).value_or(add_bos);
    add_eos = file_.get_bool(key("add_eos_token")).value_or(add_eos);
    add_sep = file_.get_bool(key("add_sep_token")).value_or(add_sep);
    int32_t begin = -1, end = -1;
    if (add_bos) begin = parts_.bos ? *parts_.bos : parts_.cls.value_or(-1);
    if (add_eos) end = parts_.eos.value_or(-1);
    if (add_sep && end < 0) end = parts_.sep ? *parts_.sep : parts_.eos.value_or(-1);
    parts_.single.clear();
    if (begin >= 0) parts_.single.push_back({begin, 0});
    parts_.single.push_back({});
    if (end >= 0) parts_.single.push_back({end, 0});
    parts_.pair = parts_.single;
    // RoBERTa and its children write the separator twice.
    if (end >= 0 && tokens_[static_cast<size_t>(end)].text == "</s>") parts_.pair.push_back({end, 0});
    parts_.pair.push_back({TemplatePiece::kSecondText, 0});
    if (end >= 0) parts_.pair.push_back({end, 0});
  }

  Result<std::vector<float>> read_scores() const {
    auto scores = file_.get_floats(key("scores"));
    if (!scores || scores->size() != tokens_.size()) {
      return Error{Code::kCorrupt, fmt::format("tokenizer.ggml.scores: expected {} floats, got {}", tokens_.size(), scores ? scores->size() : 0)};
    }
    return std::move(*scores);
  }

  ByteFallback byte_fallback(std::optional<int32_t> default_unk) const {
    ByteFallback fallback;
    fallback.unk_id = parts_.unk ? *parts_.unk : default_unk.value_or(-1);
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (tokens_[i].kind != TokenKind::kByte) continue;
      if (const auto byte = parse_byte_token(tokens_[i].text)) {
        if (fallback.byte_ids.empty()) fallback.byte_ids.assign(256, -1);
        fallback.byte_ids[*byte] = static_cast<int32_t>(i);
      }
    }
    return fallback;
  }

  Status load_byte_level() {
    const auto name = file_.get_string(key("pre"));
    if (!name) log_warning(file_.path() + ": no tokenizer.ggml.pre; the default pre-tokenizer may not be the model's");
    const GgufPreTokenizer* pre = find_gguf_pretokenizer(name.value_or("default"));
    if (pre == nullptr) {
      return Error{Code::kUnsupported, "tokenizer.ggml.pre: expected the name of a known pre-tokenizer, got '" + *name + "'"};
    }
    HANLIN_TRY(finish_vocabulary(Spelling::kByteLevel));
    if (pre->nfc) parts_.normalizer.add(FormStep{NormalForm::kNfc});
    for (const std::string_view regex : pre->regexes) HANLIN_TRY(parts_.pre_tokenizer.add_regex(regex));
    HANLIN_ASSIGN(const std::vector<Merge> merges, read_merges());
    BpeOptions options;
    options.byte_level = true;
    options.ignore_merges = pre->ignore_merges;
    options.fallback.unk_id = parts_.unk.value_or(-1);
    parts_.model = make_rank_bpe(parts_.vocabulary, merges, std::move(options));
    parts_.takes_bytes = true;
    set_templates(pre->add_bos, false, pre->add_sep);
    return {};
  }

  Result<std::vector<Merge>> read_merges() const {
    const auto texts = file_.get_strings(key("merges"));
    if (!texts) return Error{Code::kCorrupt, "tokenizer.ggml.merges: expected an array of strings, got none"};
    std::vector<Merge> merges;
    merges.reserve(texts->size());
    size_t n_unknown = 0;
    std::string joined;
    for (const std::string_view text : *texts) {
      const size_t space = text.find(' ', 1);
      if (space == std::string_view::npos) {
        return Error{Code::kCorrupt, fmt::format("tokenizer.ggml.merges: expected two tokens with a space between, got '{}'", text)};
      }
      joined.assign(text.substr(0, space)).append(text.substr(space + 1));
      const Merge merge{parts_.vocabulary->find(text.substr(0, space)), parts_.vocabulary->find(text.substr(space + 1)),
                        parts_.vocabulary->find(joined)};
      if (merge.left < 0 || merge.right < 0 || merge.result < 0) {
        ++n_unknown;
      } else {
        merges.push_back(merge);
      }
    }
    if (n_unknown > 0) log_warning(fmt::format("{}: {} merges name tokens that do not exist", file_.path(), n_unknown));
    return merges;
  }

  // Space in front and U+2581 for spaces, as SentencePiece models want it.
  void add_metaspace_steps() {
    const bool prefix = file_.get_bool(key("add_space_prefix")).value_or(true);
    if (prefix) parts_.normalizer.add(PrependStep{std::string(kMetaspace)});
    parts_.normalizer.add(ReplaceStep{SplitPattern::from_literal(" "), std::string(kMetaspace)});
    parts_.strip_first_space = prefix;
  }

  Status load_sentencepiece_bpe() {
    HANLIN_ASSIGN(std::vector<float> scores, read_scores());
    HANLIN_TRY(finish_vocabulary(Spelling::kMetaspace));
    add_metaspace_steps();
    parts_.model = make_score_bpe(parts_.vocabulary, std::move(scores), byte_fallback(0));
    set_templates(true, false, false);
    return {};
  }

  Status load_unigram() {
    HANLIN_ASSIGN(std::vector<float> scores, read_scores());
    HANLIN_TRY(finish_vocabulary(Spelling::kMetaspace));
    if (const GgufValue* map = file_.find(key("precompiled_charsmap"))) {
      const GgufArray* array = std::get_if<GgufArray>(&map->data);
      if (array == nullptr || gguf_type_bytes(array->element_type) != 1) {
        return Error{Code::kCorrupt, "tokenizer.ggml.precompiled_charsmap: expected an array of bytes"};
      }
      if (array->n > 0) {
        HANLIN_ASSIGN(CharsMap charsmap, CharsMap::parse({reinterpret_cast<const char*>(array->bytes.data()), array->bytes.size()}));
        parts_.normalizer.add(std::move(charsmap));
      }
    }
    if (file_.get_bool(key("remove_extra_whitespaces")).value_or(false)) {
      HANLIN_ASSIGN(SplitPattern spaces, SplitPattern::from_regex(" {2,}"));
      parts_.normalizer.add(TrimStep{true, true, true});
      parts_.normalizer.add(ReplaceStep{std::move(spaces), " "});
    }
    add_metaspace_steps();
    ByteFallback fallback = byte_fallback(2);
    fallback.fuse_unk = true;
    parts_.model = make_unigram(*parts_.vocabulary, std::move(scores), std::move(fallback));
    set_templates(false, true, false);
    return {};
  }

  // GGUF writes WordPiece the other way round: "▁word" starts a word and "ing" continues one. Files that keep "##ing" exist.
  Status load_wordpiece() {
    size_t n_starts = 0, n_continuations = 0;
    bool cased = false;
    for (const auto& token : tokens_) {
      n_starts += token.text.substr(0, kMetaspace.size()) == kMetaspace;
      n_continuations += token.text.substr(0, 2) == "##" && token.text.size() > 2;
      if (token.text.front() == '[') continue;
      for (const char c : token.text) cased = cased || (c >= 'A' && c <= 'Z');
    }
    if (n_starts > n_continuations) {
      for (auto& token : tokens_) {
        if (token.kind != TokenKind::kNormal || (token.text.front() == '[' && token.text.back() == ']')) continue;
        if (token.text.substr(0, kMetaspace.size()) == kMetaspace) {
          token.text.erase(0, kMetaspace.size());
        } else {
          token.text.insert(0, "##");
        }
      }
    }
    HANLIN_TRY(finish_vocabulary(Spelling::kWordPiece));
    parts_.normalizer.add(BertStep{true, true, !cased, !cased});
    HANLIN_TRY(parts_.pre_tokenizer.add_regex(R"(\s+)", SplitBehavior::kRemoved));
    HANLIN_TRY(parts_.pre_tokenizer.add_regex(R"([\p{P}\$\+<=>\^`\|~])"));
    WordPieceOptions options;
    options.unk_id = parts_.unk.value_or(-1);
    parts_.model = make_wordpiece(*parts_.vocabulary, options);
    parts_.strip_first_space = parts_.space_before_control = true;
    if (!parts_.cls) parts_.cls = parts_.bos;
    if (!parts_.sep) parts_.sep = parts_.eos;
    if (parts_.cls && parts_.sep) {
      parts_.single = {{*parts_.cls, 0}, {}, {*parts_.sep, 0}};
      parts_.pair = {{*parts_.cls, 0}, {}, {*parts_.sep, 0}, {TemplatePiece::kSecondText, 1}, {*parts_.sep, 1}};
    }
    return {};
  }

  const GgufFile& file_;
  std::vector<Vocabulary::Token> tokens_;
  TokenizerParts parts_;
};

}  // namespace

Result<TokenizerParts> load_gguf_tokenizer(const GgufFile& file) { return GgufTokenizerLoader(file).load(); }

}  // namespace hanlin
