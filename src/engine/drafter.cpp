#include "engine/drafter.h"

#include <algorithm>

namespace hanlin::engine {
namespace {

// How many guesses to compute when each is right with probability p, given all before it were: the k with the most tokens
// per cost, (1 + p + … + p^k) / (1 + cost k). 0 where guessing does not gain at least 5 %.
int64_t best_length(double p, double row_cost, int64_t most) {
  double tokens = 1, power = 1, best_rate = 1.05;
  int64_t best = 0;
  for (int64_t k = 1; k <= most; ++k) {
    power *= p;
    tokens += power;
    const double rate = tokens / (1 + row_cost * static_cast<double>(k));
    if (rate <= best_rate) continue;
    best_rate = rate;
    best = k;
  }
  return best;
}

}  // namespace

// The slot that holds the run of kGram tokens at `begin`, or the free one where it belongs.
size_t Drafter::slot_of(std::span<const int32_t> tokens, int64_t begin) const {
  const auto run = tokens.subspan(static_cast<size_t>(begin), kGram);
  uint64_t hash = 0;
  for (int32_t token : run) hash = (hash ^ static_cast<uint32_t>(token)) * 0x9e3779b97f4a7c15ull;
  for (size_t slot = (hash >> 20) & (slots_.size() - 1);; slot = (slot + 1) & (slots_.size() - 1)) {
    if (slots_[slot] < 0 || std::equal(run.begin(), run.end(), tokens.begin() + slots_[slot])) return slot;
  }
}

void Drafter::rehash(std::span<const int32_t> tokens, size_t n_slots) {
  slots_.assign(n_slots, -1);
  n_used_ = 0;
  n_indexed_ = 0;
  index(tokens);
}

// Enters all runs but the last one, which is what is looked for; a later place replaces an earlier one.
void Drafter::index(std::span<const int32_t> tokens) {
  const auto n_runs = static_cast<int64_t>(tokens.size()) - kGram;
  if (const size_t wanted = 2 * static_cast<size_t>(std::max<int64_t>(n_runs, 0)); slots_.size() < wanted) {
    size_t n_slots = std::max<size_t>(64, slots_.size());
    while (n_slots < 2 * wanted) n_slots *= 2;
    return rehash(tokens, n_slots);
  }
  for (; n_indexed_ < n_runs; ++n_indexed_) slots_[slot_of(tokens, n_indexed_)] = static_cast<int32_t>(n_indexed_);
}

std::span<const int32_t> Drafter::propose(std::span<const int32_t> tokens, int64_t most) {
  guesses_.clear();
  const auto n = static_cast<int64_t>(tokens.size());
  if (n <= kGram || most <= 0) return {};
  index(tokens);
  const int32_t found = slots_.empty() ? -1 : slots_[slot_of(tokens, n - kGram)];
  if (found < 0) return {};
  int64_t length = kGram;
  while (length < kLongestMatch && found - (length - kGram) > 0 &&
         tokens[static_cast<size_t>(found + kGram - length - 1)] == tokens[static_cast<size_t>(n - length - 1)]) {
    ++length;
  }
  class_idx_ = length < 5 ? 0 : length < 9 ? 1 : 2;
  double& share = right_share_[static_cast<size_t>(class_idx_)];
  const int64_t n_guesses = best_length(share, kRowCost, std::min<int64_t>(most, kMaxDraft));
  // What was given up on is tried again after a while: the text may have changed its nature.
  if (n_guesses == 0) share += 0.001;
  // The text from there on, over and over where it reaches its own end (a repeated line, a run of spaces).
  const int64_t start = found + kGram, period = n - start;
  for (int64_t i = 0; i < n_guesses; ++i) guesses_.push_back(tokens[static_cast<size_t>(start + i % period)]);
  return guesses_;
}

void Drafter::learn(int64_t n_tried, int64_t n_right) {
  double& share = right_share_[static_cast<size_t>(class_idx_)];
  for (int64_t i = 0; i < std::min(n_tried, n_right + 1); ++i) share += 0.12 * ((i < n_right ? 1.0 : 0.0) - share);
}

}  // namespace hanlin::engine
