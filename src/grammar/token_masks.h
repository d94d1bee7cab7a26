// Which tokens may come next: the machine meets the vocabulary.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "grammar/machine.h"
#include "grammar/text_walk.h"
#include "grammar/token_trie.h"

namespace hanlin::grammar {

// Masks of one grammar over one vocabulary, each computed once for a set of frames. Not safe to share between threads.
class TokenMasks {
 public:
  TokenMasks(std::shared_ptr<const MachineCode> code, std::shared_ptr<const TokenVocabulary> vocabulary);

  Machine& machine() { return machine_; }
  // Sets by number, equal ones once: a number is all that a matcher has to remember of a state.
  int32_t intern(const FrameSet& set);
  const FrameSet& set(int32_t id) const { return sets_[static_cast<size_t>(id)].frames; }
  int32_t start() const { return start_; }
  int32_t cost(int32_t id) const { return sets_[static_cast<size_t>(id)].cost; }
  bool may_end(int32_t id) const { return sets_[static_cast<size_t>(id)].may_end; }
  // In the free text around tags.
  bool is_free(int32_t id) const;
  // In texts of rules or free text, not inside a JSON value: where markers may stand.
  bool is_between_values(int32_t id) const;
  // The state after these bytes, or -1.
  int32_t advance(int32_t id, std::string_view bytes);
  // Tokens after which a legal end is still `budget` bytes away or less (budget counts what may follow the token).
  void fill(int32_t id, int64_t budget, std::span<uint32_t> bits);
  // The only byte that may follow, or -1; also -1 where the text may end. `skip_layout`: white space between the parts of a
  // JSON value is no choice: one space behind a colon or comma, none elsewhere.
  int forced_byte(int32_t id, bool skip_layout);
  // No byte may follow.
  bool is_dead_end(int32_t id);
  size_t memory_bytes() const { return machine_.n_frames() * 120 + n_mask_bytes_ + text_.memory_bytes(); }

 private:
  struct State {
    FrameSet frames;
    int32_t cost = kInfinite;
    bool may_end = false;
    std::array<int, 2> forced = {-2, -2};  // forced_byte(); -2: not known yet
    int dead_end = -1;
    std::unique_ptr<TokenMask> mask;
  };
  const TokenMask& mask(int32_t id);
  void compute(const FrameSet& set, int64_t budget, TokenMask& out);
  void walk(const TokenTrie& trie, const FrameSet& set, int64_t budget, TokenMask& out);
  bool is_complete(const FrameSet& set) const;

  Machine machine_;
  std::shared_ptr<const TokenVocabulary> vocabulary_;
  std::vector<State> sets_;
  std::unordered_multimap<uint64_t, int32_t> ids_;
  std::vector<FrameSet> stack_;
  TextWalk text_;
  int32_t start_ = 0;
  size_t n_mask_bytes_ = 0;
};

}  // namespace hanlin::grammar
