// Llama 1 to 3, CodeLlama, TinyLlama, SmolLM2, and Mistral, which adds a sliding window to every layer.
// Touvron et al. 2023, "LLaMA"; Jiang et al. 2023, "Mistral 7B".
#include "model/arch/registry.h"

namespace hanlin {

void read_hf_llama(ConfigReader& config, const ModelFiles&, ModelSpec& spec) {
  read_hf_decoder(config, spec);
  if (spec.architecture == "mistral") {
    spec.windows.assign(spec.windows.size(), config.get_int("sliding_window", 0, 0, INT64_MAX));
  }
}

void read_gguf_llama(ConfigReader& config, const ModelFiles& files, ModelSpec& spec) {
  read_gguf_decoder(config, files, spec);
  spec.rope_neox = false;  // converters permute the rows of q and k for adjacent pairs
  spec.windows.assign(spec.windows.size(), config.get_int("attention.sliding_window", 0, 0, INT64_MAX));
  if (config.get_int("expert_count", 0, 0, INT64_MAX) > 0) {
    config.fail(Error{Code::kUnsupported, config.where() + ": mixture-of-experts models are not supported"});
  }
}

}  // namespace hanlin
