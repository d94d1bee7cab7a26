// Where models come from and where they are kept: the variables that Hugging Face's own tools use.
#pragma once

#include <functional>
#include <string>

namespace hanlin::hub {

struct HubSettings {
  std::string endpoint = "https://huggingface.co";  // HF_ENDPOINT, without a slash at the end
  std::string token;                                // HF_TOKEN, or the token file that `hf auth login` writes
  std::string cache_dir;                            // HF_HUB_CACHE, $HF_HOME/hub, or ~/.cache/huggingface/hub
  bool offline = false;                             // HF_HUB_OFFLINE: nothing is fetched from anywhere
  std::string python = "python3";                   // HANLIN_PYTHON: the interpreter whose pip fetches packages
};

// Reads the environment; `getenv_fn` replaces it in tests.
HubSettings hub_settings(const std::function<const char*(const char*)>& getenv_fn = nullptr);

}  // namespace hanlin::hub
