#include <fmt/format.h>

#include <csignal>
#include <iostream>

#include "agent/mcp/server.h"
#include "agent/run/check_arguments.h"
#include "app/commands.h"
#include "app/tool_settings.h"
#include "base/json.h"

namespace hanlin::app {
namespace {

void print_tools(const agent::ToolBox& box) {
  for (const auto& tool : box.tools()) {
    const char* note = tool->permission() == agent::Permission::kAsk ? " (asks)" : tool->permission() == agent::Permission::kDeny ? " (denied)" : "";
    fmt::print("{}{}\n  {}\n", tool->tool().name, note, tool->tool().description);
  }
}

Status serve(const Config& config, bool list) {
  HANLIN_ASSIGN(agent::ToolBox box, open_tools(config.tool_settings));
  if (list) {
    print_tools(box);
    return {};
  }
  std::signal(SIGPIPE, SIG_IGN);  // a client that is gone: the end of the input says so as well
  std::ios::sync_with_stdio(false);
  const auto check = [](const agent::Tool& tool, const Json& call) { return agent::check_arguments(tool.parameters_json, call); };
  agent::mcp::Server server(std::move(box), {.version = HANLIN_VERSION, .check = check});
  return agent::mcp::serve_stdio(server, std::cin, std::cout);
}

}  // namespace

Command mcp_command() {
  auto list = std::make_shared<bool>(false);
  Command command{
      .name = "mcp",
      .summary = "Offer tools to other programs over the Model Context Protocol",
      .examples =
          "  hanlin mcp --list                                          # what would be offered\n"
          "  hanlin mcp --read-roots ~/notes --search corpus=~/notes    # files and a search in them\n"
          "  hanlin mcp --sql shop=shop.db --tools weather.json         # a database, and tools of yours\n"
          "\n"
          "The protocol is spoken on stdin and stdout. A client such as Claude Desktop starts the program itself; in its\n"
          "configuration:\n"
          "  {\"mcpServers\": {\"hanlin\": {\"command\": \"hanlin\", \"args\": [\"mcp\", \"--sql\", \"shop=/data/shop.db\"]}}}\n"
          "Tools that ask are offered as well: it is the client that asks its user. Denied ones are not shown."};
  command.options.add("list", list.get(), "Print the tools and end");
  command.config_flags = true;
  command.config_section = "Tools";
  command.run = [list](LoadedConfig& loaded) { return serve(loaded.values, *list); };
  return command;
}

}  // namespace hanlin::app
