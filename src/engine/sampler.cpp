#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/exp_moments.h"

namespace hanlin::engine {
namespace {

constexpr int64_t kChunk = 1024;  // tokens whose probabilities are summed together when nothing is filtered
constexpr int kMostByHeap = 256;  // the best so many are found in one pass with a small heap
// How far below the largest logit candidates are looked for: first, up to, and without a limit.
constexpr float kFirstReach = 8, kFirstTypicalReach = 2, kLastReach = 512, kNoReach = std::numeric_limits<float>::infinity();

uint64_t choice_seed(uint64_t seed, int choice_idx) {
  Rng rng(seed);
  uint64_t derived = rng.next();
  for (int i = 0; i < choice_idx; ++i) derived = rng.next();
  return derived;
}

// First index of `value`, or -1.
int32_t find_first(std::span<const float> row, float value) {
  const auto it = std::find(row.begin(), row.end(), value);
  return it == row.end() ? -1 : static_cast<int32_t>(it - row.begin());
}

}  // namespace

bool Sampler::ranks_before(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

double Sampler::weight(const Candidate& c, float max) { return std::exp(static_cast<double>(c.logit) - max); }

SamplingState::SamplingState(const api::SamplingParams& params, uint64_t seed, int choice_idx, std::span<const int32_t> prompt)
    : params_(params),
      rng_(choice_seed(seed, choice_idx)),
      counts_tokens_(params.repetition_penalty != 1.0f || params.presence_penalty != 0.0f || params.frequency_penalty != 0.0f) {
  if (params.repetition_penalty == 1.0f) return;
  for (int32_t token : prompt) n_output_.try_emplace(token, 0);
}

void SamplingState::accept(int32_t token) {
  if (counts_tokens_) ++n_output_[token];
}

// The row with penalties and bias, and without what is not allowed: the model's own row if there is nothing to change.
std::span<const float> Sampler::adjust(std::span<const float> logits, const SamplingState& state, std::span<const uint32_t> allowed) {
  const api::SamplingParams& params = state.params_;
  if (state.n_output_.empty() && params.logit_bias.empty() && allowed.empty()) return logits;
  row_.assign(logits.begin(), logits.end());
  for (const auto& [token, n_output] : state.n_output_) {
    float& logit = row_[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    if (n_output > 0) logit -= params.presence_penalty + params.frequency_penalty * static_cast<float>(n_output);
  }
  for (const auto& [token, bias] : params.logit_bias) row_[static_cast<size_t>(token)] += bias;
  if (!allowed.empty()) {
    for (size_t i = 0; i < row_.size(); ++i) {
      if (!(allowed[i / 32] >> (i % 32) & 1)) row_[i] = -std::numeric_limits<float>::infinity();
    }
  }
  return row_;
}

int32_t Sampler::sample(std::span<const float> logits, SamplingState& state, std::span<const uint32_t> allowed) {
  const api::SamplingParams& params = state.params_;
  const std::span<const float> row = adjust(logits, state, allowed);
  const float max = kernels_.max_value(row.data(), static_cast<int64_t>(row.size()));
  if (!std::isfinite(max)) return -1;
  if (params.temperature == 0) return find_first(row, max);

  const double u = state.rng_.uniform();
  const bool filters = params.top_k > 0 || params.typical_p < 1 || params.top_p < 1 || params.min_p > 0;
  if (!filters) return sample_unfiltered(row, max, params.temperature, u);

  if (params.top_k > 0 || params.typical_p < 1) {
    if (params.top_k > 0) {
      gather_best(row, max, params.top_k);
      if (params.typical_p < 1) filter_typical(max, params.typical_p);
    } else if (!gather_typical(row, max, params.typical_p)) {
      return -1;
    }
    if (params.top_p < 1) keep_top_p(params.top_p, mass_of_candidates(max), max);
  } else if (params.top_p < 1) {
    if (!gather_top_p(row, max, params.top_p)) return -1;
  } else {
    gather_above(row, max + std::log(params.min_p));
  }
  if (candidates_.empty()) return -1;
  std::sort(candidates_.begin(), candidates_.end(), ranks_before);
  if (params.min_p > 0) {
    const float least = candidates_.front().logit + std::log(params.min_p);
    std::erase_if(candidates_, [least](const Candidate& c) { return c.logit < least; });
  }
  return sample_candidates(params.temperature, u);
}

// Walks the cumulative distribution in order of ids: whole chunks first, then inside the chunk that holds u.
int32_t Sampler::sample_unfiltered(std::span<const float> logits, float max, float temperature, double u) {
  const auto n = static_cast<int64_t>(logits.size());
  row_.resize(logits.size());  // may be `logits` itself
  for (size_t i = 0; i < logits.size(); ++i) row_[i] = (logits[i] - max) / temperature;  // no product: 1 / temperature may overflow
  chunk_sums_.clear();
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    chunk_sums_.push_back(kernels_.sum_exp(row_.data() + begin, std::min(kChunk, n - begin), 0));
    total += chunk_sums_.back();
  }
  if (!std::isfinite(total)) return -1;
  double left = u * total;
  size_t chunk_idx = 0;
  while (chunk_idx + 1 < chunk_sums_.size() && left >= chunk_sums_[chunk_idx]) left -= chunk_sums_[chunk_idx++];
  int32_t last_possible = -1;
  const int64_t begin = static_cast<int64_t>(chunk_idx) * kChunk;
  for (int64_t i = begin; i < std::min(n, begin + kChunk); ++i) {
    const double p = std::exp(static_cast<double>(row_[static_cast<size_t>(i)]));
    if (p == 0) continue;
    last_possible = static_cast<int32_t>(i);
    if ((left -= p) < 0) break;
  }
  return last_possible >= 0 ? last_possible : find_first(row_, 0.0f);  // rounding at the end of the row
}

void Sampler::gather_above(std::span<const float> logits, float least) {
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] >= least) candidates_.push_back({logits[i], static_cast<int32_t>(i), 0});
  }
}

