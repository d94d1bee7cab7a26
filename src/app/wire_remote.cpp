#include "app/wire_remote.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "agent/native_calls.h"
#include "base/log.h"
#include "hub/url.h"
#include "remote/fallback.h"
#include "remote/remote_embedder.h"
#include "remote/remote_generator.h"

namespace hanlin::app {
namespace {

constexpr const char* kEmbed = "embed:";

Error bad_fallback(const std::string& argument, const std::string& what) {
  return {Code::kInvalidArgument, fmt::format("--fallback {}: {}", argument, what)};
}

// The members of one model's chain, its own first.
struct Chain {
  size_t model_idx;
  std::vector<const api::ServedModel*> members;
};

// What every member can read, all of them must: tool calls come natively if one of them gives them so.
std::shared_ptr<api::TextGenerator> generator_chain(const Config& config, const Chain& chain) {
  const bool native = std::any_of(chain.members.begin(), chain.members.end(), [](const auto* member) { return member->generator->native_tool_calls(); });
  std::vector<std::shared_ptr<api::TextGenerator>> generators;
  for (const api::ServedModel* member : chain.members) {
    if (native && !member->generator->native_tool_calls()) generators.push_back(std::make_shared<agent::NativeCalls>(member->generator, config.tool_format));
    else generators.push_back(member->generator);
  }
  return std::make_shared<remote::FallbackGenerator>(std::move(generators));
}

std::shared_ptr<api::Embedder> embedder_chain(const Chain& chain) {
  std::vector<std::shared_ptr<api::Embedder>> embedders;
  for (const api::ServedModel* member : chain.members) embedders.push_back(member->embedder);
  return std::make_shared<remote::FallbackEmbedder>(std::move(embedders));
}

}  // namespace

bool is_remote_model(const std::string& reference) {
  return (reference.starts_with("https://") || reference.starts_with("http://")) && reference.find('#') != std::string::npos;
}

Result<RemoteChoice> parse_remote_model(const std::string& reference) {
  const size_t hash = reference.find('#');
  RemoteChoice choice{reference.substr(0, hash), reference.substr(hash + 1), false};
  if (choice.model.starts_with(kEmbed)) {
    choice.embeds = true;
    choice.model.erase(0, std::string_view(kEmbed).size());
  }
  if (choice.model.empty()) return Error{Code::kInvalidArgument, fmt::format("{}: expected the model's name at the service behind '#', got nothing", reference)};
  HANLIN_TRY(hub::parse_url(choice.base_url));
  return choice;
}

Result<std::string> remote_key_variable(const Config& config, const std::string& base_url) {
  HANLIN_ASSIGN(const hub::Url url, hub::parse_url(base_url));
  std::string for_all = url.host == "api.openai.com" ? "OPENAI_API_KEY" : "HANLIN_REMOTE_API_KEY";
  for (const std::string& entry : config.remote_key_env) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos) for_all = entry;
    else if (entry.substr(0, equals) == url.host || entry.substr(0, equals) == url.authority()) return entry.substr(equals + 1);
  }
  return for_all;
}

Status start_remote_model(const Config& config, const ModelChoice& choice, RunningModels& running) {
  HANLIN_ASSIGN(const RemoteChoice where, parse_remote_model(choice.reference));
  remote::RemoteOptions options{.name = choice.name, .base_url = where.base_url, .model = where.model};
  HANLIN_ASSIGN(options.api_key_env, remote_key_variable(config, where.base_url));
  options.whole_timeout = std::chrono::milliseconds(static_cast<int64_t>(config.request_timeout_s * 1000));
  options.max_queue = static_cast<int>(config.max_queue);
  options.max_running = static_cast<int>(std::min<int64_t>(config.max_running, options.max_running));
  HANLIN_ASSIGN(const hub::Url url, hub::parse_url(where.base_url));
  if (url.host == "api.openai.com") options.max_tokens_field = "max_completion_tokens";
  const char* key = std::getenv(options.api_key_env.c_str());
  const bool has_key = key != nullptr && *key != '\0';
  if (has_key && url.scheme == "http" && url.host != "localhost" && !url.host.starts_with("127.") && url.host != "::1") {
    log_warning(fmt::format("{}: the key in {} travels to {} without encryption", choice.name, options.api_key_env, url.host));
  }
  api::ServedModel served{.name = choice.name, .created_unix = std::time(nullptr)};
  if (where.embeds) {
    HANLIN_ASSIGN(served.embedder, remote::RemoteEmbedder::create(options));
  } else {
    HANLIN_ASSIGN(served.generator, remote::RemoteGenerator::create(options));
  }
  log_info(fmt::format("{}: {} at {}, {}", choice.name, where.model, where.base_url,
                       has_key ? "with the key in " + options.api_key_env : "without a key (" + options.api_key_env + " is not set)"));
  running.set->models.push_back(std::move(served));
  return {};
}

Status add_fallbacks(const Config& config, RunningModels& running) {
  const api::ModelSet originals = *running.set;
  std::vector<Chain> chains;
  for (const std::string& argument : config.fallback) {
    const size_t equals = argument.find('=');
    if (equals == std::string::npos) return bad_fallback(argument, "expected NAME=OTHER");
    const api::ServedModel* model = originals.find(argument.substr(0, equals));
    const api::ServedModel* other = originals.find(argument.substr(equals + 1));
    if (model == nullptr || other == nullptr) {
      return bad_fallback(argument, fmt::format("no model is called '{}'; --model names them", model == nullptr ? argument.substr(0, equals) : argument.substr(equals + 1)));
    }
    const bool alike = (model->generator && other->generator) || (model->embedder && other->embedder);
    if (!alike || model == other) return bad_fallback(argument, "expected two models that both generate text or both embed");
    const auto idx = static_cast<size_t>(model - originals.models.data());
    auto chain = std::find_if(chains.begin(), chains.end(), [&](const Chain& c) { return c.model_idx == idx; });
    if (chain == chains.end()) chain = chains.insert(chain, {idx, {model}});
    chain->members.push_back(other);
  }
  for (const Chain& chain : chains) {
    api::ServedModel& served = running.set->models[chain.model_idx];
    if (served.generator) served.generator = generator_chain(config, chain);
    if (served.embedder) {
      for (const api::ServedModel* member : chain.members) {
        const int64_t here = served.embedder->embedder_info().dimensions, there = member->embedder->embedder_info().dimensions;
        if (here > 0 && there > 0 && here != there) {
          return bad_fallback(served.name + "=" + member->name, fmt::format("expected vectors of one length, got {} and {}", here, there));
        }
      }
      served.embedder = embedder_chain(chain);
    }
  }
  return {};
}

}  // namespace hanlin::app
