#include "text/added_tokens.h"

#include <algorithm>

#include "text/unicode.h"
#include "text/utf8.h"

namespace hanlin {
namespace {

// Start of the last character of `text`, which is not empty.
size_t last_char(std::string_view text) {
  size_t pos = text.size() - 1;
  for (int i = 0; i < 3 && pos > 0 && (static_cast<uint8_t>(text[pos]) & 0xC0) == 0x80; ++i) --pos;
  return pos;
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  if (begin > 0 && is_word_char(decode_utf8(text, last_char(text.substr(0, begin))).value)) return false;
  return end >= text.size() || !is_word_char(decode_utf8(text, end).value);
}

}  // namespace

Result<AddedTokens> AddedTokens::build(std::vector<AddedToken> tokens) {
  AddedTokens added;
  std::erase_if(tokens, [](const AddedToken& token) { return token.content.empty(); });
  added.tokens_ = std::move(tokens);
  std::vector<std::pair<std::string_view, int32_t>> all, not_special;
  for (size_t i = 0; i < added.tokens_.size(); ++i) {
    const AddedToken& token = added.tokens_[i];
    if (token.content.size() > kMaxBytes) {
      return Error{Code::kCorrupt, "added token " + std::to_string(token.id) + ": expected at most " +
                                       std::to_string(kMaxBytes) + " bytes, got " + std::to_string(token.content.size())};
    }
    all.emplace_back(token.content, static_cast<int32_t>(i));
    if (!token.special) not_special.emplace_back(token.content, static_cast<int32_t>(i));
  }
  added.all_ = ByteTrie::build(std::move(all));
  added.not_special_ = ByteTrie::build(std::move(not_special));
  return added;
}

void AddedTokens::split(std::string_view text, bool parse_special, std::vector<Segment>& segments) const {
  segments.clear();
  const ByteTrie& trie = parse_special ? all_ : not_special_;
  size_t text_begin = 0;
  for (size_t pos = 0; pos < text.size();) {
    if (!trie.starts(static_cast<uint8_t>(text[pos]))) {
      ++pos;
      continue;
    }
    const ByteTrie::Match match = trie.longest_prefix(text.substr(pos));
    if (match.n_bytes == 0) {
      ++pos;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(match.value)];
    size_t begin = pos, end = pos + match.n_bytes;
    pos = end;
    if (token.single_word && !stands_alone(text, begin, end)) continue;
    while (token.lstrip && begin > text_begin) {
      const size_t before = std::max(last_char(text.substr(0, begin)), text_begin);
      if (!is_space(decode_utf8(text, before).value)) break;
      begin = before;
    }
    while (token.rstrip && end < text.size()) {
      const CodePoint cp = decode_utf8(text, end);
      if (!is_space(cp.value)) break;
      end += cp.n_bytes;
    }
    if (text_begin < begin) segments.push_back({text_begin, begin, -1});
    segments.push_back({begin, end, token.id});
    text_begin = pos = end;
  }
  if (text_begin < text.size()) segments.push_back({text_begin, text.size(), -1});
}

}  // namespace hanlin
