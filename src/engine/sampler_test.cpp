#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "engine/exp_moments.h"
#include "engine/test_kernels.h"

namespace hanlin::engine {
namespace {

std::vector<float> random_logits(size_t n, uint64_t seed, float spread) {
  Rng rng(seed);
  std::vector<float> logits(n);
  for (float& x : logits) x = spread * static_cast<float>(rng.uniform() + rng.uniform() + rng.uniform() - 1.5);
  return logits;
}

// The definition of all filters, by sorting everything and renormalising after each: token → probability.
std::map<int32_t, double> reference(const std::vector<float>& logits, const api::SamplingParams& params) {
  struct Item { int32_t id; double logit, p, key; };
  std::vector<Item> items;
  for (size_t i = 0; i < logits.size(); ++i) items.push_back({static_cast<int32_t>(i), logits[i], 0, 0});
  const auto sort_by_logit = [&] {
    std::stable_sort(items.begin(), items.end(), [](auto& a, auto& b) { return a.logit > b.logit || (a.logit == b.logit && a.id < b.id); });
  };
  const auto normalise = [&](double temperature) {
    double max = -INFINITY, sum = 0;
    for (auto& x : items) max = std::max(max, x.logit);
    for (auto& x : items) sum += x.p = std::exp((x.logit - max) / temperature);
    for (auto& x : items) x.p /= sum;
  };
  const auto cut = [&](double mass) {
    double sum = 0;
    for (size_t i = 0; i < items.size(); ++i) {
      if ((sum += items[i].p) >= mass) { items.resize(i + 1); return; }
    }
  };
  sort_by_logit();
  if (params.top_k > 0 && items.size() > static_cast<size_t>(params.top_k)) items.resize(static_cast<size_t>(params.top_k));
  if (params.typical_p < 1) {
    normalise(1);
    double entropy = 0;
    for (auto& x : items) entropy -= x.p > 0 ? x.p * std::log(x.p) : 0;
    for (auto& x : items) x.key = std::abs(-std::log(x.p) - entropy);
    std::stable_sort(items.begin(), items.end(), [](auto& a, auto& b) { return a.key < b.key; });
    cut(params.typical_p);
    sort_by_logit();
  }
  if (params.top_p < 1) { normalise(1); cut(params.top_p); }
  if (params.min_p > 0) {
    normalise(1);
    const double least = items[0].p * params.min_p;
    std::erase_if(items, [&](auto& x) { return x.p < least * (1 - 1e-6); });
  }
  normalise(params.temperature);
  std::map<int32_t, double> p;
  for (auto& x : items) p[x.id] = x.p;
  return p;
}

// Draws many tokens and compares with the reference: no token outside its set, and a chi-square sum that a right
// sampler exceeds less than once in a million (Wilson and Hilferty's approximation of the quantile at z = 4.75).
void expect_distribution(const std::vector<float>& logits, const api::SamplingParams& params, uint64_t seed) {
  const int n_draws = logits.size() > 1000 ? 2000 : 20000;
  const std::map<int32_t, double> expected = reference(logits, params);
  Sampler sampler(test_kernels());
  SamplingState state(params, seed, 0, {});
  std::map<int32_t, int> counts;
  for (int i = 0; i < n_draws; ++i) ++counts[sampler.sample(logits, state)];
  double chi2 = 0, rest_expected = n_draws, rest_seen = n_draws;
  int n_cells = 0;
  for (const auto& [id, n] : counts) ASSERT_TRUE(expected.count(id)) << "token " << id << " must have been filtered out";
  for (const auto& [id, p] : expected) {
    const double e = p * n_draws;
    if (e < 10) continue;
    const double seen = counts.count(id) ? counts[id] : 0;
    chi2 += (seen - e) * (seen - e) / e;
    rest_expected -= e;
    rest_seen -= seen;
    ++n_cells;
  }
  if (rest_expected > 10) chi2 += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected, ++n_cells;
  const double k = std::max(1, n_cells - 1);
  const double bound = k * std::pow(1 - 2 / (9 * k) + 4.75 * std::sqrt(2 / (9 * k)), 3);
  EXPECT_LT(chi2, bound) << n_cells << " cells";
}

TEST(Sampler, GreedyTakesTheLargestAndOfEqualsTheLowestId) {
  Sampler sampler(test_kernels());
  SamplingState state({.temperature = 0}, 1, 0, {});
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 3, 2, 3}, state), 1);
  EXPECT_EQ(sampler.sample(std::vector<float>{-5, -5}, state), 0);
}

