// What the decoder families share: dimensions, rotary descriptions, sliding windows.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "model/arch/registry.h"
#include "tensor/dtype.h"

namespace hanlin {
namespace {

constexpr int64_t kMaxLayers = 1024, kMaxWidth = 1 << 20, kMaxHeads = 4096, kMaxHeadDim = 4096, kMaxPositions = int64_t{1} << 28;

}  // namespace

Activation read_activation(ConfigReader& config, const std::string& name) {
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "gelu") return Activation::kGeluErf;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new" || name == "gelu_fast") return Activation::kGeluTanh;
  config.fail(Error{Code::kUnsupported, fmt::format("{}: expected the activation silu, gelu or gelu_pytorch_tanh, got '{}'", config.where(), name)});
  return Activation::kSilu;
}

RopeSpec read_hf_rope(ConfigReader& config, const Json* parameters, double base, int64_t head_dim, int64_t max_positions) {
  RopeSpec rope;
  rope.base = base;
  double partial = config.get_float("partial_rotary_factor", 1.0);
  rope.original_context = max_positions;
  if (parameters != nullptr) {
    ConfigReader reader(*parameters, config.where() + " (rotary parameters)");
    rope.base = reader.get_float("rope_theta", base);
    partial = reader.get_float("partial_rotary_factor", partial);
    const std::string type = reader.get_string("rope_type", reader.get_string("type", "default"));
    rope.factor = reader.get_float("factor", 1.0);
    rope.original_context = reader.get_int("original_max_position_embeddings", max_positions, 1, kMaxPositions);
    if (type == "default") rope.scaling = RopeScaling::kNone;
    else if (type == "linear") rope.scaling = RopeScaling::kLinear;
    else if (type == "dynamic") rope.scaling = RopeScaling::kDynamic;
    else if (type == "llama3") rope.scaling = RopeScaling::kLlama3;
    else if (type == "yarn") rope.scaling = RopeScaling::kYarn;
    else reader.fail(Error{Code::kUnsupported, fmt::format("{}: expected rotary scaling default, linear, dynamic, yarn or llama3, got '{}'", reader.where(), type)});
    rope.beta_fast = reader.get_float("beta_fast", 32.0);
    rope.beta_slow = reader.get_float("beta_slow", 1.0);
    rope.truncate = reader.get_bool("truncate", true);
    rope.low_freq_factor = reader.get_float("low_freq_factor", 1.0);
    rope.high_freq_factor = reader.get_float("high_freq_factor", 4.0);
    rope.attention_factor = reader.get_float("attention_factor", 0.0);
    // DeepSeek's form: the ratio of two scales of the same shape.
    const double mscale = reader.get_float("mscale", 0.0), mscale_all = reader.get_float("mscale_all_dim", 0.0);
    if (rope.scaling == RopeScaling::kYarn && rope.attention_factor == 0.0 && mscale != 0.0 && mscale_all != 0.0) {
      const auto scale = [&](double m) { return rope.factor <= 1 ? 1.0 : 0.1 * m * std::log(rope.factor) + 1.0; };
      rope.attention_factor = scale(mscale) / scale(mscale_all);
    }
    if (auto status = reader.status(); !status.ok()) config.fail(status.error());
  }
  rope.n_rot = static_cast<int64_t>(static_cast<double>(head_dim) * std::clamp(partial, 0.0, 1.0));
  return rope;
}

void read_hf_decoder(ConfigReader& config, ModelSpec& spec) {
  spec.n_layers = config.require_int("num_hidden_layers", 1, kMaxLayers);
  spec.d_model = config.require_int("hidden_size", 1, kMaxWidth);
  spec.d_ff = config.require_int("intermediate_size", 1, 4 * kMaxWidth);
  spec.n_heads = config.require_int("num_attention_heads", 1, kMaxHeads);
  spec.n_kv_heads = config.get_int("num_key_value_heads", spec.n_heads, 1, kMaxHeads);
  spec.head_dim = config.get_int("head_dim", spec.n_heads > 0 ? spec.d_model / spec.n_heads : 0, 1, kMaxHeadDim);
  spec.vocab_size = config.require_int("vocab_size", 1, 1 << 24);
  spec.context_length = config.get_int("max_position_embeddings", 2048, 1, kMaxPositions);
  spec.norm_eps = static_cast<float>(config.get_float("rms_norm_eps", 1e-6));
  spec.activation = read_activation(config, config.get_string("hidden_activation", config.get_string("hidden_act", "silu")));
  if (!config.status().ok()) return;
  spec.attention_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec.head_dim)));
  const Json* parameters = config.object("rope_parameters");
  if (parameters == nullptr) parameters = config.object("rope_scaling");
  spec.ropes = {read_hf_rope(config, parameters, config.get_float("rope_theta", 10000.0), spec.head_dim, spec.context_length)};
  if (spec.ropes[0].scaling == RopeScaling::kDynamic) {
    spec.context_length = static_cast<int64_t>(static_cast<double>(spec.context_length) * spec.ropes[0].factor);
  }
  spec.rope_of_layer.assign(static_cast<size_t>(spec.n_layers), 0);
  spec.windows.assign(static_cast<size_t>(spec.n_layers), 0);
}

