// The decoder: one parametric forward pass for all causal families, driven by ModelSpec.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "model/batch.h"
#include "model/files.h"
#include "model/rope.h"
#include "model/spec.h"
#include "ops/ops.h"

namespace hanlin {

struct Architecture;
class WeightMaker;

struct DecoderOptions {
  KvDType kv_dtype = KvDType::kF16;
  int64_t max_step_tokens = 512;
};

// Weights, KV cache and forward pass of one model on one backend. One thread at a time (the engine's).
class Decoder final : public StepModel {
 public:
  // Takes every matrix from `maker`, which makes them for `backend`. `files` stays open: embedding rows are read from it.
  static Result<std::unique_ptr<Decoder>> load(std::shared_ptr<const ModelFiles> files, const ModelSpec& spec, const Architecture& architecture,
                                               std::shared_ptr<Backend> backend, WeightMaker& maker, const DecoderOptions& options);

  int64_t vocab_size() const override { return spec_.vocab_size; }
  int64_t context_length() const override { return spec_.context_length; }
  int64_t kv_block_bytes() const override { return backend_->kv_block_bytes(kv_shape()); }
  bool allocate_kv(int64_t n_blocks) override;
  bool prepare_memory() override;
  int n_threads() const override { return backend_->n_threads(); }
  void run_units(int64_t n_units, const std::function<void(int64_t, int)>& fn) override { backend_->run_units(n_units, fn); }
  int64_t max_step_tokens() const override { return options_.max_step_tokens; }
  std::span<const float> forward(const Batch& batch) override;

  // Copies of intermediate results, for bringing up a model against a reference. Null members are skipped.
  struct Taps {
    std::vector<float>* hidden = nullptr;                   // [T, D] after the final norm
    std::vector<std::vector<float>>* layer_out = nullptr;   // per layer [T, D]
  };
  std::span<const float> forward(const Batch& batch, const Taps& taps);

  const ModelSpec& spec() const { return spec_; }
  const Backend& backend() const { return *backend_; }
  size_t weight_bytes() const { return weight_bytes_; }

 private:
  struct Layer {
    Norm attention_norm, mlp_norm, post_attention_norm, post_mlp_norm, q_norm, k_norm;
    Linear q, k, v, o, gate, up, down;
    std::vector<float> key_shift;  // [G·E], or empty: added to every key before it is stored
  };
  struct LayerInput;  // what attention needs to know about the batch

  Decoder() = default;
  Status load_weights(const Architecture& architecture, WeightMaker& maker);
  void set_key_shift(Layer& layer, int64_t layer_idx);
  KvShape kv_shape() const { return {spec_.n_layers, spec_.n_kv_heads, spec_.head_dim, options_.kv_dtype}; }
  TensorView embed(Context& ctx, const Batch& batch) const;
  TensorView attention(Context& ctx, const LayerInput& input, int64_t layer_idx, TensorView x);
  TensorView mlp(Context& ctx, const Layer& layer, TensorView x);

  std::shared_ptr<const ModelFiles> files_;
  std::shared_ptr<Backend> backend_;
  ModelSpec spec_;
  DecoderOptions options_;
  StoredTensor embedding_;
  std::vector<Layer> layers_;
  Norm output_norm_;
  Linear output_;
  std::vector<RopeTable> ropes_;
  std::unique_ptr<KvCache> cache_;
  int64_t n_blocks_used_ = 0;  // blocks before this one were part of a step
  Arena arena_;
  size_t weight_bytes_ = 0;
};

}  // namespace hanlin
