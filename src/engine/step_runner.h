// One step of the engine: schedule, compute, sample, tell.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/kv_space.h"
#include "engine/logprobs.h"
#include "engine/request.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "model/batch.h"
#include "text/tokenizer.h"

namespace hanlin::engine {

// Written by the engine thread, read by any.
struct Counters {
  std::atomic<int64_t> n_running{0}, n_waiting{0};
  std::atomic<int64_t> prompt_tokens{0}, generated_tokens{0}, cached_tokens{0};
  std::atomic<int64_t> preemptions{0};
  std::atomic<int64_t> draft_tokens{0}, draft_tokens_right{0};
  std::atomic<int64_t> forced_tokens{0};
  std::atomic<int64_t> kv_blocks_used{0}, kv_blocks_cached{0};
  std::atomic<int64_t> n_requests{0};  // in the engine, the inbox included
};

// Owns the running requests and all that belongs to them. Every function is called on the engine thread.
class StepRunner {
 public:
  // `model` has its KV memory allocated; the references outlive the runner.
  StepRunner(StepModel& model, std::shared_ptr<const Tokenizer> tokenizer, const kernels::KernelTable& kernels,
             const KvSpaceOptions& kv, const SchedulerOptions& scheduling, Counters& counters);

  void add(std::unique_ptr<Request> request);
  // Does what handles and clocks ask for: cancels, pauses, resumes, ends what is past its deadline.
  void apply_controls(Clock::time_point now);
  // There is something to compute.
  bool has_work() const { return scheduler_.has_work(); }
  // One step; needs has_work().
  void step();
  // Ends every request as cancelled.
  void cancel_all();
  bool is_empty() const { return requests_.empty(); }
  std::optional<Clock::time_point> next_deadline() const;

 private:
  void begin(Choice& choice, Clock::time_point now);
  void draw(const std::vector<Turn>& turns, std::span<const float> logits);
  void advance(Choice& choice, const Turn& turn, std::span<const float> rows, std::optional<int32_t> drawn);
  void draft(Choice& choice);
  void score_prompt(Choice& choice, int64_t first_position, std::span<const float> rows, int64_t n_rows);
  void on_prompt_done(Choice& leader);
  void add_choice(Request& request, int choice_idx, const Choice* leader);
  void sample(Choice& choice, std::span<const float> row, std::optional<int32_t> drawn = std::nullopt);
  void take(Choice& choice, int32_t token, std::span<const float> row);
  void take_forced(Choice& choice);
  void emit(Request& request, api::TokenEvent event);
  void finish(Choice& choice, api::TokenEvent event, api::FinishReason reason);
  void finish_unbegun(Request& request, api::FinishReason reason);
  void cancel(Request& request);
  void fail(Request& request, Error error);
  void drop_finished();
  void update_counters();
  bool ends_answer(const Request& request, int32_t token) const;

  StepModel& model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  KvSpace kv_;
  Scheduler scheduler_;
  StepPacer pacer_;
  const bool speculates_;
  std::vector<Sampler> samplers_;  // one for each of the model's threads
  LogprobReader logprobs_;
  Counters& counters_;
  std::vector<std::unique_ptr<Request>> requests_;  // in order of arrival
  Batch batch_;
  struct Draw {
    size_t turn, row;  // a turn's row [V] of the step's logits
  };
  std::vector<Draw> draws_;
  std::vector<std::optional<int32_t>> drawn_;  // of each turn: the token sampled from its first free row, where it needs nothing but the row
  uint64_t n_arrived_ = 0;
};

}  // namespace hanlin::engine
