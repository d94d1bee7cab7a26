#include "app/agents.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "app/tool_settings.h"
#include "base/log.h"

namespace hanlin::app {

std::string runs_path(const Config& config) {
  if (!config.runs_path.empty()) return config.runs_path;
  const char* xdg = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  if (xdg != nullptr && *xdg != '\0') return fmt::format("{}/hanlin/runs.db", xdg);
  return home != nullptr && *home != '\0' ? fmt::format("{}/.local/share/hanlin/runs.db", home) : "memory";
}

Result<Agents> start_agents(const Config& config, std::shared_ptr<const api::ModelSet> models) {
  Agents agents;
  std::string path = runs_path(config);
  if (path != "memory") {
    auto lock = hub::FileLock::try_acquire(path + ".lock");
    if (lock.ok()) {
      agents.lock.emplace(std::move(lock).value());
    } else {
      if (lock.error().code != Code::kUnavailable) return std::move(lock).error().with_context("--runs-path");
      log_warning(fmt::format("{} is used by another hanlin: the runs of this one are not kept (--runs-path gives it a file of its own)", path));
      path = "memory";
    }
  }
  HANLIN_ASSIGN(std::unique_ptr<store::RunStore> store, store::open_sqlite_runs(path == "memory" ? ":memory:" : path));
  HANLIN_ASSIGN(agent::ToolBox tools, open_tools(config.tool_settings));
  agent::RunServiceOptions options;
  options.max_active = static_cast<size_t>(config.max_agents);
  options.tool_format = config.tool_format;
  HANLIN_ASSIGN(agents.service, agent::RunService::create(options, std::move(models), std::make_shared<agent::ToolBox>(std::move(tools)), std::move(store)));
  return agents;
}

}  // namespace hanlin::app
