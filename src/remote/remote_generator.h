// A model behind an OpenAI-compatible HTTP service (OpenAI, vLLM, another Hanlin …) as a TextGenerator.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "api/generate.h"
#include "base/task_pool.h"
#include "remote/service.h"

namespace hanlin::remote {

// Each request is one streamed HTTP request on a thread of its own; its events are delivered on that thread. Failures before
// the first event are tried again as the options say; after it they end the request, and what came stays. Tool calls are
// native. Any thread.
//
// Errors of submit(): those of request_body(), kResourceExhausted (queue full), kUnavailable (shutting down). Errors of
// events: those of failure_of_answer(), kUnavailable (no connection, silence, a stream that breaks off), kCorrupt (what came
// is no such stream), kDeadlineExceeded.
class RemoteGenerator final : public api::TextGenerator {
 public:
  // Connects to nothing yet. Errors: as Service::create().
  static Result<std::shared_ptr<RemoteGenerator>> create(const RemoteOptions& options);
  ~RemoteGenerator() override;  // cancels what runs

  const api::ModelInfo& info() const override { return info_; }
  bool native_tool_calls() const override { return true; }
  Result<std::shared_ptr<api::Generation>> submit(api::GenerateRequest request, api::TokenSink sink) override;
  // By the service's own tokenizer where it has one: kUnsupported where not, and the errors of a request. Blocks.
  Result<std::vector<int32_t>> tokenize(const std::string& text, bool add_special, bool parse_special) const override;
  Result<std::string> detokenize(const std::vector<int32_t>& ids) const override;
  Result<std::string> render_chat(const api::ChatPrompt& prompt) const override;
  api::GeneratorStats stats() const override;

 private:
  class Run;
  explicit RemoteGenerator(std::unique_ptr<Service> service);
  void work(Run& run);
  Status generate(Run& run);

  const std::unique_ptr<Service> service_;
  api::ModelInfo info_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Run>> runs_;  // accepted and not over
  api::GeneratorStats stats_;
  bool stopping_ = false;
  TaskPool pool_;  // last: its threads use the rest
};

}  // namespace hanlin::remote
