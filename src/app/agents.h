// Agents for the commands that run them: the tools, the store of runs, the service over both.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/run/service.h"
#include "api/models.h"
#include "app/config.h"
#include "base/result.h"
#include "hub/file_lock.h"

namespace hanlin::app {

// A running service and what it needs; stops it when it goes.
struct Agents {
  std::shared_ptr<agent::RunService> service;
  std::optional<hub::FileLock> lock = {};  // of the store; none: runs are kept in memory only
};

// Where runs are kept: the setting, or hanlin/runs.db in $XDG_DATA_HOME (~/.local/share by default); "memory": nowhere.
std::string runs_path(const Config& config);

// Opens tools and store as the settings say. When another process uses the store, runs are kept in memory, and a line in the log says so.
Result<Agents> start_agents(const Config& config, std::shared_ptr<const api::ModelSet> models);

}  // namespace hanlin::app
