// One text that grows: what the scheduler and the KV space know of a choice of a request.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace hanlin::engine {

constexpr int64_t kMaxForcedTokens = 64;  // of a decoding sequence in one turn

// Known tokens, how far the model has computed them, and the blocks that hold the result. There is no prefill and no
// decode: a sequence is owed a turn while fewer tokens are computed than known, and gets a new one when it caught up.
struct Sequence {
  enum class State {
    kWaiting,  // wants a turn but has none; may hold blocks
    kRunning,  // takes part in the steps
    kPaused,   // its reader is slow: holds blocks until somebody else needs them
  };

  // Rank: larger priority first, then earlier arrival, then lower choice.
  int priority = 0;
  uint64_t arrival = 0;
  int choice_idx = 0;

  State state = State::kWaiting;
  std::vector<int32_t> tokens;  // known: the prompt, then the output
  int64_t n_prompt = 0;         // of `tokens`
  int64_t n_computed = 0;       // of `tokens`: their keys and values are in `blocks`
  int64_t score_from = 0;       // prompt positions from here to n_prompt still owe their logits; n_prompt: none do
  std::vector<int32_t> blocks;  // block i holds positions [32 i, 32 i + 32)
  int64_t n_published = 0;      // leading blocks that are nodes of the prefix cache
  bool precise = false;         // computed with more exact activations (Chunk::precise), so its blocks hold other numbers
  std::vector<int32_t> drafts;  // guesses of what follows `tokens`, to be computed with the last one if there is room

  int64_t n_known() const { return static_cast<int64_t>(tokens.size()); }
  int64_t n_remaining() const { return n_known() - n_computed; }
  // Owes the model its last token only, or with it a few that had to follow what was sampled before.
  bool is_decoding() const { return n_remaining() == 1 || (n_computed >= n_prompt && n_remaining() > 0 && n_remaining() <= kMaxForcedTokens); }

  // Logits that a chunk of the next n_tokens has to return, counted from its end: all prompt rows that are still to be
  // scored, and the very last row when the chunk catches up with the known tokens.
  int64_t n_logits(int64_t n_tokens) const {
    const int64_t end = n_computed + n_tokens;
    if (score_from < n_prompt) return std::max<int64_t>(0, end - std::max(n_computed, score_from));
    return end == n_known() ? 1 : 0;
  }

  bool ranks_before(const Sequence& other) const {
    if (priority != other.priority) return priority > other.priority;
    if (arrival != other.arrival) return arrival < other.arrival;
    return choice_idx < other.choice_idx;
  }
};

}  // namespace hanlin::engine
