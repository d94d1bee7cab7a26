#include "engine/frontend.h"

#include <random>
#include <string>
#include <utility>

#include "base/check.h"

namespace hanlin::engine {
namespace {

uint64_t random_seed() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) ^ device();
}

}  // namespace

const char* prompt_param(const api::Prompt& prompt) {
  return std::holds_alternative<api::ChatPrompt>(prompt) ? "messages" : "prompt";
}

Frontend::Frontend(std::shared_ptr<const Tokenizer> tokenizer, int64_t context_length, int64_t vocab_size)
    : tokenizer_(std::move(tokenizer)), prompter_(tokenizer_), constraints_(std::make_unique<ConstraintCompiler>(tokenizer_, vocab_size)), context_length_(context_length), vocab_size_(vocab_size) {}

Result<std::unique_ptr<Request>> Frontend::prepare(api::GenerateRequest params, api::TokenSink sink) const {
  HANLIN_TRY(check_params(params, vocab_size_));
  const std::string param = prompt_param(params.prompt);
  HANLIN_ASSIGN(std::vector<int32_t> prompt, prompt_tokens(std::exchange(params.prompt, {})));
  if (prompt.empty()) return Error{Code::kInvalidArgument, param + ": expected at least one token, got an empty prompt", param};
  for (int32_t token : prompt) {
    if (token >= 0 && token < vocab_size_) continue;
    return Error{Code::kInvalidArgument,
                 param + ": expected token ids below " + std::to_string(vocab_size_) + ", got " + std::to_string(token), param};
  }
  const auto n_prompt = static_cast<int64_t>(prompt.size());
  const int64_t n_answer = params.max_tokens.value_or(1);
  const std::string context = "the context of " + std::to_string(context_length_) + " tokens";
  if (const int64_t n_least = n_prompt + (n_answer > 0 ? 1 : 0); n_least > context_length_) {
    return Error{Code::kInvalidArgument,
                 param + ": the prompt has " + std::to_string(n_prompt) + " tokens, which is " + std::to_string(n_least - context_length_) +
                     " more than " + context + " can hold" + (n_answer > 0 ? " with one token of answer" : ""),
                 param};
  }
  if (params.max_tokens && *params.max_tokens > context_length_ - n_prompt) {
    return Error{Code::kInvalidArgument,
                 "max_tokens: expected at most " + std::to_string(context_length_ - n_prompt) + ", which " + context + " leaves after a prompt of " +
                     std::to_string(n_prompt) + ", got " + std::to_string(*params.max_tokens) + " (" +
                     std::to_string(*params.max_tokens - (context_length_ - n_prompt)) + " too many)",
                 "max_tokens"};
  }
  auto request = std::make_unique<Request>();
  request->prompt = std::move(prompt);
  request->max_tokens = params.max_tokens.value_or(context_length_ - n_prompt);
  if (params.constraint && request->max_tokens > 0) {
    HANLIN_ASSIGN(request->grammar, constraints_->prepare(*params.constraint, request->max_tokens));
  }
  request->seed = params.sampling.seed.value_or(random_seed());
  request->params = std::move(params);
  request->sink = std::move(sink);
  request->submitted = Clock::now();
  return request;
}

Result<std::vector<int32_t>> Frontend::prompt_tokens(api::Prompt prompt) const {
  if (auto* tokens = std::get_if<api::TokenPrompt>(&prompt)) return std::move(tokens->ids);
  if (const auto* text = std::get_if<api::TextPrompt>(&prompt)) {
    return tokenizer_->encode(text->text, {.add_special = text->add_special, .parse_special = true});
  }
  // The template writes all special tokens itself.
  HANLIN_ASSIGN(const std::string text, prompter_.render(std::get<api::ChatPrompt>(prompt)));
  return tokenizer_->encode(text, {.add_special = false, .parse_special = true});
}

}  // namespace hanlin::engine
