#include "text/split_pattern.h"

#include <algorithm>

#include "text/known_regexes.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace hanlin {
namespace {

constexpr uint32_t bits(Category first, Category last) {
  uint32_t mask = 0;
  for (int i = static_cast<int>(first); i <= static_cast<int>(last); ++i) mask |= 1u << i;
  return mask;
}

// The categories a \p{name} stands for; 0 if we do not know the name.
uint32_t categories_named(std::string_view name) {
  static constexpr std::string_view kNames[] = {"Cn", "Cc", "Cf", "Co", "Cs", "Lu", "Ll", "Lt", "Lm", "Lo",
                                                "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe",
                                                "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp"};
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == name) return 1u << i;
  }
  if (name == "L") return bits(Category::kLu, Category::kLo);
  if (name == "M") return bits(Category::kMn, Category::kMe);
  if (name == "N") return bits(Category::kNd, Category::kNo);
  if (name == "P") return bits(Category::kPc, Category::kPo);
  if (name == "S") return bits(Category::kSm, Category::kSo);
  if (name == "Z") return bits(Category::kZs, Category::kZp);
  if (name == "C") return bits(Category::kCn, Category::kCs);
  return 0;
}

}  // namespace

// One escape inside or outside brackets, `pos` at the backslash.
bool CharClass::add_escape(std::string_view regex, size_t& pos) {
  if (pos + 1 >= regex.size()) return false;
  const char letter = regex[pos + 1];
  pos += 2;
  switch (letter) {
    case 's': space_ = true; return true;
    case 'w': word_ = true; return true;
    case 'd': categories_ |= categories_named("Nd"); return true;
    case 'r': ranges_.emplace_back('\r', '\r'); return true;
    case 'n': ranges_.emplace_back('\n', '\n'); return true;
    case 't': ranges_.emplace_back('\t', '\t'); return true;
    case 'p': {
      const size_t close = regex.find('}', pos);
      if (pos >= regex.size() || regex[pos] != '{' || close == std::string_view::npos) return false;
      const uint32_t mask = categories_named(regex.substr(pos + 1, close - pos - 1));
      categories_ |= mask;
      pos = close + 1;
      return mask != 0;
    }
    default:
      if ((letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z')) {
        return false;
      }
      ranges_.emplace_back(letter, letter);
      return true;
  }
}

bool CharClass::parse(std::string_view regex, size_t& pos, CharClass& out) {
  out = CharClass();
  if (pos >= regex.size()) return false;
  if (regex[pos] == '\\') {
    if (!out.add_escape(regex, pos)) return false;
    out.finish();
    return true;
  }
  if (regex[pos] != '[') {
    if (std::string_view(".*+?()|{}^$").find(regex[pos]) != std::string_view::npos) return false;
    const CodePoint cp = decode_utf8(regex, pos);
    out.ranges_.emplace_back(cp.value, cp.value);
    pos += cp.n_bytes;
    out.finish();
    return true;
  }
  ++pos;
  if (pos < regex.size() && regex[pos] == '^') {
    out.negated_ = true;
    ++pos;
  }
  while (pos < regex.size() && regex[pos] != ']') {
    if (regex[pos] == '[' || (regex[pos] == '&' && regex.substr(pos, 2) == "&&")) return false;  // set operations
    if (regex[pos] == '\\') {
      const size_t n_before = out.ranges_.size();
      if (!out.add_escape(regex, pos)) return false;
      if (out.ranges_.size() == n_before || pos >= regex.size() || regex[pos] != '-') continue;
    } else {
      const CodePoint first = decode_utf8(regex, pos);
      pos += first.n_bytes;
      out.ranges_.emplace_back(first.value, first.value);
    }
    if (pos + 1 < regex.size() && regex[pos] == '-' && regex[pos + 1] != ']') {  // a range from the last one
      if (regex[pos + 1] == '\\') return false;
      const CodePoint last = decode_utf8(regex, pos + 1);
      pos += 1 + last.n_bytes;
      if (last.value < out.ranges_.back().first) return false;
      out.ranges_.back().second = last.value;
    }
  }
  if (pos >= regex.size()) return false;
  ++pos;
  out.finish();
  return true;
}

void CharClass::finish() {
  std::sort(ranges_.begin(), ranges_.end());
  size_t n = 0;
  for (const auto& range : ranges_) {
    if (n > 0 && range.first <= ranges_[n - 1].second) {
      ranges_[n - 1].second = std::max(ranges_[n - 1].second, range.second);
    } else {
      ranges_[n++] = range;
    }
  }
  ranges_.resize(n);
  for (char32_t c = 0; c < 128; ++c) ascii_[c] = contains_slow(c);
}

bool CharClass::contains_slow(char32_t c) const {
  bool inside = ((categories_ >> static_cast<int>(category(c))) & 1) != 0 || (space_ && is_space(c)) || (word_ && is_word_char(c));
  if (!inside && !ranges_.empty()) {
    const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), c,
                                        [](char32_t value, const auto& range) { return value < range.first; });
    inside = after != ranges_.begin() && c <= std::prev(after)->second;
  }
  return inside != negated_;
}

