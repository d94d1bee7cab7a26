#include <fmt/format.h>

#include "engine/frontend.h"
#include "engine/options.h"

namespace hanlin::engine {
namespace {

Error invalid(const char* param, const std::string& expected, const std::string& got) {
  return Error{Code::kInvalidArgument, fmt::format("{}: expected {}, got {}", param, expected, got), param};
}

// NaN is in no range.
Status check_range(const char* param, double value, double least, double most) {
  if (value >= least && value <= most) return {};
  return invalid(param, fmt::format("a number from {} to {}", least, most), fmt::format("{}", value));
}

Status check_above_zero(const char* param, double value, double most) {
  if (value > 0 && value <= most) return {};
  return invalid(param, fmt::format("a number above 0 and at most {}", most), fmt::format("{}", value));
}

Status check_token(const char* param, int32_t token, int64_t vocab_size) {
  if (token >= 0 && token < vocab_size) return {};
  return invalid(param, fmt::format("token ids from 0 to {}", vocab_size - 1), fmt::format("{}", token));
}

Status check_sampling(const api::SamplingParams& sampling, int64_t vocab_size) {
  HANLIN_TRY(check_range("temperature", sampling.temperature, 0, 100));
  HANLIN_TRY(check_range("top_k", sampling.top_k, 0, 1e9));
  HANLIN_TRY(check_above_zero("top_p", sampling.top_p, 1));
  HANLIN_TRY(check_range("min_p", sampling.min_p, 0, 1));
  HANLIN_TRY(check_above_zero("typical_p", sampling.typical_p, 1));
  HANLIN_TRY(check_above_zero("repetition_penalty", sampling.repetition_penalty, 100));
  HANLIN_TRY(check_range("presence_penalty", sampling.presence_penalty, -2, 2));
  HANLIN_TRY(check_range("frequency_penalty", sampling.frequency_penalty, -2, 2));
  for (const auto& [token, bias] : sampling.logit_bias) {
    HANLIN_TRY(check_token("logit_bias", token, vocab_size));
    HANLIN_TRY(check_range("logit_bias", bias, -100, 100));
  }
  return {};
}

}  // namespace

Status check_params(const api::GenerateRequest& request, int64_t vocab_size) {
  HANLIN_TRY(check_sampling(request.sampling, vocab_size));
  if (request.max_tokens && *request.max_tokens < 0) {
    return invalid("max_tokens", "a number not below 0", fmt::format("{}", *request.max_tokens));
  }
  HANLIN_TRY(check_range("n", request.n, 1, kMaxChoices));
  HANLIN_TRY(check_range("logprobs", request.logprobs, -1, kMaxLogprobs));
  HANLIN_TRY(check_range("prompt_logprobs", request.prompt_logprobs, -1, kMaxLogprobs));
  if (request.stop.size() > static_cast<size_t>(kMaxStops)) {
    return invalid("stop", fmt::format("at most {} stop strings", kMaxStops), fmt::format("{}", request.stop.size()));
  }
  for (const std::string& stop : request.stop) {
    if (!stop.empty() && stop.size() <= static_cast<size_t>(kMaxStopBytes)) continue;
    return invalid("stop", fmt::format("strings of 1 to {} bytes", kMaxStopBytes), fmt::format("one of {}", stop.size()));
  }
  for (int32_t token : request.stop_token_ids) HANLIN_TRY(check_token("stop_token_ids", token, vocab_size));
  return {};
}

}  // namespace hanlin::engine