TEST(Sampler, ReportsLogitsThatAreNotNumbers) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const api::SamplingParams& params : {api::SamplingParams{.temperature = 0}, api::SamplingParams{}, api::SamplingParams{.top_k = 2},
                                            api::SamplingParams{.top_p = 0.5f}, api::SamplingParams{.min_p = 0.1f}, api::SamplingParams{.typical_p = 0.5f}}) {
    Sampler sampler(test_kernels());
    SamplingState state(params, 1, 0, {});
    EXPECT_EQ(sampler.sample(std::vector<float>{nan, nan, nan}, state), -1);
    EXPECT_EQ(sampler.sample(std::vector<float>{0, inf, 0}, state), -1);
    EXPECT_EQ(sampler.sample(std::vector<float>{-inf, -inf, -inf}, state), -1);
    EXPECT_EQ(sampler.sample(std::vector<float>{-inf, 1, -inf}, state), 1);  // a mask is no error
  }
}

TEST(Sampler, DrawsFromTheWholeVocabularyAtEachTemperature) {
  for (float temperature : {0.3f, 1.0f, 2.5f}) {
    expect_distribution(random_logits(50, 1, 4), {.temperature = temperature}, 11);
    expect_distribution(random_logits(2100, 2, 12), {.temperature = temperature}, 12);  // several chunks
  }
}

TEST(Sampler, EachFilterAgreesWithSortingEverything) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const std::vector<float> logits = random_logits(seed % 2 ? 1500 : 40, seed, seed < 2 ? 3 : 20);
    expect_distribution(logits, {.top_k = 1}, seed);
    expect_distribution(logits, {.top_k = 7}, seed);
    expect_distribution(logits, {.top_k = 300}, seed);
    expect_distribution(logits, {.top_k = 100000}, seed);
    expect_distribution(logits, {.top_p = 0.3f}, seed);
    expect_distribution(logits, {.temperature = 0.7f, .top_p = 0.95f}, seed);
    expect_distribution(logits, {.top_p = 1e-9f}, seed);
    expect_distribution(logits, {.min_p = 0.05f}, seed);
    expect_distribution(logits, {.min_p = 1.0f}, seed);
    expect_distribution(logits, {.typical_p = 0.2f}, seed);
    expect_distribution(logits, {.typical_p = 0.9f}, seed);
    expect_distribution(logits, {.temperature = 1.5f, .top_k = 20, .top_p = 0.8f, .min_p = 0.02f, .typical_p = 0.95f}, seed);
    expect_distribution(logits, {.temperature = 0.8f, .top_p = 0.9f, .min_p = 0.1f}, seed);
  }
}

TEST(ExpMoments, AgreeWithTheLibrary) {
  for (size_t n : {0u, 1u, 7u, 8u, 9u, 1000u}) {
    std::vector<float> x = random_logits(n, n, 30);
    const float max = n > 0 ? *std::max_element(x.begin(), x.end()) : 0;
    double sum = 0, dot = 0;
    for (float v : x) {
      const double d = static_cast<double>(v) - max;
      sum += std::exp(d);
      dot += std::exp(d) * d;
    }
    const ExpMoments moments = exp_moments(x, max);
    EXPECT_NEAR(moments.sum, sum, 1e-13 * sum) << n;
    EXPECT_NEAR(moments.dot, dot, 1e-13 * std::abs(dot)) << n;
  }
  const std::vector<float> masked = {0, -INFINITY, -1e30f, -5000};
  EXPECT_DOUBLE_EQ(exp_moments(masked, 0).sum, 1);
  EXPECT_NEAR(exp_moments(masked, 0).dot, 0, 1e-290);
  EXPECT_TRUE(std::isnan(exp_moments(std::vector<float>{0, NAN}, 0).sum));
}

