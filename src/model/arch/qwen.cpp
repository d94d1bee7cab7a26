// Qwen 2, 2.5 (biases on q, k, v; sliding windows on upper layers when switched on) and Qwen 3 (norms on query and key heads).
#include "model/arch/registry.h"

namespace hanlin {

void read_hf_qwen(ConfigReader& config, const ModelFiles&, ModelSpec& spec) {
  read_hf_decoder(config, spec);
  spec.qk_norm = spec.architecture == "qwen3";
  if (!config.get_bool("use_sliding_window", false)) return;
  const int64_t window = config.get_int("sliding_window", 0, 0, INT64_MAX);
  const int64_t first = config.get_int("max_window_layers", spec.n_layers, 0, INT64_MAX);
  const std::vector<std::string> types = config.get_strings("layer_types");
  if (!types.empty() && static_cast<int64_t>(types.size()) != spec.n_layers) config.fail("expected 'layer_types' to name every layer");
  if (!config.status().ok()) return;
  for (int64_t i = 0; i < spec.n_layers; ++i) {
    const bool sliding = types.empty() ? i >= first : types[static_cast<size_t>(i)] == "sliding_attention";
    spec.windows[static_cast<size_t>(i)] = sliding ? window : 0;
  }
}

void read_gguf_qwen(ConfigReader& config, const ModelFiles& files, ModelSpec& spec) {
  read_gguf_decoder(config, files, spec);
  spec.qk_norm = spec.architecture == "qwen3";
}

}  // namespace hanlin
