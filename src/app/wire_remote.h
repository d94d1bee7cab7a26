// Remote models and fallbacks of the object graph.
#pragma once

#include <string>

#include "app/wire.h"

namespace hanlin::app {

// "https://host/v1#MODEL" or "https://host/v1#embed:MODEL": what a --model argument says about a remote model.
struct RemoteChoice {
  std::string base_url;  // "https://host/v1"
  std::string model;     // its name there
  bool embeds = false;
};
// An http or https address with a '#'.
bool is_remote_model(const std::string& reference);
// Errors: kInvalidArgument, with what was expected.
Result<RemoteChoice> parse_remote_model(const std::string& reference);

// The environment variable that holds the key for this address: as `config` says, else OPENAI_API_KEY for api.openai.com and
// HANLIN_REMOTE_API_KEY for others. Errors: kInvalidArgument for an address that is none.
Result<std::string> remote_key_variable(const Config& config, const std::string& base_url);

// Adds a remote model to the set. Connects to nothing: a service that is down is noticed by requests.
Status start_remote_model(const Config& config, const ModelChoice& choice, RunningModels& running);

// Puts chains in the place of the models that config.fallback names. Of each OTHER the model itself is taken, not its own
// fallbacks, so that two models may fall back to each other. Errors: kInvalidArgument for names that are not served and for
// models of different kinds.
Status add_fallbacks(const Config& config, RunningModels& running);

}  // namespace hanlin::app
