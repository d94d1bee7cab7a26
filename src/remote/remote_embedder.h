// An embedding model behind an OpenAI-compatible HTTP service as an Embedder.
#pragma once

#include <atomic>
#include <memory>

#include "api/embed.h"
#include "remote/service.h"

namespace hanlin::remote {

// Inputs go in batches of options.embed_batch, one after the other, each with retries. Errors of embed(): those of
// failure_of_answer(), kUnavailable, kDeadlineExceeded; kCorrupt when numbers are missing, or vectors differ in length.
class RemoteEmbedder final : public api::Embedder {
 public:
  // Connects to nothing yet. Errors: as Service::create().
  static Result<std::shared_ptr<RemoteEmbedder>> create(const RemoteOptions& options);

  // `dimensions` is 0 until the first vectors have come; max_tokens is options.context_length.
  const api::EmbedderInfo& embedder_info() const override { return known_ ? known_info_ : first_info_; }
  Result<api::EmbedResult> embed(const api::EmbedRequest& request) override;
  Result<std::vector<int32_t>> tokenize(const std::string& text, bool add_special, bool parse_special) const override;
  Result<std::string> detokenize(const std::vector<int32_t>& ids) const override { return service_->detokenize(ids); }
  int64_t memory_bytes() const override { return 0; }

 private:
  explicit RemoteEmbedder(std::unique_ptr<Service> service);
  Status embed_batch(const api::EmbedRequest& request, size_t begin, size_t end, api::EmbedResult* result) const;
  void learn_dimensions(int64_t dimensions);

  const std::unique_ptr<Service> service_;
  api::EmbedderInfo first_info_, known_info_;
  std::once_flag learned_;
  std::atomic<bool> known_ = false;  // known_info_ is written and does not change any more
};

}  // namespace hanlin::remote
