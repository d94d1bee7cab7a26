#include "engine/stop_matcher.h"

#include <gtest/gtest.h>

#include <optional>

namespace hanlin::engine {
namespace {

struct Outcome {
  std::string text;
  std::string matched;
  bool operator==(const Outcome&) const = default;
};

// The definition, on the whole text: the smallest end at which some stop ends; of these the longest stop.
Outcome reference(const std::string& text, const std::vector<std::string>& stops, bool include) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::optional<std::string> best;
    for (const std::string& stop : stops) {
      if (stop.size() <= end && text.compare(end - stop.size(), stop.size(), stop) == 0 && (!best || stop.size() > best->size())) best = stop;
    }
    if (best) return {text.substr(0, include ? end : end - best->size()), *best};
  }
  return {text, ""};
}

// Could the last n characters of text be the beginning of a stop?
bool may_become_stop(const std::string& text, size_t n, const std::vector<std::string>& stops) {
  for (const std::string& stop : stops) {
    if (n < stop.size() && text.size() >= n && text.substr(text.size() - n) == stop.substr(0, n)) return true;
  }
  return false;
}

TEST(StopMatcher, AgreesWithTheDefinitionOnEveryShortTextCutAnywhere) {
  const std::vector<std::vector<std::string>> lists = {
      {}, {"a"}, {"ab"}, {"aab"}, {"ab", "b"}, {"bab", "ab"}, {"aba", "bb"}, {"abab"}, {"abb", "ba", "aaa"}, {"aaaa", "aab"}};
  for (const auto& stops : lists) {
    for (bool include : {false, true}) {
      for (size_t length = 0; length <= 7; ++length) {
        for (unsigned bits = 0; bits < (1u << length); ++bits) {
          std::string text;
          for (size_t i = 0; i < length; ++i) text += (bits >> i & 1) ? 'b' : 'a';
          const Outcome expected = reference(text, stops, include);
          for (unsigned cuts = 0; cuts < (1u << (length ? length - 1 : 0)); ++cuts) {
            StopMatcher matcher(stops, include);
            std::string out, piece, given;
            bool stopped = false;
            for (size_t i = 0; i < length && !stopped; ++i) {
              piece += text[i];
              if (i + 1 < length && !(cuts >> i & 1)) continue;
              given += piece;
              stopped = matcher.push(piece, out);
              piece.clear();
              if (stopped) continue;
              const size_t n_held = given.size() - out.size();
              ASSERT_TRUE(n_held == 0 || may_become_stop(given, n_held, stops)) << "held back too long: " << given;
            }
            if (!stopped) matcher.flush(out);
            ASSERT_EQ((Outcome{out, matcher.matched()}), expected) << text << " cuts " << cuts << " include " << include;
          }
        }
      }
    }
  }
}

TEST(StopMatcher, ShowsTextAtOnceWhenItCannotBeTheBeginningOfAStop) {
  StopMatcher matcher({"\n\nUser:"}, false);
  std::string out;
  EXPECT_FALSE(matcher.push("Hello\n", out));
  EXPECT_EQ(out, "Hello");
  EXPECT_FALSE(matcher.push("World", out));
  EXPECT_EQ(out, "Hello\nWorld");
  EXPECT_TRUE(matcher.push("!\n\nUser: more", out));
  EXPECT_EQ(out, "Hello\nWorld!");
  EXPECT_EQ(matcher.matched(), "\n\nUser:");
}

}  // namespace
}  // namespace hanlin::engine
