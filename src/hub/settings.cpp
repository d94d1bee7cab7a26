#include "hub/settings.h"

#include <algorithm>
#include <cstdlib>

#include "base/mmap_file.h"

namespace hanlin::hub {

HubSettings hub_settings(const std::function<const char*(const char*)>& getenv_fn) {
  const auto get = [&](const char* name) {
    const char* value = getenv_fn ? getenv_fn(name) : std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  HubSettings settings;
  if (std::string endpoint = get("HF_ENDPOINT"); !endpoint.empty()) {
    while (endpoint.ends_with('/')) endpoint.pop_back();
    settings.endpoint = std::move(endpoint);
  }

  const std::string home = get("HOME");
  std::string hf_home = get("HF_HOME");
  if (hf_home.empty()) {
    const std::string xdg_cache = get("XDG_CACHE_HOME");
    hf_home = (xdg_cache.empty() ? home + "/.cache" : xdg_cache) + "/huggingface";
  }
  if (hf_home.starts_with("~/")) hf_home.replace(0, 1, home);
  settings.cache_dir = get("HF_HUB_CACHE");
  if (settings.cache_dir.empty()) settings.cache_dir = hf_home + "/hub";
  if (settings.cache_dir.starts_with("~/")) settings.cache_dir.replace(0, 1, home);

  settings.token = get("HF_TOKEN");
  if (settings.token.empty()) {
    const std::string token_path = get("HF_TOKEN_PATH");
    const auto token = read_file(token_path.empty() ? hf_home + "/token" : token_path, 4096);
    if (token.ok()) settings.token = *token;
  }
  // A token goes into a header line: nothing but visible ASCII may stand in it.
  std::erase_if(settings.token, [](char c) { return c <= ' ' || c > '~'; });

  std::string offline = get("HF_HUB_OFFLINE");
  std::transform(offline.begin(), offline.end(), offline.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  settings.offline = offline == "1" || offline == "true" || offline == "yes" || offline == "on";
  if (const std::string python = get("HANLIN_PYTHON"); !python.empty()) settings.python = python;
  return settings;
}

}  // namespace hanlin::hub
