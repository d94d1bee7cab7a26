// The engine of one model: any number of callers, one thread that computes.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "api/generate.h"
#include "base/inbox.h"
#include "engine/frontend.h"
#include "engine/options.h"
#include "engine/request.h"
#include "engine/step_runner.h"
#include "kernels/args.h"
#include "model/batch.h"
#include "text/tokenizer.h"

namespace hanlin::engine {

// What an engine is made of.
struct EngineParts {
  api::ModelInfo info;  // context_length, vocab_size and has_chat_template are filled in by the engine
  std::unique_ptr<StepModel> model;
  std::shared_ptr<const Tokenizer> tokenizer;
  const kernels::KernelTable* kernels = nullptr;  // outlives the engine
  int64_t weights_bytes = 0;                      // weights and activations, for stats()
};

// Life: create() allocates the KV memory and starts the engine thread, which lives until shutdown() or destruction.
// submit() works on the caller's thread and hands the request to the engine thread through the inbox; answers leave
// through the sinks. No other data is shared but atomic counters and flags. All public functions are safe from any
// thread, except that sinks must not call shutdown() or destroy the engine.
class Engine : public api::TextGenerator {
 public:
  // Errors: kInvalidArgument for options that make no sense; kResourceExhausted if the KV memory cannot be allocated.
  static Result<std::unique_ptr<Engine>> create(EngineParts parts, const EngineOptions& options);
  // Cancels what is running, as shutdown(now).
  ~Engine() override;

  const api::ModelInfo& info() const override { return info_; }
  Result<std::shared_ptr<api::Generation>> submit(api::GenerateRequest request, api::TokenSink sink) override;
  Result<std::vector<int32_t>> tokenize(const std::string& text, bool add_special, bool parse_special) const override;
  Result<std::string> detokenize(const std::vector<int32_t>& ids) const override;
  Result<std::string> render_chat(const api::ChatPrompt& prompt) const override { return frontend_.render_chat(prompt); }
  api::GeneratorStats stats() const override;

  // Refuses new requests, finishes those accepted, cancels at `deadline` what is then left; returns when the engine
  // thread has ended. A second call, also from another thread, may bring the deadline forward.
  void shutdown(std::chrono::steady_clock::time_point deadline);

 private:
  using RequestInbox = Inbox<std::unique_ptr<Request>>;
  Engine(EngineParts parts, const EngineOptions& options, const KvSpaceOptions& kv, const SchedulerOptions& scheduling);
  void run();
  void wait_for_work();

  api::ModelInfo info_;
  std::unique_ptr<StepModel> model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  const int64_t max_requests_;  // in the engine at the same time
  const int64_t memory_bytes_;
  const int64_t n_kv_blocks_;
  Frontend frontend_;
  std::shared_ptr<RequestInbox> inbox_;  // shared with handles, which may outlive the engine
  Counters counters_;
  std::atomic<int64_t> n_submitted_{0}, n_rejected_{0};
  std::atomic<bool> is_draining_{false};
  std::atomic<Clock::rep> stop_at_;  // steady_clock ticks: when draining ends
  StepRunner runner_;                // the engine thread's
  std::mutex join_mutex_;
  std::thread thread_;
};

}  // namespace hanlin::engine
