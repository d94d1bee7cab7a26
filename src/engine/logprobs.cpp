#include "engine/logprobs.h"

#include <algorithm>
#include <cmath>

#include "engine/sampler.h"

namespace hanlin::engine {

api::TokenLogprob LogprobReader::read(std::span<const float> logits, int32_t id, int n_top) {
  const auto n = static_cast<int64_t>(logits.size());
  const float max = kernels_.max_value(logits.data(), n);
  const double log_sum = std::log(kernels_.sum_exp(logits.data(), n, max));
  const auto entry = [&](int32_t token) {
    api::TokenLogprob result;
    result.id = token;
    result.text = tokenizer_->token_bytes(token);
    const double logprob = static_cast<double>(logits[static_cast<size_t>(token)]) - max - log_sum;
    result.logprob = std::isnan(logprob) ? kLeast : std::max(static_cast<float>(logprob), kLeast);
    return result;
  };
  api::TokenLogprob result = entry(id);
  select_top(logits, n_top, top_);
  for (int32_t token : top_) result.top.push_back(entry(token));
  return result;
}

api::TokenLogprob LogprobReader::unpredicted(int32_t id) const {
  api::TokenLogprob result;
  result.id = id;
  result.text = tokenizer_->token_bytes(id);
  result.has_logprob = false;
  return result;
}

}  // namespace hanlin::engine