void Sampler::gather_best(std::span<const float> logits, float max, int top_k) {
  if (top_k <= kMostByHeap) {
    select_top(logits, top_k, best_);
    candidates_.clear();
    for (int32_t id : best_) candidates_.push_back({logits[static_cast<size_t>(id)], id, 0});
    return;
  }
  const size_t k = std::min(static_cast<size_t>(top_k), logits.size());
  // Few logits lie near the largest: look there first, so that the selection has little to do.
  float reach = k < logits.size() ? kFirstReach : kNoReach;
  for (gather_above(logits, max - reach); candidates_.size() < k && reach < kNoReach; gather_above(logits, max - reach)) {
    reach = reach < kLastReach ? reach * 2 : kNoReach;
  }
  if (candidates_.size() <= k) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(k), candidates_.end(), ranks_before);
  candidates_.resize(k);
}

bool Sampler::gather_top_p(std::span<const float> logits, float max, float top_p) {
  const double total = kernels_.sum_exp(logits.data(), static_cast<int64_t>(logits.size()), max);
  if (!std::isfinite(total)) return false;
  float reach = kFirstReach;
  for (gather_above(logits, max - reach); mass_of_candidates(max) < top_p * total && reach < kNoReach;
       gather_above(logits, max - reach)) {
    reach = reach < kLastReach ? reach * 2 : kNoReach;
  }
  keep_top_p(top_p, total, max);
  return true;
}

double Sampler::mass_of_candidates(float max) const {
  double mass = 0;
  for (const Candidate& c : candidates_) mass += weight(c, max);
  return mass;
}

void Sampler::keep_top_p(float top_p, double total, float max) {
  keep_smallest_set(ranks_before, [max](const Candidate& c) { return weight(c, max); }, top_p * total);
}

// The typical tokens: those whose surprise, -log p, is nearest to the entropy, until they hold `mass` of the distribution.
// Of the distribution over `logits` this says which logit has the entropy as its surprise, and the sum of exp(logit - max).
Sampler::Typical Sampler::find_typical(std::span<const float> logits, float max) {
  const ExpMoments moments = exp_moments(logits, max);
  return {max + moments.dot / moments.sum, moments.sum};
}

void Sampler::set_typical_keys(const Typical& typical) {
  for (Candidate& c : candidates_) c.key = static_cast<float>(std::abs(c.logit - typical.logit));
}

