// Embedding and reranking on a local encoder model.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "api/embed.h"
#include "model/loader.h"
#include "text/tokenizer.h"

namespace hanlin::engine {

struct LocalEncoderOptions {
  std::string name;                 // as served
  int64_t max_step_tokens = 2048;   // texts are grouped into steps of about so many tokens
};

// Embedder for every encoder; Reranker too: with a one-label head the score is its sigmoid, without a head the cosine of
// the two embeddings. Thread-safe: calls are answered one after the other.
class LocalEncoder final : public api::Embedder, public api::Reranker {
 public:
  // `model` must hold an encoder. Errors: kUnsupported for a head with several labels.
  static Result<std::shared_ptr<LocalEncoder>> create(LoadedModel model, std::shared_ptr<const Tokenizer> tokenizer, LocalEncoderOptions options);

  bool can_embed() const { return encoder_->spec().head == EncoderHead::kNone; }

  const api::EmbedderInfo& embedder_info() const override { return info_; }
  Result<api::EmbedResult> embed(const api::EmbedRequest& request) override;
  Result<std::vector<int32_t>> tokenize(const std::string& text, bool add_special, bool parse_special) const override;
  Result<std::string> detokenize(const std::vector<int32_t>& ids) const override;
  const api::ModelInfo& reranker_info() const override { return info_.model; }
  Result<api::RerankResult> rerank(const api::RerankRequest& request) override;
  int64_t memory_bytes() const override { return static_cast<int64_t>(encoder_->weight_bytes()); }

 private:
  LocalEncoder() = default;
  // Cuts `ids` to what fits, keeping the closing special token, or says by how much it does not fit.
  Status fit(std::vector<int32_t>& ids, std::vector<int32_t>* type_ids, bool truncate, const std::string& what) const;
  // Runs texts in groups of similar length; `use(text_idx, row)` sees one result row per text.
  template <typename Compute, typename Use>
  void run_grouped(const std::vector<Encoder::Input>& inputs, const Compute& compute, const Use& use);

  std::unique_ptr<Encoder> encoder_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  LocalEncoderOptions options_;
  api::EmbedderInfo info_;
  std::mutex mutex_;  // guards encoder_
};

}  // namespace hanlin::engine
