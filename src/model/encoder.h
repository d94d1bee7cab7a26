// The encoder: one parametric forward pass for BERT, RoBERTa and ModernBERT, with pooling and classification heads.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "model/files.h"
#include "model/rope.h"
#include "model/spec.h"
#include "ops/ops.h"

namespace hanlin {

struct Architecture;
class WeightMaker;

// Weights and forward pass of one model on one backend. One thread at a time.
class Encoder {
 public:
  // Takes every matrix from `maker`, which makes them for `backend`. `files` stays open: embedding rows are read from it.
  static Result<std::unique_ptr<Encoder>> load(std::shared_ptr<const ModelFiles> files, const ModelSpec& spec, const Architecture& architecture,
                                               std::shared_ptr<Backend> backend, WeightMaker& maker);

  // One text: 1 … spec().context_length ids below the vocabulary size; type ids of the same length, or none: all 0.
  struct Input {
    std::span<const int32_t> ids;
    std::span<const int32_t> type_ids = {};
  };
  // Hidden states of all texts, [T, D], text after text, no padding; valid until the next encode().
  TensorView encode(std::span<const Input> inputs);
  // The parts of the last encode()'s result.
  std::span<const TokenRange> ranges() const { return ranges_; }
  // One vector per text [S, D]; normalised to unit length if asked. `hidden` is the last encode()'s.
  TensorView pool(TensorView hidden, Pooling pooling, bool normalise);
  // Raw scores of the head [S, n_labels]. Only for models with a head.
  TensorView scores(TensorView hidden);

  const ModelSpec& spec() const { return spec_; }
  const Backend& backend() const { return *backend_; }
  size_t weight_bytes() const { return weight_bytes_; }

 private:
  struct Layer {
    Norm attention_norm, mlp_norm;
    Linear q, k, v, o, up, gate, down;
  };
  Encoder() = default;
  Status load_weights(const Architecture& architecture, WeightMaker& maker);
  Status load_head(const Architecture& architecture, const std::string& prefix, WeightMaker& maker);
  TensorView embed(Context& ctx, std::span<const Input> inputs);
  TensorView attention(Context& ctx, const Layer& layer, int64_t layer_idx, TensorView x);
  TensorView mlp(Context& ctx, const Layer& layer, TensorView x);

  std::shared_ptr<const ModelFiles> files_;
  std::shared_ptr<Backend> backend_;
  ModelSpec spec_;
  StoredTensor token_embedding_;
  std::vector<float> position_embedding_, type_embedding_;
  Norm embedding_norm_, final_norm_;
  std::vector<Layer> layers_;
  Linear head_dense_, head_out_;
  Norm head_norm_;
  std::vector<RopeTable> ropes_;
  std::vector<TokenRange> ranges_;
  std::vector<TensorView> cos_, sin_;  // of the current step
  Arena arena_;
  size_t weight_bytes_ = 0;
};

}  // namespace hanlin
