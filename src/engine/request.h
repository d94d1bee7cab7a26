// A request inside the engine.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "api/generate.h"
#include "engine/constraint.h"
#include "engine/drafter.h"
#include "engine/output_text.h"
#include "engine/sampler.h"
#include "engine/sequence.h"

namespace hanlin::engine {

using Clock = std::chrono::steady_clock;

// What a Generation handle tells the engine thread; read once per step.
struct RequestControl {
  std::atomic<bool> is_cancelled{false};
  std::atomic<bool> is_paused{false};
};

struct Request;

// One answer to a request.
struct Choice : Sequence {
  Choice(Request& owner, SamplingState sampling_state, OutputText output_text)
      : request(owner), sampling(std::move(sampling_state)), output(std::move(output_text)) {}

  Request& request;
  SamplingState sampling;
  OutputText output;
  Drafter drafter;
  std::optional<ConstraintState> constraint;  // what may come next, if the request limits that
  std::deque<int32_t> forced;                 // what the constraint says comes next, where rows are awaited all the same
  int n_unreported = 0;  // tokens since the last event
  bool is_finished = false;
  int64_t n_generated() const { return n_known() - n_prompt; }
};

// Made by the frontend on the caller's thread, handed through the inbox, from then on the engine thread's alone.
// The first choice computes the prompt; the others begin when that is done and share its blocks.
struct Request {
  // Fixed when it is made.
  api::GenerateRequest params;  // without the prompt
  std::vector<int32_t> prompt;
  int64_t max_tokens = 0;
  uint64_t seed = 0;
  std::shared_ptr<const grammar::CompiledGrammar> grammar;  // null: free text
  api::TokenSink sink;
  std::shared_ptr<RequestControl> control = std::make_shared<RequestControl>();
  Clock::time_point submitted;

  // The engine thread's.
  uint64_t arrival = 0;
  std::vector<std::unique_ptr<Choice>> choices;  // those that have begun
  int n_finished = 0;                            // of params.n choices
  bool is_done = false;                          // the last event is out
  std::vector<api::TokenLogprob> prompt_logprobs;
  api::Usage usage;
  std::optional<Clock::time_point> started, prompt_done;
};

}  // namespace hanlin::engine
