// A tokeniser from SentencePiece's tokenizer.model, a protocol buffer (fields: sentencepiece_model.proto).
#include <fmt/format.h>

#include <cstring>
#include <unordered_set>

#include "text/bpe.h"
#include "text/tokenizer_parts.h"
#include "text/unigram.h"

namespace hanlin {
namespace {

// Reads the wire format field by field; every length is checked against what is left.
class ProtoReader {
 public:
  explicit ProtoReader(std::string_view bytes) : bytes_(bytes) {}

  struct Field {
    uint32_t number = 0;
    uint64_t value = 0;      // varint or fixed
    std::string_view bytes;  // length-delimited
    bool is_bytes = false;
    float as_float() const {
      const auto word = static_cast<uint32_t>(value);
      float result;
      std::memcpy(&result, &word, sizeof result);
      return result;
    }
  };

  // False at the end or when the bytes are malformed (see bad()).
  bool next(Field& field) {
    if (bytes_.empty()) return false;
    uint64_t tag = 0;
    field = {};
    if (!varint(tag)) return false;
    field.number = static_cast<uint32_t>(tag >> 3);
    switch (tag & 7) {
      case 0: return varint(field.value);
      case 1: return fixed(field.value, 8);
      case 5: return fixed(field.value, 4);
      case 2: {
        uint64_t n_bytes = 0;
        if (!varint(n_bytes)) return false;
        if (n_bytes > bytes_.size()) return fail();
        field.bytes = bytes_.substr(0, n_bytes);
        field.is_bytes = true;
        bytes_.remove_prefix(n_bytes);
        return true;
      }
      default: return fail();
    }
  }
  bool bad() const { return bad_; }

 private:
  bool fail() {
    bad_ = true;
    return false;
  }
  bool varint(uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (bytes_.empty()) return fail();
      const auto byte = static_cast<uint8_t>(bytes_.front());
      bytes_.remove_prefix(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return true;
    }
    return fail();
  }
  bool fixed(uint64_t& value, size_t n_bytes) {
    if (bytes_.size() < n_bytes) return fail();
    std::memcpy(&value, bytes_.data(), n_bytes);  // little-endian, as the format
    bytes_.remove_prefix(n_bytes);
    return true;
  }

