// Models without weights: a generator that says what a script tells it to, an embedder and a reranker whose numbers can be
// worked out by hand. They let the service, the agents and the tools be tested against real threads and real streams.
// Tokens are bytes: the text "hi" is the ids 104, 105.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "api/embed.h"
#include "api/generate.h"

namespace hanlin::api {

// What a scripted generator answers with; every choice gets the same.
struct Script {
  std::vector<std::string> tokens = {};  // one event each; whole UTF-8 code points
  FinishReason finish = FinishReason::kStop;
  std::optional<Error> submit_error = {};  // submit() fails with it
  std::optional<Error> final_error = {};   // the request fails with it after the tokens
};
// Called on the thread of submit(). `prompt_text` is the rendered prompt.
using ScriptFn = std::function<Script(const GenerateRequest& request, const std::string& prompt_text)>;

// Answers "You said: <last message or prompt>", word by word.
Script parrot_script(const GenerateRequest& request, const std::string& prompt_text);

// A TextGenerator with an engine thread of its own that gives every running request one token a step, as a real engine
// does. It honours max_tokens, n, logprobs (every token has logprob -0.5, alternatives -1, -2 …), prompt_logprobs,
// deadlines, cancel and pause. Any thread.
class ScriptedGenerator final : public TextGenerator {
 public:
  ScriptedGenerator(ModelInfo info, ScriptFn script);
  ~ScriptedGenerator() override;

  const ModelInfo& info() const override { return info_; }
  Result<std::shared_ptr<Generation>> submit(GenerateRequest request, TokenSink sink) override;
  Result<std::vector<int32_t>> tokenize(const std::string& text, bool add_special, bool parse_special) const override;
  Result<std::string> detokenize(const std::vector<int32_t>& ids) const override;
  Result<std::string> render_chat(const ChatPrompt& prompt) const override;
  GeneratorStats stats() const override;

  // Steps happen only as allowed: `n_steps` more. Before the first call the generator runs freely.
  void allow_steps(int64_t n_steps);
  void run_freely();
  // Waits until `done(counts)` holds; checked after every change.
  struct Counts {
    int64_t n_submitted = 0, n_cancelled = 0, n_finished = 0, n_pauses = 0, n_resumes = 0, n_tokens = 0;
  };
  Counts counts() const;
  void wait_until(const std::function<bool(const Counts&)>& done) const;
  GenerateRequest last_request() const;  // as submit() got it

 private:
  struct Running;
  class Handle;
  void engine_loop();
  void step_one(Running& running, std::unique_lock<std::mutex>& lock);

  const ModelInfo info_;
  const ScriptFn script_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<std::shared_ptr<Running>> running_;
  GenerateRequest last_request_;
  Counts counts_;
  int64_t steps_allowed_ = -1;  // -1: no limit
  int64_t prompt_tokens_total_ = 0;
  bool stopping_ = false;
  std::thread engine_;
};

// Vectors of `dimensions` values, of unit length: byte counts of the text, folded.
class ScriptedEmbedder final : public Embedder {
 public:
  ScriptedEmbedder(ModelInfo model, int64_t dimensions, int64_t max_tokens);
  const EmbedderInfo& embedder_info() const override { return info_; }
  Result<EmbedResult> embed(const EmbedRequest& request) override;
  Result<std::vector<int32_t>> tokenize(const std::string& text, bool add_special, bool parse_special) const override;
  Result<std::string> detokenize(const std::vector<int32_t>& ids) const override;
  int64_t memory_bytes() const override { return 1 << 20; }

 private:
  EmbedderInfo info_;
};

// The score of a document is the share of the query's words it contains.
class ScriptedReranker final : public Reranker {
 public:
  explicit ScriptedReranker(ModelInfo info) : info_(std::move(info)) {}
  const ModelInfo& reranker_info() const override { return info_; }
  Result<RerankResult> rerank(const RerankRequest& request) override;
  int64_t memory_bytes() const override { return 1 << 20; }

 private:
  ModelInfo info_;
};

}  // namespace hanlin::api
