// Choosing the next token from a row of logits.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "api/generate.h"
#include "base/rng.h"
#include "kernels/args.h"

namespace hanlin::engine {

// What sampling remembers of one choice: its random numbers and which tokens were seen. Depends on nothing but the
// choice's own tokens and seed, so a choice gets the same tokens alone and in any batch.
class SamplingState {
 public:
  // Choice `choice_idx` of a request with this seed draws from its own stream.
  SamplingState(const api::SamplingParams& params, uint64_t seed, int choice_idx, std::span<const int32_t> prompt);

  // Notes that `token` was chosen.
  void accept(int32_t token);

 private:
  friend class Sampler;
  api::SamplingParams params_;
  Rng rng_;
  bool counts_tokens_;                            // some penalty is on
  std::unordered_map<int32_t, int32_t> n_output_;  // seen token → times in the output (0: in the prompt only)
};

// Works on one row at a time, filters in the order of api::SamplingParams; each filter sees the distribution that the
// ones before it left. Never sorts the vocabulary: candidates are selected as far as a filter needs them.
// Equal logits rank by lower id. Owned by one thread (it keeps scratch space of a few rows).
class Sampler {
 public:
  explicit Sampler(const kernels::KernelTable& kernels) : kernels_(kernels) {}

  // The next token, or -1 if the logits [V] are not numbers. Advances the state's random numbers (not for greedy).
  // `allowed`: a bit for each token in words of 32, or empty for all; filters see only what is allowed.
  int32_t sample(std::span<const float> logits, SamplingState& state, std::span<const uint32_t> allowed = {});

 private:
  struct Candidate {
    float logit;
    int32_t id;
    float key;  // of the typical filter
  };
  std::span<const float> adjust(std::span<const float> logits, const SamplingState& state, std::span<const uint32_t> allowed);
  int32_t sample_unfiltered(std::span<const float> logits, float max, float temperature, double u);
  void gather_above(std::span<const float> logits, float least);
  void gather_best(std::span<const float> logits, float max, int top_k);
  bool gather_top_p(std::span<const float> logits, float max, float top_p);
  struct Typical {
    double logit;  // the one whose surprise is the entropy
    double total;  // sum of exp(logit - max)
  };
  static Typical find_typical(std::span<const float> logits, float max);
  void set_typical_keys(const Typical& typical);
  void keep_typical(const Typical& typical, float mass, float max);
  bool gather_typical(std::span<const float> logits, float max, float mass);
  void filter_typical(float max, float mass);
  void keep_top_p(float top_p, double total, float max);
  template <typename Less, typename Weight>
  void keep_smallest_set(const Less& less, const Weight& weight, double mass);
  double mass_of_candidates(float max) const;
  int32_t sample_candidates(float temperature, double u) const;
  static bool ranks_before(const Candidate& a, const Candidate& b);
  static double weight(const Candidate& c, float max);

  const kernels::KernelTable& kernels_;
  std::vector<float> row_;              // [V]
  std::vector<double> chunk_sums_;      // [V / kChunk]
  std::vector<int32_t> best_;           // of select_top
  std::vector<float> candidate_logits_;
  std::vector<Candidate> candidates_;   // what the filters have left
};

// The k best of a row, best first, equal values by lower index. O(V) with k much smaller than V.
void select_top(std::span<const float> row, int k, std::vector<int32_t>& ids);

}  // namespace hanlin::engine