TEST(Sampler, TypicalTokensOfALargeVocabulary) {
  // Flat but for one likely token: the typical ones are far from it, and all of them are needed.
  std::vector<float> logits(3000, 0.0f);
  logits[77] = 3;
  expect_distribution(logits, {.typical_p = 0.999f}, 1);
  expect_distribution(logits, {.typical_p = 0.5f}, 2);
  logits.assign(3000, -INFINITY);
  logits[5] = 1;
  logits[6] = 0;
  expect_distribution(logits, {.typical_p = 0.95f}, 3);
}

TEST(Sampler, KeepsTheLowerIdsOfEqualLogitsAtTheBorderOfTopK) {
  const std::vector<float> logits = {0, 1, 1, 1, 1, 0};
  expect_distribution(logits, {.top_k = 2}, 3);  // 1 and 2 only
}

TEST(Sampler, PenaltiesAndBiasChangeTheLogitsAsDefined) {
  // Token 0 in the prompt, token 1 twice in the output, token 2 never seen, token 3 biased.
  api::SamplingParams params{.repetition_penalty = 2.0f, .presence_penalty = 0.5f, .frequency_penalty = 0.25f, .logit_bias = {{3, 1.5f}}};
  const std::vector<float> logits = {1.0f, -0.5f, 0.2f, -1.0f};
  const std::vector<float> adjusted = {0.5f, -1.0f - 0.5f - 0.5f, 0.2f, 0.5f};
  const std::vector<int32_t> prompt = {0, 0};
  SamplingState state(params, 5, 0, prompt);
  state.accept(1);
  state.accept(1);
  Sampler sampler(test_kernels());
  SamplingState plain({}, 5, 0, {});
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(sampler.sample(logits, state), sampler.sample(adjusted, plain)) << i;
}

TEST(Sampler, TheSameSeedGivesTheSameTokensAndChoicesDiffer) {
  const std::vector<float> logits = random_logits(100, 9, 2);
  const auto draw = [&](uint64_t seed, int choice_idx) {
    Sampler sampler(test_kernels());
    SamplingState state({}, seed, choice_idx, {});
    std::vector<int32_t> ids;
    for (int i = 0; i < 20; ++i) ids.push_back(sampler.sample(logits, state));
    return ids;
  };
  EXPECT_EQ(draw(1, 0), draw(1, 0));
  EXPECT_NE(draw(1, 0), draw(2, 0));
  EXPECT_NE(draw(1, 0), draw(1, 1));
  EXPECT_NE(draw(1, 1), draw(2, 0));  // choices of neighbouring seeds are not the same streams
}

TEST(SelectTop, AgreesWithSorting) {
  Rng rng(4);
  for (size_t n : {1u, 2u, 5u, 100u, 1000u}) {
    std::vector<float> row(n);
    for (float& x : row) x = static_cast<float>(rng.next() % 50);  // many equal values
    std::vector<int32_t> sorted(n);
    for (size_t i = 0; i < n; ++i) sorted[i] = static_cast<int32_t>(i);
    std::stable_sort(sorted.begin(), sorted.end(), [&](int32_t a, int32_t b) { return row[static_cast<size_t>(a)] > row[static_cast<size_t>(b)]; });
    for (int k : {0, 1, 3, 20, 2000}) {
      std::vector<int32_t> ids;
      select_top(row, k, ids);
      ASSERT_EQ(ids, std::vector<int32_t>(sorted.begin(), sorted.begin() + std::min<ptrdiff_t>(k, static_cast<ptrdiff_t>(n)))) << n << " " << k;
    }
  }
}

}  // namespace
}  // namespace hanlin::engine