  std::string_view bytes_;
  bool bad_ = false;
};

constexpr int64_t kMaxHoles = 1 << 18;  // between the ids of added tokens: more would exhaust memory

struct Spec {
  std::vector<Vocabulary::Token> tokens;
  std::vector<float> scores;
  uint64_t model_type = 1;  // 1 unigram, 2 BPE, 3 word, 4 character
  int64_t unk_id = 0, bos_id = 1, eos_id = 2, pad_id = -1;
  std::string_view charsmap;
  bool add_dummy_prefix = true, remove_extra_whitespaces = true;
};

Error malformed(const char* what) {
  return Error{Code::kCorrupt, std::string("tokenizer.model: expected a SentencePiece protocol buffer, got malformed ") + what};
}

Status read_piece(std::string_view bytes, Spec& spec) {
  ProtoReader reader(bytes);
  Vocabulary::Token token;
  float score = 0;
  for (ProtoReader::Field field; reader.next(field);) {
    if (field.number == 1 && field.is_bytes) token.text = field.bytes;
    if (field.number == 2) score = field.as_float();
    if (field.number == 3) {
      switch (field.value) {
        case 2: token.kind = TokenKind::kUnknown; break;
        case 3: token.kind = TokenKind::kControl; break;
        case 4: token.kind = TokenKind::kUserDefined; break;
        case 5: token.kind = TokenKind::kUnused; break;
        case 6: token.kind = TokenKind::kByte; break;
        default: token.kind = TokenKind::kNormal; break;
      }
    }
  }
  if (reader.bad()) return malformed("piece");
  if (static_cast<int64_t>(spec.tokens.size()) >= kMaxVocabulary) {
    return Error{Code::kCorrupt, fmt::format("tokenizer.model: expected at most {} pieces, got more", kMaxVocabulary)};
  }
  spec.tokens.push_back(std::move(token));
  spec.scores.push_back(score);
  return {};
}

Status read_trainer(std::string_view bytes, Spec& spec) {
  ProtoReader reader(bytes);
  for (ProtoReader::Field field; reader.next(field);) {
    const auto id = static_cast<int32_t>(field.value);  // negative ids are written as 64-bit varints
    switch (field.number) {
      case 3: spec.model_type = field.value; break;
      case 40: spec.unk_id = id; break;
      case 41: spec.bos_id = id; break;
      case 42: spec.eos_id = id; break;
      case 43: spec.pad_id = id; break;
      default: break;
    }
  }
  return reader.bad() ? Status(malformed("trainer_spec")) : Status();
}

Status read_normalizer(std::string_view bytes, Spec& spec) {
  ProtoReader reader(bytes);
  for (ProtoReader::Field field; reader.next(field);) {
    if (field.number == 2 && field.is_bytes) spec.charsmap = field.bytes;
    if (field.number == 3) spec.add_dummy_prefix = field.value != 0;
    if (field.number == 4) spec.remove_extra_whitespaces = field.value != 0;
  }
  return reader.bad() ? Status(malformed("normalizer_spec")) : Status();
}

Result<Spec> read_spec(std::string_view protobuf) {
  Spec spec;
  ProtoReader reader(protobuf);
  for (ProtoReader::Field field; reader.next(field);) {
    if (!field.is_bytes) continue;
    if (field.number == 1) HANLIN_TRY(read_piece(field.bytes, spec));
    if (field.number == 2) HANLIN_TRY(read_trainer(field.bytes, spec));
    if (field.number == 3) HANLIN_TRY(read_normalizer(field.bytes, spec));
  }
  if (reader.bad() || spec.tokens.empty()) return malformed("fields");
  if (spec.model_type != 1 && spec.model_type != 2) {
    return Error{Code::kUnsupported, fmt::format("tokenizer.model: expected model type 1 (unigram) or 2 (BPE), got {}", spec.model_type)};
  }
  return spec;
}

// charsmap, white space, dummy prefix and visible spaces, in SentencePiece's order.
Status add_normalizer_steps(const Spec& spec, TokenizerParts& parts) {
  if (!spec.charsmap.empty()) {
    HANLIN_ASSIGN(CharsMap map, CharsMap::parse(spec.charsmap));
    parts.normalizer.add(std::move(map));
  }
  if (spec.remove_extra_whitespaces) {
    HANLIN_ASSIGN(SplitPattern spaces, SplitPattern::from_regex(" {2,}"));
    parts.normalizer.add(TrimStep{true, true, true});
    parts.normalizer.add(ReplaceStep{std::move(spaces), " "});
  }
  if (spec.add_dummy_prefix) parts.normalizer.add(PrependStep{std::string(kMetaspace)});
  parts.normalizer.add(ReplaceStep{SplitPattern::from_literal(" "), std::string(kMetaspace)});
  parts.strip_first_space = spec.add_dummy_prefix;
  return {};
}

// Puts the added tokens at their ids, over what the file has there. Unknown and byte pieces keep their kind: the model
// needs them.
Status place_added_tokens(const std::vector<AddedToken>& more, Spec& spec) {
  const auto limit = static_cast<int64_t>(spec.tokens.size() + more.size()) + kMaxHoles;
  for (const AddedToken& token : more) {
    if (token.id < 0 || token.id >= limit) {
      return Error{Code::kCorrupt, fmt::format("added token '{}': expected an id from 0 to {}, got {}", token.content, limit - 1, token.id)};
    }
    const auto at = static_cast<size_t>(token.id);
    if (at >= spec.tokens.size()) {
      spec.tokens.resize(at + 1, {"", TokenKind::kUnused});
      spec.scores.resize(at + 1, 0.0f);
    }
    Vocabulary::Token& piece = spec.tokens[at];
    if (piece.kind == TokenKind::kUnknown || piece.kind == TokenKind::kByte) continue;
    piece = {token.content, token.special ? TokenKind::kControl : TokenKind::kUserDefined};
  }
  return {};
}

}  // namespace

Result<TokenizerParts> parse_sentencepiece_model(std::string_view protobuf, const std::vector<AddedToken>& more) {
  HANLIN_ASSIGN(Spec spec, read_spec(protobuf));
  HANLIN_TRY(place_added_tokens(more, spec));
  TokenizerParts parts;
  auto vocabulary = std::make_shared<Vocabulary>(Vocabulary::build(spec.tokens));
  std::vector<std::string> bytes;
  std::vector<AddedToken> before = more, user_defined;  // looked for before and after normalisation
  std::unordered_set<int32_t> added_ids;
  for (const AddedToken& token : more) added_ids.insert(token.id);
  ByteFallback fallback;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const auto& [text, kind] = spec.tokens[i];
    bytes.push_back(token_bytes_of(text, kind, Spelling::kMetaspace));
    AddedToken token;
    token.id = static_cast<int32_t>(i);
    token.content = text;
    if (added_ids.contains(token.id) && kind != TokenKind::kByte) continue;
    if (kind == TokenKind::kControl || kind == TokenKind::kUnknown) {
      token.special = true;
      before.push_back(std::move(token));
    } else if (kind == TokenKind::kUserDefined) {
      user_defined.push_back(std::move(token));  // like SentencePiece's prefix matcher
    } else if (const auto byte = kind == TokenKind::kByte ? parse_byte_token(text) : std::nullopt) {
      if (fallback.byte_ids.empty()) fallback.byte_ids.assign(256, -1);
      fallback.byte_ids[*byte] = static_cast<int32_t>(i);
    }
  }
  vocabulary->set_bytes(bytes);
  const auto id_of = [&](int64_t id) {
    return id >= 0 && id < vocabulary->size() ? std::optional(static_cast<int32_t>(id)) : std::nullopt;
  };
  parts.unk = id_of(spec.unk_id);
  parts.bos = id_of(spec.bos_id);
  parts.eos = id_of(spec.eos_id);
  parts.pad = id_of(spec.pad_id);
  parts.vocabulary = vocabulary;
  HANLIN_ASSIGN(parts.added, AddedTokens::build(std::move(before)));
  HANLIN_ASSIGN(parts.added_normalized, AddedTokens::build(std::move(user_defined)));
  HANLIN_TRY(add_normalizer_steps(spec, parts));
  fallback.unk_id = parts.unk.value_or(-1);
  if (spec.model_type == 1) {
    fallback.fuse_unk = true;
    parts.model = make_unigram(*vocabulary, std::move(spec.scores), std::move(fallback));
    if (parts.eos) parts.single.push_back({*parts.eos, 0});  // T5 and its relatives
  } else {
    parts.model = make_score_bpe(vocabulary, std::move(spec.scores), std::move(fallback));
    if (parts.bos) parts.single.insert(parts.single.begin(), {*parts.bos, 0});  // Llama and its relatives
  }
  return parts;
}

}  // namespace hanlin
