// Gemma 3 (text): scaled embeddings, norms around attention and MLP, query and key norms, five windowed layers with a
// local rotary base for every full one. Gemma Team 2025, "Gemma 3 Technical Report".
#include <cmath>

#include "base/json.h"
#include "model/arch/registry.h"

namespace hanlin {
namespace {

// Layers with (i + 1) % pattern == 0 see everything and use rope 0; the others see a window and use rope 1.
void set_layers(ModelSpec& spec, int64_t window, int64_t pattern, const std::vector<std::string>& types) {
  for (int64_t i = 0; i < spec.n_layers; ++i) {
    const bool full = types.empty() ? (i + 1) % pattern == 0 : types[static_cast<size_t>(i)] == "full_attention";
    spec.windows[static_cast<size_t>(i)] = full ? 0 : window;
    spec.rope_of_layer[static_cast<size_t>(i)] = full ? 0 : 1;
  }
}

void set_common(ModelSpec& spec) {
  spec.qk_norm = true;
  spec.post_norms = true;
  spec.activation = Activation::kGeluTanh;
  spec.embedding_scale = std::sqrt(static_cast<float>(spec.d_model));
}

}  // namespace

void read_hf_gemma3(ConfigReader& config, const ModelFiles&, ModelSpec& spec) {
  read_hf_decoder(config, spec);
  if (!config.status().ok()) return;
  set_common(spec);
  spec.norm_offset = 1.0f;
  spec.attention_scale = static_cast<float>(1.0 / std::sqrt(config.get_float("query_pre_attn_scalar", static_cast<double>(spec.head_dim))));
  spec.attention_softcap = static_cast<float>(config.get_float("attn_logit_softcapping", 0.0));
  spec.logit_softcap = static_cast<float>(config.get_float("final_logit_softcapping", 0.0));
  if (config.get_bool("use_bidirectional_attention", false)) {
    config.fail(Error{Code::kUnsupported, config.where() + ": Gemma with attention in both directions is not supported"});
  }
  // Two rotary descriptions: new files keep them by layer type, older ones as rope_theta + rope_scaling (full layers) and
  // rope_local_base_freq (windowed layers, never scaled).
  if (const Json* both = config.object("rope_parameters"); both != nullptr && both->contains("full_attention") && both->contains("sliding_attention")) {
    ConfigReader by_type(*both, config.where() + " (rope_parameters)");
    spec.ropes = {read_hf_rope(config, by_type.object("full_attention"), 1e6, spec.head_dim, spec.context_length),
                  read_hf_rope(config, by_type.object("sliding_attention"), 1e4, spec.head_dim, spec.context_length)};
  } else {
    spec.ropes = {read_hf_rope(config, config.object("rope_scaling"), config.get_float("rope_theta", 1e6), spec.head_dim, spec.context_length),
                  read_hf_rope(config, nullptr, config.get_float("rope_local_base_freq", 1e4), spec.head_dim, spec.context_length)};
  }
  const std::vector<std::string> types = config.get_strings("layer_types");
  if (!types.empty() && static_cast<int64_t>(types.size()) != spec.n_layers) config.fail("expected 'layer_types' to name every layer");
  if (!config.status().ok()) return;
  const int64_t pattern = config.get_int("sliding_window_pattern", config.get_int("_sliding_window_pattern", 6, 1, 1024), 1, 1024);
  set_layers(spec, config.get_int("sliding_window", 4096, 1, INT64_MAX), pattern, types);
}

void read_gguf_gemma3(ConfigReader& config, const ModelFiles& files, ModelSpec& spec) {
  read_gguf_decoder(config, files, spec);
  if (!config.status().ok()) return;
  set_common(spec);
  // The file's norm weights hold 1 + w already. The 27B model (62 layers) scales by its width per head instead.
  if (spec.n_layers == 62) spec.attention_scale = 1.0f / std::sqrt(static_cast<float>(spec.d_model) / static_cast<float>(spec.n_heads));
  spec.logit_softcap = static_cast<float>(config.get_float("final_logit_softcapping", 0.0));
  RopeSpec local;
  local.base = config.get_float("rope.freq_base_swa", 10000.0);
  local.n_rot = spec.ropes[0].n_rot;
  spec.ropes.push_back(local);
  const int64_t pattern = config.get_int("attention.sliding_window_pattern", 6, 1, 1024);
  set_layers(spec, config.get_int("attention.sliding_window", 0, 0, INT64_MAX), pattern, {});
}

}  // namespace hanlin
