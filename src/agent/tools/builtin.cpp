#include "agent/tools/builtin.h"

#include "agent/tools/calculator.h"
#include "agent/tools/clock.h"
#include "agent/tools/http_get.h"
#include "agent/tools/read_file.h"
#include "agent/tools/run_code.h"

namespace hanlin::agent {

Result<ToolBox> make_builtin_tools(const BuiltinToolOptions& options) {
  std::vector<std::shared_ptr<RunnableTool>> tools{make_calculator()};
  HANLIN_ASSIGN(auto clock, make_clock(options.time_zone));
  tools.push_back(std::move(clock));
  if (!options.read_roots.empty()) {
    HANLIN_ASSIGN(auto read_file, make_read_file({.roots = options.read_roots}));
    tools.push_back(std::move(read_file));
  }
  if (!options.http_hosts.empty() || !options.http_private_hosts.empty()) {
    tools.push_back(make_http_get({.rules = {.hosts = options.http_hosts, .private_hosts = options.http_private_hosts}}));
  }
  const RunCodeOptions code{.kind = options.sandbox, .limits = options.sandbox_limits};
  if (options.python) {
    HANLIN_ASSIGN(auto python, make_python(code));
    tools.push_back(std::move(python));
  }
  if (options.shell) {
    HANLIN_ASSIGN(auto shell, make_shell(code));
    tools.push_back(std::move(shell));
  }
  return ToolBox(std::move(tools));
}

}  // namespace hanlin::agent
