// All tools that Hanlin itself runs, as one tool box.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "agent/runnable_tool.h"
#include "agent/sandbox/sandbox.h"
#include "agent/tools/sql.h"
#include "agent/tools/web_search.h"

namespace hanlin::agent {

// What the tools may reach. A tool whose reach is empty is not offered: without read_roots no read_file, and so on.
struct ToolOptions {
  bool basic = true;                    // calculator and clock
  std::string time_zone = "UTC";        // of the clock, if a call names none
  std::vector<std::string> read_roots;  // folders that read_file may read
  std::vector<std::string> http_hosts;  // hosts of http_get: "example.com", "*.example.com", "*"
  std::vector<std::string> http_private_hosts;  // hosts whose private addresses http_get may reach: "localhost:8080"
  bool python = false, shell = false;   // in the sandbox
  SandboxKind sandbox = SandboxKind::kNative;
  SandboxLimits sandbox_limits = {};
  std::vector<SearchBackend> search;    // web_search: the first that answers counts
  std::vector<SqlDatabase> databases;   // sql_query, sql_schema
  std::vector<std::string> tool_files;  // your own tools (tool_file.h); where names collide, the earlier tool counts, these first
};

// The tools that the options allow: those of the files first. Errors say which option is wrong. The box is immutable; its tools may
// be called from any thread.
Result<ToolBox> make_tools(const ToolOptions& options);

// What a person decided about tools, over what they say of themselves: (name, permission).
using Permissions = std::vector<std::pair<std::string, Permission>>;
// The same tools in the same order with these permissions. kInvalidArgument: the box has no tool of that name, or two
// decisions name the same tool.
Result<ToolBox> with_permissions(const ToolBox& box, const Permissions& permissions);

}  // namespace hanlin::agent
