// The flags that say which tools there are, the same for every command that has tools.
#pragma once

#include <string>
#include <vector>

#include "agent/mcp/client.h"
#include "agent/tools/builtin.h"
#include "base/fields.h"
#include "base/result.h"

namespace hanlin::app {

struct ToolSettings {
  std::vector<std::string> tools;               // files of own tools, OpenAPI documents
  bool basic_tools = true;                      // calculator and clock
  std::string time_zone = "UTC";
  std::vector<std::string> read_roots;
  std::vector<std::string> http_hosts, http_private_hosts;
  std::vector<std::string> search;              // as agent::parse_search_backend reads it
  std::vector<std::string> sql;                 // as agent::parse_sql_database reads it
  bool run_python = false, run_shell = false;
  std::string sandbox = "native";
  std::vector<std::string> mcp;                 // as parse_mcp_server reads it
  std::string mcp_config;                       // a file with {"mcpServers": {…}}
  std::vector<std::string> allow_tools, ask_tools, deny_tools;

  // Adds one field for each of these to `fields`, under the heading "Tools". They point into this object, which must outlive them.
  void add_to(FieldSet& fields);
};

// What the settings say about Hanlin's own tools. kInvalidArgument: "--search: …".
Result<agent::ToolOptions> tool_options(const ToolSettings& settings);
// What the settings say about permissions.
agent::Permissions tool_permissions(const ToolSettings& settings);

// "NAME=PROGRAM ARGUMENT…" (split at spaces; stdio) or "NAME=https://host/mcp" (Streamable HTTP). kInvalidArgument.
struct McpServerSetting {
  std::string name;
  std::vector<std::string> argv;                                 // of a program, or
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours
  std::string url;                                               // an address
  std::vector<std::pair<std::string, std::string>> headers;
};
Result<McpServerSetting> parse_mcp_server(const std::string& text);
// The servers of a file {"mcpServers": {"NAME": {"command", "args", "env"} or {"url", "headers"}}}, the form that MCP clients share;
// "${NAME}" in env, url and headers is the environment's variable. Errors name the file and the place in it.
Result<std::vector<McpServerSetting>> read_mcp_config(const std::string& path);

// Everything together: own tools, and those of MCP servers with the prefix "NAME_", with the permissions of the settings. Connects to
// the servers; one that cannot be reached is an error that names it. Blocks until `context` says to stop; the box keeps the
// connections alive.
Result<agent::ToolBox> open_tools(const ToolSettings& settings, const agent::ToolContext& context = {});

}  // namespace hanlin::app
