// The built-in tools as one tool box.
#pragma once

#include <string>
#include <vector>

#include "agent/runnable_tool.h"
#include "agent/sandbox/sandbox.h"

namespace hanlin::agent {

// What the built-in tools may reach. A tool whose reach is empty is not offered: without read_roots no read_file, and so on.
struct BuiltinToolOptions {
  std::string time_zone = "UTC";        // of the clock, if a call names none
  std::vector<std::string> read_roots;  // folders that read_file may read
  std::vector<std::string> http_hosts;  // hosts of http_get: "example.com", "*.example.com", "*"
  std::vector<std::string> http_private_hosts;  // hosts whose private addresses http_get may reach: "localhost:8080"
  bool python = false, shell = false;   // in the sandbox
  SandboxKind sandbox = SandboxKind::kNative;
  SandboxLimits sandbox_limits = {};
};

// Calculator and clock, and those that the options allow. Errors say which option is wrong. The box is immutable; its tools
// may be called from any thread.
Result<ToolBox> make_builtin_tools(const BuiltinToolOptions& options);

}  // namespace hanlin::agent
