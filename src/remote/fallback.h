// Chains: the next model answers when the one before it cannot.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/embed.h"
#include "api/generate.h"
#include "base/task_pool.h"

namespace hanlin::remote {

struct FallbackOptions {
  int failures_to_skip = 3;  // after so many in a row a member is left out …
  std::chrono::milliseconds skip_for{10'000};  // … for so long; then it is tried again, and one more failure leaves it out again
  std::function<std::chrono::steady_clock::time_point()> now = [] { return std::chrono::steady_clock::now(); };
};

// Failures for which the next member may do better: everything but a request at fault (kInvalidArgument, kUnsupported) and a
// request that nobody wants any more (kCancelled).
bool may_fall_back(const Error& error);

// Which members of a chain are worth a try. Any thread.
class Circuit {
 public:
  Circuit(size_t n_members, FallbackOptions options) : options_(std::move(options)), members_(n_members) {}
  // The members to try, in order: those not left out, or all if every one is.
  std::vector<size_t> order() const;
  void succeeded(size_t member);
  // A member that is merely full (kResourceExhausted) is not left out.
  void failed(size_t member, const Error& error);

 private:
  struct Member {
    int n_failures = 0;  // in a row
    std::chrono::steady_clock::time_point skipped_until = {};
  };
  const FallbackOptions options_;
  mutable std::mutex mutex_;
  std::vector<Member> members_;
};

// A TextGenerator over several, at least one, all with or all without native_tool_calls() (agent/native_calls.h makes them
// alike). A request goes to the first member; when it fails before its first text, the next gets it, and a line in the log
// says so. After text was delivered nothing is repeated. Requests that hold token ids (a token prompt, logit_bias,
// stop_token_ids) stay with the first member: other models count their tokens differently. Everything else (info, tokenize,
// stats) is the first member's. Any thread.
class FallbackGenerator final : public api::TextGenerator {
 public:
  FallbackGenerator(std::vector<std::shared_ptr<api::TextGenerator>> members, FallbackOptions options = {});
  // Requests on their way to another member end with the error of the last. Members that nobody else holds end, and with
  // them their requests.
  ~FallbackGenerator() override;

  const api::ModelInfo& info() const override { return first().info(); }
  bool native_tool_calls() const override { return first().native_tool_calls(); }
  Result<std::shared_ptr<api::Generation>> submit(api::GenerateRequest request, api::TokenSink sink) override;
  Result<std::vector<int32_t>> tokenize(const std::string& text, bool add_special, bool parse_special) const override { return first().tokenize(text, add_special, parse_special); }
  Result<std::string> detokenize(const std::vector<int32_t>& ids) const override { return first().detokenize(ids); }
  Result<std::string> render_chat(const api::ChatPrompt& prompt) const override { return first().render_chat(prompt); }
  api::GeneratorStats stats() const override { return first().stats(); }

 private:
  class Run;
  struct Shared;
  const api::TextGenerator& first() const;
  const std::shared_ptr<Shared> shared_;
};

// The same for embedders. Only vectors of one model can be compared, so the members should be the same model in several
// places; one whose vectors have another length than those of the first is an error (kCorrupt).
class FallbackEmbedder final : public api::Embedder {
 public:
  FallbackEmbedder(std::vector<std::shared_ptr<api::Embedder>> members, FallbackOptions options = {});

  const api::EmbedderInfo& embedder_info() const override { return members_[0]->embedder_info(); }
  Result<api::EmbedResult> embed(const api::EmbedRequest& request) override;
  Result<std::vector<int32_t>> tokenize(const std::string& text, bool add_special, bool parse_special) const override { return members_[0]->tokenize(text, add_special, parse_special); }
  Result<std::string> detokenize(const std::vector<int32_t>& ids) const override { return members_[0]->detokenize(ids); }
  int64_t memory_bytes() const override { return members_[0]->memory_bytes(); }

 private:
  const std::vector<std::shared_ptr<api::Embedder>> members_;
  Circuit circuit_;
};

}  // namespace hanlin::remote
