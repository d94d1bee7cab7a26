// Cutting a normalised text into the pieces a sub-word model encodes one by one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/split_pattern.h"

namespace hanlin {

// What happens to matches of a split pattern, as tokenizer.json names it.
enum class SplitBehavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

// Where SentencePiece's dummy space goes: nowhere, in front of the text only, or in front of every stretch of text
// between special tokens.
enum class SpacePrefix { kNever, kFirst, kAlways };

struct SplitStep {
  SplitPattern pattern;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // swaps matches and the stretches between them
};
// A space in front of each piece that does not start with one (byte-level models with add_prefix_space).
struct SpaceStep {};
// Spaces become U+2581, with one in front of each piece according to `prefix`; `split` then cuts before each of them.
struct MetaspaceStep {
  SpacePrefix prefix = SpacePrefix::kAlways;
  bool split = true;
};
using PreTokenizeStep = std::variant<SplitStep, SpaceStep, MetaspaceStep>;

inline constexpr std::string_view kMetaspace = "\xE2\x96\x81";  // U+2581, SentencePiece's visible space

// The steps run in order, each on the pieces of the one before. Immutable after set-up; any thread.
class PreTokenizer {
 public:
  struct Span {
    size_t begin, end;
  };

  template <typename Step>
  void add(Step step) {
    steps_.emplace_back(std::in_place_type<Step>, std::move(step));
  }
  Status add_regex(std::string_view regex, SplitBehavior behavior = SplitBehavior::kIsolated, bool invert = false);
  bool empty() const { return steps_.empty(); }

  // Fills `pieces` with non-empty stretches of `text` in order; steps that insert characters change `text`.
  // `at_start`: nothing stands before this text (see SpacePrefix::kFirst).
  void run(std::string& text, bool at_start, std::vector<Span>& pieces) const;

 private:
  std::vector<PreTokenizeStep> steps_;
};

// Replaces spaces by U+2581.
std::string escape_spaces(std::string_view text);

}  // namespace hanlin
