#include "text/tokenizer.h"

#include <algorithm>

#include "text/tokenizer_parts.h"
#include "text/utf8.h"

namespace hanlin {
namespace {

// One stretch of text between added tokens, normalised: pieces, each through the model.
void encode_stretch(const TokenizerParts& parts, std::string text, bool at_start, std::vector<int32_t>& ids) {
  std::vector<PreTokenizer::Span> pieces;
  parts.pre_tokenizer.run(text, at_start, pieces);
  for (const auto& piece : pieces) {
    parts.model->encode(std::string_view(text).substr(piece.begin, piece.end - piece.begin), ids);
  }
}

// The ids of a text without anything around it.
void encode_text(const TokenizerParts& parts, std::string_view text, bool parse_special, std::vector<int32_t>& ids) {
  std::string repaired;
  if (!parts.takes_bytes && !is_valid_utf8(text)) {
    repaired = replace_invalid_utf8(text);
    text = repaired;
  }
  std::vector<AddedTokens::Segment> segments, inner;
  parts.added.split(text, parse_special, segments);
  for (const auto& segment : segments) {
    if (segment.id >= 0) {
      ids.push_back(segment.id);
      continue;
    }
    std::string normalized = parts.normalizer.apply(text.substr(segment.begin, segment.end - segment.begin));
    if (parts.added_normalized.empty()) {
      encode_stretch(parts, std::move(normalized), segment.begin == 0, ids);
      continue;
    }
    parts.added_normalized.split(normalized, parse_special, inner);
    for (const auto& part : inner) {
      if (part.id >= 0) {
        ids.push_back(part.id);
      } else {
        encode_stretch(parts, normalized.substr(part.begin, part.end - part.begin), segment.begin == 0 && part.begin == 0, ids);
      }
    }
  }
}

}  // namespace

bool is_end_of_generation_name(std::string_view text) {
  static constexpr std::string_view kNames[] = {
      "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>", "<end_of_turn>", "<|end|>", "<|eot|>",
      "<EOT>", "<|return|>", "<|call|>", "<|END_OF_TURN_TOKEN|>", "<|end_of_turn|>", "<|eos|>", "<turn|>",
      "<\xEF\xBD\x9C" "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>"};  // DeepSeek
  return std::find(std::begin(kNames), std::end(kNames), text) != std::end(kNames);
}

void TokenizerParts::finish() {
  if (eos) end_of_generation.push_back(*eos);
  for (int32_t id = 0; id < vocabulary->size(); ++id) {
    const TokenKind kind = vocabulary->kind(id);
    if ((kind == TokenKind::kControl || kind == TokenKind::kUserDefined) && is_end_of_generation_name(vocabulary->text(id))) {
      end_of_generation.push_back(id);
    }
  }
  std::sort(end_of_generation.begin(), end_of_generation.end());
  end_of_generation.erase(std::unique(end_of_generation.begin(), end_of_generation.end()), end_of_generation.end());
}

Tokenizer::Tokenizer(TokenizerParts parts) : parts_(std::make_unique<const TokenizerParts>(std::move(parts))) {}
Tokenizer::~Tokenizer() = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + 4);
  if (!options.add_special) {
    encode_text(*parts_, text, options.parse_special, ids);
    return ids;
  }
  for (const TemplatePiece& piece : parts_->single) {
    if (piece.id >= 0) {
      ids.push_back(piece.id);
    } else {
      encode_text(*parts_, text, options.parse_special, ids);
    }
  }
  return ids;
}

EncodedPair Tokenizer::encode_pair(std::string_view first, std::string_view second) const {
  EncodedPair pair;
  for (const TemplatePiece& piece : parts_->pair) {
    if (piece.id >= 0) {
      pair.ids.push_back(piece.id);
    } else {
      encode_text(*parts_, piece.id == TemplatePiece::kSecondText ? second : first, true, pair.ids);
    }
    pair.type_ids.resize(pair.ids.size(), piece.type_id);
  }
  return pair;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  bool first = true;
  for (const int32_t id : ids) {
    const bool special = is_special(id);
    if (special && skip_special) continue;
    std::string_view piece = token_bytes(id);
    if (first && parts_->strip_first_space && !special && !piece.empty() && piece.front() == ' ') piece.remove_prefix(1);
    if (!first && special && parts_->space_before_control) bytes.push_back(' ');
    first = first && token_bytes(id).empty();
    bytes.append(piece);
  }
  return is_valid_utf8(bytes) ? bytes : replace_invalid_utf8(bytes);
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  return parts_->vocabulary->contains(id) ? parts_->vocabulary->bytes(id) : std::string_view();
}

std::string Tokenizer::token_text(int32_t id) const {
  return parts_->vocabulary->contains(id) ? std::string(parts_->vocabulary->text(id)) : std::string();
}

bool Tokenizer::is_special(int32_t id) const {
  if (!parts_->vocabulary->contains(id)) return false;
  const TokenKind kind = parts_->vocabulary->kind(id);
  return kind == TokenKind::kControl || kind == TokenKind::kUnknown;
}

std::optional<int32_t> Tokenizer::find_token(std::string_view text) const {
  const int32_t id = parts_->vocabulary->find(text);
  return id < 0 ? std::nullopt : std::optional(id);
}

int32_t Tokenizer::vocab_size() const { return parts_->vocabulary->size(); }
std::optional<int32_t> Tokenizer::bos() const { return parts_->bos; }
std::optional<int32_t> Tokenizer::eos() const { return parts_->eos; }
std::optional<int32_t> Tokenizer::pad() const { return parts_->pad; }
std::optional<int32_t> Tokenizer::unk() const { return parts_->unk; }
std::optional<int32_t> Tokenizer::cls() const { return parts_->cls; }
std::optional<int32_t> Tokenizer::sep() const { return parts_->sep; }
std::optional<int32_t> Tokenizer::mask() const { return parts_->mask; }
bool Tokenizer::add_bos() const { return parts_->single.front().id >= 0; }
bool Tokenizer::add_eos() const { return parts_->single.back().id >= 0; }
const std::vector<int32_t>& Tokenizer::end_of_generation() const { return parts_->end_of_generation; }
int64_t Tokenizer::max_length() const { return parts_->max_length; }
const std::string& Tokenizer::chat_template() const { return parts_->chat_template; }
bool Tokenizer::strips_first_space() const { return parts_->strip_first_space; }

}  // namespace hanlin
