// Reading text that is not all there yet.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hanlin::agent {

enum class Match { kNo, kPartial, kYes };

// Does `text` begin with `literal`? kPartial: it ends too early to say.
inline Match match_prefix(std::string_view text, std::string_view literal) {
  const size_t n = text.size() < literal.size() ? text.size() : literal.size();
  if (text.substr(0, n) != literal.substr(0, n)) return Match::kNo;
  return n == literal.size() ? Match::kYes : Match::kPartial;
}

inline bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
inline bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

// The text that is there, and how far it was read. What follows may come later unless `at_end`: a reader that cannot
// decide yet leaves `pos` where it is and is asked again with more text.
struct Cursor {
  std::string_view text;
  bool at_end = false;
  size_t pos = 0;
  size_t committed = 0;  // what lies before belongs to finished calls

  std::string_view rest() const { return text.substr(pos); }
  bool empty() const { return pos >= text.size(); }
  char peek() const { return text[pos]; }
  void skip_space() {
    while (pos < text.size() && is_space(text[pos])) ++pos;
  }
  // Takes `literal` if it comes next. At the end of all text a part of it counts as kNo.
  Match take(std::string_view literal) {
    const Match match = match_prefix(rest(), literal);
    if (match == Match::kYes) pos += literal.size();
    return match == Match::kPartial && at_end ? Match::kNo : match;
  }
};

// Looks for `literal` at most `limit` bytes ahead and says where it begins. kPartial: more text has to come; the answer
// is the same however the text is cut.
inline Match find_within(const Cursor& cursor, std::string_view literal, size_t limit, size_t* begin) {
  *begin = cursor.text.find(literal, cursor.pos);
  if (*begin == std::string_view::npos) return cursor.rest().size() < limit + literal.size() ? Match::kPartial : Match::kNo;
  return *begin - cursor.pos <= limit ? Match::kYes : Match::kNo;
}

}  // namespace hanlin::agent
