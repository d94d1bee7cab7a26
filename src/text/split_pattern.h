// The patterns that cut a text into pieces before sub-word models see it. Tokenizer files name them as regular
// expressions; a fixed set is in use, so each is a scanner of ours: linear time, no regex engine, no backtracking.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hanlin {

// What a pattern finds at one position: a match of n_bytes, or, if not matched, that no match starts within the next
// n_bytes. n_bytes >= 1.
struct PatternMatch {
  size_t n_bytes = 1;
  bool matched = false;
};

// A set of code points: general categories, white space and ranges, possibly negated.
class CharClass {
 public:
  // Parses "[...]", "\p{X}", "\s", "\d", "\w", "\r", "." excluded; moves `pos` behind it. False if it is not one of these.
  static bool parse(std::string_view regex, size_t& pos, CharClass& out);
  bool contains(char32_t c) const { return c < 128 ? ascii_[c] : contains_slow(c); }

 private:
  bool contains_slow(char32_t c) const;
  bool add_escape(std::string_view regex, size_t& pos);
  void finish();

  uint32_t categories_ = 0;  // bit i: Category(i)
  bool space_ = false, word_ = false, negated_ = false;
  std::vector<std::pair<char32_t, char32_t>> ranges_;  // inclusive, ascending, disjoint after finish()
  std::array<bool, 128> ascii_{};
};

// Immutable; any thread.
class SplitPattern {
 public:
  // A regular expression as tokenizer.json writes it: one of the alternations of well-known models, or one character
  // class with an optional white space in front and a repetition behind. kUnsupported (with the expression) otherwise.
  static Result<SplitPattern> from_regex(std::string_view regex);
  // Exactly this text, which must not be empty.
  static SplitPattern from_literal(std::string text);

  // `pos` < text.size(). Sees nothing outside `text`.
  PatternMatch match(std::string_view text, size_t pos) const;

 private:
  using Scanner = size_t (*)(std::string_view text, size_t pos);  // bytes matched, 0 for none

  static bool parse_simple(std::string_view regex, SplitPattern& out);
  PatternMatch match_class(std::string_view text, size_t pos) const;

  Scanner scanner_ = nullptr;  // an alternation
  std::string literal_;        // or a literal
  CharClass class_;            // or [white space]? class{min,max} [end]
  enum class Lead { kNone, kSpace, kAnyWhiteSpace } lead_ = Lead::kNone;
  uint32_t min_ = 1, max_ = 1;
  bool at_end_ = false;  // `$`, which Oniguruma lets hold at the end of each line
};

}  // namespace hanlin
