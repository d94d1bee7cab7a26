// Rewriting a text before it is cut: normal forms, case, accents, replacements. The steps of tokenizer.json.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/charsmap.h"
#include "text/split_pattern.h"
#include "text/unicode.h"

namespace hanlin {

// BERT's cleaning: control characters away, all white space to spaces, spaces around Chinese characters, accents away,
// lower case; each switchable.
struct BertStep {
  bool clean = true, chinese = true, strip_accents = true, lower = true;
};
struct FormStep {
  NormalForm form;
};
struct LowerStep {};
struct StripAccentsStep {};  // removes marks; NFD comes before it
struct ReplaceStep {
  SplitPattern pattern;
  std::string content;
};
struct PrependStep {
  std::string text;  // in front of a text that is not empty
};
struct TrimStep {
  bool left = true, right = true;  // white space at the ends goes
  bool only_spaces = false;        // only U+0020 counts
};
using NormalizeStep =
    std::variant<BertStep, FormStep, LowerStep, StripAccentsStep, ReplaceStep, PrependStep, TrimStep, CharsMap>;

// The steps run in order. Immutable after set-up; any thread.
class Normalizer {
 public:
  template <typename Step>
  void add(Step step) {
    steps_.emplace_back(std::in_place_type<Step>, std::move(step));
  }
  bool empty() const { return steps_.empty(); }
  // Normal forms leave a text alone that is not valid UTF-8; the other steps turn invalid sequences into U+FFFD.
  std::string apply(std::string_view text) const;

 private:
  std::vector<NormalizeStep> steps_;
};

}  // namespace hanlin
