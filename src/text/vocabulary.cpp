#include "text/vocabulary.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "text/pretokenizer.h"
#include "text/utf8.h"

namespace hanlin {
namespace {

// A fast hash of short strings: eight bytes at a time through a multiplication. Tables are built from trusted-size files
// and bounded probes are not needed: a colliding vocabulary only slows its own model down.
uint64_t hash_bytes(std::string_view text) {
  constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15ull;
  uint64_t hash = text.size() * kMultiplier;
  const char* data = text.data();
  size_t n = text.size();
  while (n >= 8) {
    uint64_t word;
    std::memcpy(&word, data, 8);
    hash = (hash ^ word) * kMultiplier;
    hash ^= hash >> 32;
    data += 8;
    n -= 8;
  }
  uint64_t word = 0;
  std::memcpy(&word, data, n);
  hash = (hash ^ word) * kMultiplier;
  return hash ^ (hash >> 29);
}

// GPT-2's bytes_to_unicode: printable bytes stand for themselves, the others for U+0100 upwards in order.
struct ByteAlphabet {
  std::array<int16_t, 0x144> byte_of;  // by code point; -1: not in the alphabet
  ByteAlphabet() {
    byte_of.fill(-1);
    int next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      byte_of[static_cast<size_t>(printable ? byte : next++)] = static_cast<int16_t>(byte);
    }
  }
};

std::string decode_byte_level(std::string_view text) {
  static const ByteAlphabet alphabet;
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint cp = decode_utf8(text, pos);
    pos += cp.n_bytes;
    if (!cp.valid || cp.value >= alphabet.byte_of.size() || alphabet.byte_of[cp.value] < 0) return std::string(text);
    out.push_back(static_cast<char>(alphabet.byte_of[cp.value]));
  }
  return out;
}

std::string decode_metaspace(std::string_view text) {
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    const size_t found = std::min(text.find(kMetaspace, pos), text.size());
    out.append(text.substr(pos, found - pos));
    if (found < text.size()) out.push_back(' ');
    pos = found + kMetaspace.size();
  }
  return out;
}

std::string decode_wordpiece(std::string_view text) {
  if (text.size() > 2 && text.substr(0, 2) == "##") return std::string(text.substr(2));
  // No space before these, as BERT's decoder cleans up.
  if (text == "." || text == "," || text == "!" || text == "?") return std::string(text);
  std::string word(1, ' ');
  word.append(text);
  return word;
}

}  // namespace

void StringIndex::reserve(size_t n) {
  size_t n_slots = 16;
  while (n_slots < n * 2) n_slots *= 2;
  slots_.assign(n_slots, {});
}

void StringIndex::insert(const StringPool& pool, int32_t id) {
  const std::string_view text = pool[static_cast<size_t>(id)];
  const uint64_t hash = hash_bytes(text);
  const auto upper = static_cast<uint32_t>(hash >> 32);
  const size_t mask = slots_.size() - 1;
  size_t i = hash & mask;
  for (; slots_[i].id >= 0; i = (i + 1) & mask) {
    if (slots_[i].hash == upper && pool[static_cast<size_t>(slots_[i].id)] == text) return;
  }
  slots_[i] = {id, upper};
}

int32_t StringIndex::find(const StringPool& pool, std::string_view text) const {
  if (slots_.empty()) return -1;
  const uint64_t hash = hash_bytes(text);
  const auto upper = static_cast<uint32_t>(hash >> 32);
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask; slots_[i].id >= 0; i = (i + 1) & mask) {
    if (slots_[i].hash == upper && pool[static_cast<size_t>(slots_[i].id)] == text) return slots_[i].id;
  }
  return -1;
}

Vocabulary Vocabulary::build(const std::vector<Token>& tokens) {
  Vocabulary vocabulary;
  vocabulary.kinds_.reserve(tokens.size());
  for (const Token& token : tokens) {
    vocabulary.texts_.add(token.text);
    vocabulary.kinds_.push_back(token.kind);
  }
  vocabulary.by_text_.build(vocabulary.texts_, [](size_t) { return true; });
  return vocabulary;
}

void Vocabulary::set_bytes(const std::vector<std::string>& bytes) {
  HANLIN_CHECK(bytes.size() == kinds_.size(), "Vocabulary::set_bytes: one string for each token");
  bytes_ = StringPool();
  max_bytes_ = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes_.add(bytes[i]);
    if (kinds_[i] == TokenKind::kNormal || kinds_[i] == TokenKind::kUserDefined) max_bytes_ = std::max(max_bytes_, bytes[i].size());
  }
  by_bytes_ = StringIndex();
  by_bytes_.build(bytes_, [this](size_t i) { return kinds_[i] == TokenKind::kNormal; });
}

std::string token_bytes_of(std::string_view text, TokenKind kind, Spelling spelling) {
  if (kind == TokenKind::kByte) {
    if (const auto byte = parse_byte_token(text)) return std::string(1, static_cast<char>(*byte));
  }
  if (kind == TokenKind::kControl || kind == TokenKind::kUnknown) return std::string(text);
  switch (spelling) {
    case Spelling::kByteLevel: return kind == TokenKind::kUserDefined ? std::string(text) : decode_byte_level(text);
    case Spelling::kMetaspace: return decode_metaspace(text);
    case Spelling::kWordPiece: return decode_wordpiece(text);
  }
  return std::string(text);
}

std::optional<uint8_t> parse_byte_token(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return std::nullopt;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    value = value * 16 + digit;
  }
  return static_cast<uint8_t>(value);
}

}  // namespace hanlin