void Sampler::keep_typical(const Typical& typical, float mass, float max) {
  const auto less = [](const Candidate& a, const Candidate& b) { return a.key < b.key || (a.key == b.key && a.id < b.id); };
  keep_smallest_set(less, [max](const Candidate& c) { return weight(c, max); }, mass * typical.total);
}

// Looks near the typical logit first; few tokens are needed.
bool Sampler::gather_typical(std::span<const float> logits, float max, float mass) {
  const Typical typical = find_typical(logits, max);
  if (!std::isfinite(typical.total)) return false;
  for (float reach = kFirstTypicalReach;; reach = reach < kLastReach ? reach * 2 : kNoReach) {
    candidates_.clear();
    for (size_t i = 0; i < logits.size(); ++i) {
      if (std::abs(logits[i] - typical.logit) <= reach) candidates_.push_back({logits[i], static_cast<int32_t>(i), 0});
    }
    if (reach == kNoReach || mass_of_candidates(max) >= mass * typical.total) break;
  }
  set_typical_keys(typical);
  keep_typical(typical, mass, max);
  return true;
}

// The same among the candidates.
void Sampler::filter_typical(float max, float mass) {
  std::vector<float>& logits = candidate_logits_;
  logits.clear();
  for (const Candidate& c : candidates_) logits.push_back(c.logit);
  const Typical typical = find_typical(logits, max);
  set_typical_keys(typical);
  keep_typical(typical, mass, max);
}

// Keeps the first candidates in the order of `less` whose weights reach `mass`, at least one. Sorts only as far as needed.
template <typename Less, typename Weight>
void Sampler::keep_smallest_set(const Less& less, const Weight& weight, double mass) {
  size_t n_sorted = 0, n_next = 128;
  double sum = 0;
  while (n_sorted < candidates_.size()) {
    const size_t end = std::min(n_next, candidates_.size());
    const auto at = [this](size_t i) { return candidates_.begin() + static_cast<ptrdiff_t>(i); };
    if (end < candidates_.size()) std::nth_element(at(n_sorted), at(end), candidates_.end(), less);
    std::sort(at(n_sorted), at(end), less);
    for (; n_sorted < end; ++n_sorted) {
      sum += weight(candidates_[n_sorted]);
      if (sum >= mass) {
        candidates_.resize(n_sorted + 1);
        return;
      }
    }
    n_next *= 4;
  }
}

// Draws from the candidates, which are sorted, best first.
int32_t Sampler::sample_candidates(float temperature, double u) const {
  const double max = candidates_.front().logit;
  const auto p = [max, temperature](const Candidate& c) { return std::exp((static_cast<double>(c.logit) - max) / temperature); };
  double total = 0;
  for (const Candidate& c : candidates_) total += p(c);
  double left = u * total;
  for (const Candidate& c : candidates_) {
    if ((left -= p(c)) < 0) return c.id;
  }
  return candidates_.front().id;  // rounding at the very end
}

void select_top(std::span<const float> row, int k, std::vector<int32_t>& ids) {
  ids.clear();
  if (k <= 0) return;
  // A heap of the k best so far, its worst on top; nearly every value is refused by the first comparison.
  const auto better = [row](int32_t a, int32_t b) {
    const float x = row[static_cast<size_t>(a)], y = row[static_cast<size_t>(b)];
    return x > y || (x == y && a < b);
  };
  const auto n = static_cast<int32_t>(row.size());
  const int32_t n_first = std::min(n, static_cast<int32_t>(k));
  for (int32_t i = 0; i < n_first; ++i) ids.push_back(i);
  std::make_heap(ids.begin(), ids.end(), better);
  float least = row[static_cast<size_t>(ids.front())];
  for (int32_t i = n_first; i < n; ++i) {
    if (!(row[static_cast<size_t>(i)] > least)) continue;
    std::pop_heap(ids.begin(), ids.end(), better);
    ids.back() = i;
    std::push_heap(ids.begin(), ids.end(), better);
    least = row[static_cast<size_t>(ids.front())];
  }
  std::sort_heap(ids.begin(), ids.end(), better);
}

}  // namespace hanlin::engine
