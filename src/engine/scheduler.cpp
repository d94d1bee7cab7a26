#include "engine/scheduler.h"

#include <algorithm>

#include "base/check.h"

namespace hanlin::engine {

using State = Sequence::State;

Scheduler::Scheduler(const SchedulerOptions& options, KvSpace& kv) : options_(options), kv_(kv) {
  HANLIN_CHECK(options.max_running >= 1 && options.step_tokens > options.max_running && options.step_score_rows >= 1,
               "scheduler options out of range");
}

void Scheduler::add(Sequence* sequence) {
  const auto place = std::upper_bound(sequences_.begin(), sequences_.end(), sequence,
                                      [](const Sequence* a, const Sequence* b) { return a->ranks_before(*b); });
  sequences_.insert(place, sequence);
}

void Scheduler::remove(Sequence* sequence) {
  kv_.release(*sequence);
  std::erase(sequences_, sequence);
}

void Scheduler::set_paused(Sequence* sequence, bool paused) {
  if (paused == (sequence->state == State::kPaused)) return;
  sequence->state = paused ? State::kPaused : State::kWaiting;
}

int64_t Scheduler::count(State state) const {
  return std::count_if(sequences_.begin(), sequences_.end(), [state](const Sequence* s) { return s->state == state; });
}

bool Scheduler::has_work() const {
  return std::any_of(sequences_.begin(), sequences_.end(), [](const Sequence* s) { return s->state != State::kPaused; });
}

const std::vector<Turn>& Scheduler::schedule(const StepPacer* pacer) {
  turns_.clear();
  score_rows_left_ = options_.step_score_rows;
  admit();
  int64_t budget = options_.step_tokens;
  int64_t n_more = std::max<int64_t>(0, options_.step_tokens - count(State::kRunning));  // beside one token each
  for (Sequence* sequence : sequences_) {
    if (sequence->state != State::kRunning || !sequence->is_decoding()) continue;
    const int64_t n_tokens = plan(sequence, 1 + std::min(n_more, sequence->n_remaining() - 1));
    n_more -= std::max<int64_t>(0, n_tokens - 1);
    budget -= n_tokens;
  }
  budget -= plan_drafts(budget);
  const auto n_decoding = static_cast<int64_t>(turns_.size());
  plan_prompts(pacer != nullptr && n_decoding > 0 ? pacer->prompt_tokens(n_decoding, budget) : budget);
  return turns_;
}

void Scheduler::admit() {
  int64_t n_running = count(State::kRunning);
  for (Sequence* sequence : sequences_) {
    if (sequence->state != State::kWaiting) continue;
    if (n_running == options_.max_running) {
      Sequence* victim = last_holder(State::kRunning);
      if (victim == nullptr || victim->priority >= sequence->priority) return;
      preempt(victim);
      --n_running;
    }
    std::span<const int32_t> found = kv_.find(*sequence);
    while (n_running > 0 && !has_room_for(*sequence, found)) {
      Sequence* victim = find_victim(*sequence);
      if (victim == nullptr || (victim->state == State::kRunning && victim->priority >= sequence->priority)) return;
      if (victim->state == State::kRunning) --n_running;
      preempt(victim);
    }
    kv_.adopt(*sequence, found);
    sequence->state = State::kRunning;
    ++n_running;
  }
}

// Room for all that the sequence knows, beside what the running ones will need for what they know and one block more
// each: admitting less carefully would only lead to preempting somebody soon.
bool Scheduler::has_room_for(const Sequence& sequence, std::span<const int32_t> found) const {
  int64_t n_free = kv_.free_after(sequence, found, sequence.n_known() + 1);
  for (const Sequence* other : sequences_) {
    if (other->state != State::kRunning) continue;
    n_free -= std::max<int64_t>(0, KvSpace::blocks_for(other->n_known() + kKvBlockTokens) - static_cast<int64_t>(other->blocks.size()));
  }
  return n_free >= 0;
}

// Adds drafts to the turns so far, all of which decode. Nobody loses blocks for a guess, now or in the next
// step: a guess starts a new block only while every running sequence could have one more.
int64_t Scheduler::plan_drafts(int64_t budget) {
  int64_t left = std::min(budget, options_.step_draft_rows - static_cast<int64_t>(turns_.size()));
  const int64_t before = left;
  for (Turn& turn : turns_) {
    Sequence& sequence = *turn.sequence;
    const int64_t wanted = std::min(left, static_cast<int64_t>(sequence.drafts.size()));
    if (wanted <= 0 || turn.n_tokens < sequence.n_remaining()) continue;
    if (kv_.pool().n_free() > static_cast<int64_t>(turns_.size())) kv_.grow(sequence, sequence.n_known() + wanted);
    turn.n_drafts = std::min(wanted, static_cast<int64_t>(sequence.blocks.size()) * kKvBlockTokens - sequence.n_known());
    left -= turn.n_drafts;
  }
  return std::max<int64_t>(0, before - left);
}

void Scheduler::plan_prompts(int64_t budget) {
  prompts_.clear();
  for (Sequence* sequence : sequences_) {
    if (sequence->state == State::kRunning && !sequence->is_decoding()) prompts_.push_back(sequence);
  }
  for (auto begin = prompts_.begin(); begin != prompts_.end() && budget > 0;) {
    const auto end = std::find_if(begin, prompts_.end(), [&](const Sequence* s) { return s->priority != (*begin)->priority; });
    Sequence* oldest = *begin;
    std::stable_sort(begin + 1, end, [](const Sequence* a, const Sequence* b) { return a->n_remaining() < b->n_remaining(); });
    const int64_t wanted_by_others = [&] {
      int64_t n = 0;
      for (auto it = begin + 1; it != end; ++it) n += (*it)->n_remaining();
      return n;
    }();
    budget -= plan(oldest, std::max((budget + 1) / 2, budget - wanted_by_others));
    for (auto it = begin + 1; it != end && budget > 0; ++it) budget -= plan(*it, budget);
    begin = end;
  }
}

// Gives the sequence a turn of up to n_tokens, as far as blocks can be had, and returns its tokens.
int64_t Scheduler::plan(Sequence* sequence, int64_t n_tokens) {
  if (sequence->state != State::kRunning) return 0;  // lost its blocks since it was picked
  n_tokens = std::min(n_tokens, sequence->n_remaining());
  if (sequence->score_from < sequence->n_prompt) {
    n_tokens = std::min(n_tokens, std::max<int64_t>(0, sequence->score_from - sequence->n_computed) + score_rows_left_);
  }
  while (!kv_.grow(*sequence, sequence->n_computed + n_tokens)) {
    if (Sequence* victim = find_victim(*sequence)) {
      preempt(victim);
    } else {
      n_tokens = static_cast<int64_t>(sequence->blocks.size()) * kKvBlockTokens - sequence->n_computed;
    }
  }
  if (n_tokens <= 0) return 0;
  if (sequence->score_from < sequence->n_prompt) score_rows_left_ -= sequence->n_logits(n_tokens);
  turns_.push_back({sequence, n_tokens, 0});
  return n_tokens;
}

Sequence* Scheduler::last_holder(State state) const {
  const auto it = std::find_if(sequences_.rbegin(), sequences_.rend(),
                               [state](const Sequence* s) { return s->state == state && !s->blocks.empty(); });
  return it == sequences_.rend() ? nullptr : *it;
}

// Whose blocks go when the beneficiary needs some: first those nobody is waiting for, then those not in use at the
// moment, then those of a running sequence that ranks behind it.
Sequence* Scheduler::find_victim(const Sequence& beneficiary) const {
  if (Sequence* paused = last_holder(State::kPaused)) return paused;
  if (Sequence* waiting = last_holder(State::kWaiting); waiting != nullptr && waiting != &beneficiary) return waiting;
  Sequence* running = last_holder(State::kRunning);
  return running != nullptr && beneficiary.ranks_before(*running) ? running : nullptr;
}

void Scheduler::preempt(Sequence* victim) {
  kv_.release(*victim);
  if (victim->state == State::kRunning) victim->state = State::kWaiting;
  std::erase_if(turns_, [victim](const Turn& turn) { return turn.sequence == victim; });
  ++n_preemptions_;
}

}  // namespace hanlin::engine