bool SplitPattern::parse_simple(std::string_view regex, SplitPattern& out) {
  size_t pos = 0;
  if (regex.substr(0, 3) == "\\s?") {
    out.lead_ = Lead::kAnyWhiteSpace;
    pos = 3;
  } else if (regex.substr(0, 2) == " ?") {
    out.lead_ = Lead::kSpace;
    pos = 2;
  }
  if (!CharClass::parse(regex, pos, out.class_)) return false;
  const std::string_view rest = regex.substr(pos);
  const auto ends = [&](std::string_view quantifier) {
    if (rest == quantifier) return true;
    out.at_end_ = rest.size() == quantifier.size() + 1 && rest.substr(0, quantifier.size()) == quantifier && rest.back() == '$';
    return out.at_end_;
  };
  if (ends("")) return true;
  out.max_ = UINT32_MAX;
  if (ends("+")) return true;
  if (rest.size() >= 4 && rest[0] == '{' && rest.back() == '}') {  // {m,n} or {m,}
    const std::string_view inner = rest.substr(1, rest.size() - 2);
    const size_t comma = inner.find(',');
    const auto digit = [](std::string_view text, uint32_t& value) {
      if (text.size() != 1 || text[0] < '1' || text[0] > '9') return false;
      value = static_cast<uint32_t>(text[0] - '0');
      return true;
    };
    if (comma == std::string_view::npos || !digit(inner.substr(0, comma), out.min_)) return false;
    return comma + 1 == inner.size() || (digit(inner.substr(comma + 1), out.max_) && out.max_ >= out.min_);
  }
  return false;
}

Result<SplitPattern> SplitPattern::from_regex(std::string_view regex) {
  SplitPattern pattern;
  pattern.scanner_ = find_known_regex(regex);
  if (pattern.scanner_ != nullptr || parse_simple(regex, pattern)) return pattern;
  return Error{Code::kUnsupported, "pre-tokenizer: expected one of the known split expressions, got '" + std::string(regex) + "'"};
}

SplitPattern SplitPattern::from_literal(std::string text) {
  HANLIN_CHECK(!text.empty(), "a literal split pattern must not be empty");
  SplitPattern pattern;
  pattern.literal_ = std::move(text);
  return pattern;
}

PatternMatch SplitPattern::match(std::string_view text, size_t pos) const {
  if (scanner_ != nullptr) {
    const size_t n_bytes = scanner_(text, pos);
    return n_bytes > 0 ? PatternMatch{n_bytes, true} : PatternMatch{decode_utf8(text, pos).n_bytes, false};
  }
  if (!literal_.empty()) {
    const size_t found = text.find(literal_, pos);
    if (found == pos) return {literal_.size(), true};
    return {(found == std::string_view::npos ? text.size() : found) - pos, false};
  }
  return match_class(text, pos);
}

PatternMatch SplitPattern::match_class(std::string_view text, size_t pos) const {
  const CodePoint first = decode_utf8(text, pos);
  size_t end = pos;
  const bool lead = lead_ == Lead::kAnyWhiteSpace ? is_space(first.value) : lead_ == Lead::kSpace && first.value == ' ';
  // The optional white space is taken if a character of the class follows, else the class must match without it.
  if (lead) {
    const size_t next = pos + first.n_bytes;
    if (next < text.size() && class_.contains(decode_utf8(text, next).value)) end = next;
  }
  uint32_t n = 0;
  size_t line_end = pos;  // last place inside the run where `$` holds: the end of the text or in front of a line feed
  while (end < text.size() && n < max_) {
    const CodePoint cp = decode_utf8(text, end);
    if (!class_.contains(cp.value)) break;
    end += cp.n_bytes;
    ++n;
    if (at_end_ && n >= min_ && (end == text.size() || text[end] == '\n')) line_end = end;
  }
  if (n < min_) return {std::max<size_t>(end - pos, first.n_bytes), false};
  if (at_end_) return line_end > pos ? PatternMatch{line_end - pos, true} : PatternMatch{end - pos, false};
  return {end - pos, true};
}

}  // namespace hanlin
