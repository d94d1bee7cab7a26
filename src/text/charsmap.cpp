#include "text/charsmap.h"

#include <algorithm>
#include <cstring>

#include "text/utf8.h"

namespace hanlin {
namespace {

// No rule in use is near this; it bounds the work and the growth a hostile file can cause.
constexpr size_t kMaxRuleBytes = 256;

}  // namespace

Result<CharsMap> CharsMap::parse(std::string_view blob) {
  CharsMap map;
  uint32_t n_trie_bytes = 0;
  if (blob.size() < sizeof n_trie_bytes) {
    return Error{Code::kCorrupt, "precompiled_charsmap: expected at least 4 bytes, got " + std::to_string(blob.size())};
  }
  std::memcpy(&n_trie_bytes, blob.data(), sizeof n_trie_bytes);
  blob.remove_prefix(sizeof n_trie_bytes);
  if (n_trie_bytes > blob.size() || n_trie_bytes % sizeof(uint32_t) != 0) {
    return Error{Code::kCorrupt, "precompiled_charsmap: expected a trie of whole units within " +
                                     std::to_string(blob.size()) + " bytes, got " + std::to_string(n_trie_bytes)};
  }
  map.units_.resize(n_trie_bytes / sizeof(uint32_t));
  if (n_trie_bytes > 0) std::memcpy(map.units_.data(), blob.data(), n_trie_bytes);
  map.texts_ = blob.substr(n_trie_bytes);
  for (size_t begin = 0; begin < map.texts_.size();) {
    const size_t end = std::min(map.texts_.find('\0', begin), map.texts_.size());
    if (end - begin > kMaxRuleBytes) {
      return Error{Code::kCorrupt, "precompiled_charsmap: expected replacements of at most " + std::to_string(kMaxRuleBytes) +
                                       " bytes, got " + std::to_string(end - begin)};
    }
    begin = end + 1;
  }
  return map;
}

CharsMap::Match CharsMap::longest_match(std::string_view text) const {
  // A unit: bits 0-7 label, 8 has a value, 9 wide offset, 10-30 offset, 31 is a value.
  const auto offset = [](uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); };
  Match best;
  if (units_.empty()) return best;
  uint32_t node = offset(units_[0]);
  for (size_t i = 0; i < text.size() && i < kMaxRuleBytes; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= units_.size()) break;
    const uint32_t unit = units_[node];
    if ((unit & (0x80000000u | 0xFF)) != byte) break;
    node ^= offset(unit);
    if (node >= units_.size()) break;
    if ((unit >> 8) & 1) best = {i + 1, units_[node] & 0x7FFFFFFF};
  }
  if (best.n_bytes > 0 && best.value >= texts_.size()) best = {};  // a rule that points nowhere
  return best;
}

std::string CharsMap::apply(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Match match = longest_match(text);
    if (match.n_bytes > 0) {
      const std::string_view target = std::string_view(texts_).substr(match.value);
      out.append(target.substr(0, target.find('\0')));
      text.remove_prefix(match.n_bytes);
      continue;
    }
    const CodePoint cp = decode_utf8(text, 0);
    append_utf8(out, cp.value);
    text.remove_prefix(cp.n_bytes);
  }
  return out;
}

Result<std::string> decode_base64(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  int n_bits = 0;
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    int value = 0;
    if (c >= 'A' && c <= 'Z') {
      value = c - 'A';
    } else if (c >= 'a' && c <= 'z') {
      value = c - 'a' + 26;
    } else if (c >= '0' && c <= '9') {
      value = c - '0' + 52;
    } else if (c == '+' || c == '/') {
      value = c == '+' ? 62 : 63;
    } else {
      return Error{Code::kCorrupt, "base64: expected A-Z a-z 0-9 + /, got byte " +
                                       std::to_string(static_cast<uint8_t>(c)) + " at " + std::to_string(i)};
    }
    bits = (bits << 6) | static_cast<uint32_t>(value);
    n_bits += 6;
    if (n_bits >= 8) {
      n_bits -= 8;
      out.push_back(static_cast<char>(bits >> n_bits));
      bits &= (1u << n_bits) - 1;
    }
  }
  return out;
}

}  // namespace hanlin