void read_gguf_decoder(ConfigReader& config, const ModelFiles& files, ModelSpec& spec) {
  spec.n_layers = config.require_int("block_count", 1, kMaxLayers);
  spec.d_model = config.require_int("embedding_length", 1, kMaxWidth);
  spec.d_ff = config.require_int("feed_forward_length", 1, 4 * kMaxWidth);
  spec.n_heads = config.require_int("attention.head_count", 1, kMaxHeads);
  spec.n_kv_heads = config.get_int("attention.head_count_kv", spec.n_heads, 1, kMaxHeads);
  spec.head_dim = config.get_int("attention.key_length", spec.n_heads > 0 ? spec.d_model / spec.n_heads : 0, 1, kMaxHeadDim);
  if (config.get_int("attention.value_length", spec.head_dim, 1, kMaxHeadDim) != spec.head_dim) {
    config.fail("expected keys and values of the same head size");
  }
  spec.context_length = config.get_int("context_length", 2048, 1, kMaxPositions);
  spec.norm_eps = static_cast<float>(config.get_float("attention.layer_norm_rms_epsilon", 1e-6));
  const StoredTensor* embedding = files.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2) config.fail("expected a matrix 'token_embd.weight'");
  if (!config.status().ok()) return;
  spec.vocab_size = embedding->shape[0];
  spec.attention_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec.head_dim)));

  RopeSpec rope;
  rope.base = config.get_float("rope.freq_base", 10000.0);
  rope.n_rot = config.get_int("rope.dimension_count", spec.head_dim, 2, kMaxHeadDim);
  const std::string type = config.get_string("rope.scaling.type", config.has("rope.scale_linear") ? "linear" : "none");
  rope.factor = config.get_float("rope.scaling.factor", config.get_float("rope.scale_linear", 1.0));
  rope.original_context = config.get_int("rope.scaling.original_context_length", spec.context_length, 1, kMaxPositions);
  if (type == "linear") rope.scaling = RopeScaling::kLinear;
  else if (type == "yarn") rope.scaling = RopeScaling::kYarn;
  else if (type != "none") config.fail(Error{Code::kUnsupported, fmt::format("{}: expected rotary scaling none, linear or yarn, got '{}'", config.where(), type)});
  rope.beta_fast = config.get_float("rope.scaling.yarn_beta_fast", 32.0);
  rope.beta_slow = config.get_float("rope.scaling.yarn_beta_slow", 1.0);
  // The key multiplies the usual factor.
  const double attn_factor = config.get_float("rope.scaling.attn_factor", 1.0);
  if (rope.scaling == RopeScaling::kYarn && rope.factor > 1) rope.attention_factor = attn_factor * (0.1 * std::log(rope.factor) + 1.0);
  if (const StoredTensor* factors = files.find("rope_freqs.weight"); factors != nullptr) {
    if (factors->dtype != DType::kF32 || factors->n_values() != rope.n_rot / 2) {
      config.fail(fmt::format("expected 'rope_freqs.weight' to hold {} F32 values", rope.n_rot / 2));
    } else {
      const auto* values = reinterpret_cast<const float*>(factors->data);
      rope.frequency_factors.assign(values, values + factors->n_values());
    }
  }
  spec.ropes = {rope};
  spec.rope_of_layer.assign(static_cast<size_t>(spec.n_layers), 0);
  spec.windows.assign(static_cast<size_t>(spec.n_layers), 0);
}

}  // namespace hanlin
