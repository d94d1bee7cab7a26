// The vocabulary seen from inside a JSON string or property name: most tokens are plain characters there, and a small
// automaton, made while it is walked, tells which of them fit.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "grammar/machine.h"
#include "grammar/token_trie.h"

namespace hanlin::grammar {

struct TokenMask {
  TokenBits bits;
  int32_t max_cost = 0;  // over all its tokens, of what must follow
};

// Walks over the tokens that are whole plain characters. States are sets of frames, found once; what stands around the
// string is left out of them where it is the same for all frames, so that other strings of the kind find them again. Not
// safe to share between threads.
class TextWalk {
 public:
  // Both outlive the walk.
  TextWalk(Machine& machine, const TokenVocabulary& vocabulary);

  // Whether all frames are inside of strings or names, between two characters.
  static bool applies(const FrameSet& set);
  // Sets the bits of the plain tokens after which a legal end is at most `budget` bytes away; clears all others. false: too
  // many states, `out` is not to be used.
  bool walk(const FrameSet& set, int64_t budget, TokenMask& out);
  size_t memory_bytes() const;
  void clear();

 private:
  // Where the code points from `first` on lead to, up to the next entry's.
  struct Range {
    uint32_t first;
    int32_t to;
  };
  struct State {
    FrameSet frames;
    int32_t cost = 0;
    std::vector<Range> ranges;  // above ASCII; empty: not known yet
    std::unique_ptr<TokenMask> mask;  // without a budget
  };
  bool fill(int32_t state, int64_t budget, TokenMask& out);
  int32_t intern(const FrameSet& set);
  int32_t step(int32_t state, uint32_t code_point);
  int32_t compute(int32_t state, uint32_t code_point);
  void find_ranges(int32_t state);

  struct Hash {
    size_t operator()(const FrameSet& set) const;
  };
  Machine& machine_;
  const TokenVocabulary& vocabulary_;
  std::vector<State> states_;
  std::vector<int32_t> ascii_;  // [state][128]
  std::unordered_map<FrameSet, int32_t, Hash> ids_;
  std::vector<int32_t> stack_;
  size_t n_masks_ = 0;
};

}  // namespace hanlin::grammar
