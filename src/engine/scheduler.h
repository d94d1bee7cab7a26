// Who takes part in the next step, with how many tokens.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kv_space.h"
#include "engine/sequence.h"
#include "engine/step_pacer.h"

namespace hanlin::engine {

struct SchedulerOptions {
  int max_running = 64;       // sequences that take part in steps at the same time
  int64_t step_tokens = 512;  // tokens of one step; at least max_running + 1, so that prompts move while all decode
  int64_t step_score_rows = 64;  // prompt rows whose logits one step may return (prompt logprobs); at least 1
  int64_t step_draft_rows = 8;   // drafts are computed as long as decoding rows and drafts together are at most this many
};

// A sequence's part in a step: its next n_tokens, and after them the first n_drafts of its drafts.
struct Turn {
  Sequence* sequence = nullptr;
  int64_t n_tokens = 0;
  int64_t n_drafts = 0;
};

// Continuous batching. In each step
//   1. waiting sequences are admitted in rank order while there is a place and room for what they know. The first that
//      does not fit holds back those after it, so big requests are not passed for ever;
//   2. sequences that decode get their token, and those that were forced before it, whatever else is going on, and
//      while few rows decode, also rows for its drafts, if the blocks for them are free: memory is read once for all;
//   3. the rest of the step goes to longer ones (prompts), as far as a pacer lets them while others decode, higher
//      priority first. Of one priority, half goes to the
//      oldest, which therefore always moves, and half to the shortest first, so short prompts need not wait behind it.
// When blocks run out, the one that ranks last loses all of its blocks and waits; it is computed again later. A sequence
// never takes blocks from a better one, so the best one always moves and every one finishes at some time.
//
// Sequences are not owned; they must be removed before they die. Owned by the engine thread.
class Scheduler {
 public:
  Scheduler(const SchedulerOptions& options, KvSpace& kv);

  void add(Sequence* sequence);     // waits; may hold blocks (a fork)
  void remove(Sequence* sequence);  // gives its blocks back
  void set_paused(Sequence* sequence, bool paused);

  // The turns of the next step; the blocks for them are in place. Valid until the next call. Empty only if every
  // sequence is paused or there is none. `pacer`: bounds prompts beside decoding rows; null: nothing does.
  const std::vector<Turn>& schedule(const StepPacer* pacer = nullptr);

  bool has_work() const;  // some sequence is waiting or running
  int64_t count(Sequence::State state) const;
  int64_t n_preemptions() const { return n_preemptions_; }

 private:
  void admit();
  bool has_room_for(const Sequence& sequence, std::span<const int32_t> found) const;
  void plan_prompts(int64_t budget);
  int64_t plan_drafts(int64_t budget);
  int64_t plan(Sequence* sequence, int64_t n_tokens);
  Sequence* last_holder(Sequence::State state) const;
  Sequence* find_victim(const Sequence& beneficiary) const;
  void preempt(Sequence* victim);

  SchedulerOptions options_;
  KvSpace& kv_;
  std::vector<Sequence*> sequences_;  // by rank, best first
  std::vector<Sequence*> prompts_;    // scratch of plan_prompts
  std::vector<Turn> turns_;
  int64_t score_rows_left_ = 0;
  int64_t n_preemptions_ = 0;
};

}  // namespace hanlin::engine
