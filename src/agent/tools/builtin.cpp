#include "agent/tools/builtin.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/tools/calculator.h"
#include "agent/tools/clock.h"
#include "agent/tools/http_get.h"
#include "agent/tools/read_file.h"
#include "agent/tools/run_code.h"
#include "agent/tools/tool_file.h"

namespace hanlin::agent {
namespace {

class PermittedTool final : public RunnableTool {
 public:
  PermittedTool(std::shared_ptr<RunnableTool> inner, Permission permission) : inner_(std::move(inner)), permission_(permission) {}
  const Tool& tool() const override { return inner_->tool(); }
  Permission permission() const override { return permission_; }
  bool is_manual() const override { return inner_->is_manual(); }
  Result<std::string> run(const Json& arguments, const ToolContext& context) override { return inner_->run(arguments, context); }

 private:
  const std::shared_ptr<RunnableTool> inner_;
  const Permission permission_;
};

}  // namespace

Result<ToolBox> make_tools(const ToolOptions& options) {
  std::vector<std::shared_ptr<RunnableTool>> tools;
  for (const std::string& path : options.tool_files) {
    HANLIN_ASSIGN(auto own, load_tool_file(path, {.sandbox = options.sandbox, .sandbox_limits = options.sandbox_limits}));
    tools.insert(tools.end(), own.begin(), own.end());
  }
  HANLIN_ASSIGN(auto clock, make_clock(options.time_zone));
  if (options.basic) tools.insert(tools.end(), {make_calculator(), clock});
  if (!options.search.empty()) {
    HANLIN_ASSIGN(auto search, make_web_search({.backends = options.search}));
    tools.push_back(std::move(search));
  }
  if (!options.http_hosts.empty() || !options.http_private_hosts.empty()) {
    tools.push_back(make_http_get({.rules = {.hosts = options.http_hosts, .private_hosts = options.http_private_hosts}}));
  }
  if (!options.read_roots.empty()) {
    HANLIN_ASSIGN(auto read_file, make_read_file({.roots = options.read_roots}));
    tools.push_back(std::move(read_file));
  }
  if (!options.databases.empty()) {
    HANLIN_ASSIGN(auto sql, make_sql_tools({.databases = options.databases}));
    tools.insert(tools.end(), sql.begin(), sql.end());
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

Result<ToolBox> with_permissions(const ToolBox& box, const Permissions& permissions) {
  std::vector<std::shared_ptr<RunnableTool>> tools = box.tools();
  for (size_t i = 0; i < permissions.size(); ++i) {
    const auto& [name, permission] = permissions[i];
    const auto same = [&name = name](const auto& tool) { return tool->tool().name == name; };
    const auto found = std::find_if(tools.begin(), tools.end(), same);
    if (found == tools.end()) return Error{Code::kInvalidArgument, fmt::format("permission of the tool {}: there is no such tool", name)};
    for (size_t k = 0; k < i; ++k) {
      if (permissions[k].first == name) return Error{Code::kInvalidArgument, fmt::format("permission of the tool {}: given twice", name)};
    }
    *found = std::make_shared<PermittedTool>(*found, permission);
  }
  return ToolBox(std::move(tools));
}

}  // namespace hanlin::agent
