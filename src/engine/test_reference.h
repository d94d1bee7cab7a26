// What the engine must answer, computed the plainest way: one text alone, token after token, without a cache.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "engine/hash_model.h"
#include "engine/request.h"
#include "engine/test_kernels.h"
#include "engine/test_tokenizer.h"

namespace hanlin::engine {

constexpr int64_t kModelVocab = 264;  // a little more than the tokenizer has, as real models do

struct Answer {
  std::string text;
  int64_t n_tokens = 0;
  std::optional<api::FinishReason> finish;
  std::string stop_reason;
  bool operator==(const Answer&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const Answer& a) {
  return out << a.n_tokens << " tokens, finish " << (a.finish ? static_cast<int>(*a.finish) : -1) << ", stop '" << a.stop_reason << "': " << testing::PrintToString(a.text);
}

// Ends `text` at the stop string that ends first (of several, the longest).
inline bool cut_at_stop(const api::GenerateRequest& params, std::string& text, std::string& stop_reason) {
  for (size_t end = 1; end <= text.size(); ++end) {
    const std::string* best = nullptr;
    for (const std::string& stop : params.stop) {
      if (std::string_view(text).substr(0, end).ends_with(stop) && (best == nullptr || stop.size() > best->size())) best = &stop;
    }
    if (best == nullptr) continue;
    stop_reason = *best;
    text.resize(params.include_stop ? end : end - best->size());
    return true;
  }
  return false;
}

inline Answer reference_answer(const std::vector<int32_t>& prompt, const api::GenerateRequest& params, uint64_t seed, int64_t max_tokens, int choice_idx) {
  Answer answer;
  Sampler sampler(test_kernels());
  SamplingState state(params.sampling, seed, choice_idx, prompt);
  StreamDecoder decoder(test_tokenizer(), true);
  uint64_t hash = HashModel::kStart;
  for (int32_t token : prompt) hash = HashModel::extend(hash, token);
  std::vector<float> row(kModelVocab);
  while (answer.n_tokens < max_tokens) {
    HashModel::fill_logits(hash, row);
    const int32_t token = sampler.sample(row, state);
    state.accept(token);
    hash = HashModel::extend(hash, token);
    ++answer.n_tokens;
    const bool is_end = (!params.ignore_eos && (token == kEos || token == kEndOfTurn)) ||
                        std::find(params.stop_token_ids.begin(), params.stop_token_ids.end(), token) != params.stop_token_ids.end();
    if (is_end) {
      answer.finish = api::FinishReason::kStop;
      break;
    }
    answer.text += decoder.push(token);
    if (cut_at_stop(params, answer.text, answer.stop_reason)) {
      answer.finish = api::FinishReason::kStop;
      return answer;
    }
  }
  answer.text += decoder.flush();
  if (cut_at_stop(params, answer.text, answer.stop_reason)) answer.finish = api::FinishReason::kStop;
  if (!answer.finish) answer.finish = api::FinishReason::kLength;
  return answer;
}

// What a client saw of one request; checks the order of events as they come.
struct Observed {
  std::vector<Answer> answers;
  std::vector<std::vector<api::TokenLogprob>> tokens;
  std::vector<api::TokenLogprob> prompt_tokens;
  api::TokenEvent last;
  bool is_done = false;
  int64_t first_event_step = -1, blocks_at_first_event = 0;

  explicit Observed(int n) : answers(static_cast<size_t>(n)), tokens(static_cast<size_t>(n)) {}
  void take(api::TokenEvent&& event) {
    EXPECT_FALSE(is_done) << "an event after the last one";
    Answer& answer = answers.at(static_cast<size_t>(event.choice_idx));
    EXPECT_FALSE(!event.error && answer.finish.has_value()) << "an event after the choice finished";
    answer.text += event.text;
    answer.n_tokens += event.n_new_tokens;
    answer.finish = event.finish ? event.finish : answer.finish;
    answer.stop_reason += event.stop_reason;
    auto& list = tokens[static_cast<size_t>(event.choice_idx)];
    list.insert(list.end(), event.tokens.begin(), event.tokens.end());
    if (!event.prompt_tokens.empty()) {
      EXPECT_TRUE(prompt_tokens.empty()) << "prompt log-probabilities came twice";
      prompt_tokens = std::move(event.prompt_tokens);
    }
    is_done = event.last;
    last = std::move(event);
  }
};

}  // namespace hanlin::engine
