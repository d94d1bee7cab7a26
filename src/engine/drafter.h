// Guessing the next tokens from what the text already says (prompt lookup, Saxena 2023): where the last few tokens stood
// before, what followed then is likely to follow again: quotations, edited code, repeated names.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace hanlin::engine {

constexpr int kMaxDraft = 7;  // with the token that is due, 8 rows: as many as a product reads weights for once

// The drafter of one choice. It indexes every run of three tokens, finds the latest earlier place where the text's last
// three stood, and proposes what followed there. How far the match reaches back tells how far to trust it: for short,
// middle and long matches it keeps the share of guesses that came true, and proposes as many tokens as pay under
// `kRowCost`, none where even one does not. Guesses change how fast a text comes, never the text.
// Owned by the engine thread. Memory: 16 to 32 bytes a token.
class Drafter {
 public:
  // Guesses for the tokens after `tokens` (the whole text so far), at most `most`; empty if nothing is worth a try. The
  // text may only grow between calls. Valid until the next call.
  std::span<const int32_t> propose(std::span<const int32_t> tokens, int64_t most);
  // Of the last proposal, `n_tried` guesses were computed and the first n_right were right.
  void learn(int64_t n_tried, int64_t n_right);

 private:
  static constexpr int kGram = 3, kLongestMatch = 16, kClasses = 3;
  // What one more row adds to a step, as a share of a step with one row. Measured 0.17 to 0.22 (SmolLM2, Qwen2.5 and the
  // TinyLlama shape, 1 to 8 rows).
  static constexpr double kRowCost = 0.2;

  void index(std::span<const int32_t> tokens);
  size_t slot_of(std::span<const int32_t> tokens, int64_t begin) const;
  void rehash(std::span<const int32_t> tokens, size_t n_slots);

  std::vector<int32_t> slots_;    // open addressing: position of a run of kGram tokens, or -1; a power of two
  int64_t n_indexed_ = 0;         // runs that begin before this are in slots_
  size_t n_used_ = 0;
  std::vector<int32_t> guesses_;
  int class_idx_ = 0;             // of the last proposal
  std::array<double, kClasses> right_share_{0.4, 0.7, 0.85};  // how often the next guess is right, by length of match
};

}  // namespace hanlin::engine
