// Builds the object graph: settings → models → engines → service. The only place that names concrete classes of several
// libraries.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "api/models.h"
#include "app/config.h"
#include "base/result.h"
#include "model/loader.h"
#include "server/options.h"

namespace hanlin::engine {
class Engine;
}

namespace hanlin::app {

// Where a model is and under which names it is served.
struct ModelChoice {
  std::string name;       // what clients write
  std::string reference;  // what the user wrote: catalogue name, repository, path or remote address
  std::string path;       // on this machine; empty: a remote model
};

// The models that `config` names, or the defaults for the given purpose. Errors: kNotFound with the command that fetches it.
Result<std::vector<ModelChoice>> choose_models(const Config& config, const std::vector<std::string>& defaults);
inline const std::vector<std::string> kDefaultModels = {"qwen2.5-coder-0.5b", "all-minilm-l6-v2"};

// What the settings say about loading a model.
LoadOptions load_options(const Config& config);

// Loaded models; engines are stopped when the last reference goes.
struct RunningModels {
  std::shared_ptr<api::ModelSet> set = std::make_shared<api::ModelSet>();
  std::vector<std::shared_ptr<engine::Engine>> engines;
  // Lets accepted requests finish until `deadline`, then cancels.
  void shutdown(std::chrono::steady_clock::time_point deadline);
};

// Loads every model and starts its engine. Errors name the model.
Result<RunningModels> start_models(const Config& config, const std::vector<ModelChoice>& choices);
// One generating model for a terminal command: the one `config` names or the default chat model.
Result<RunningModels> start_one(Config config, const std::string& default_model);

server::ServerOptions server_options(const Config& config);

}  // namespace hanlin::app
