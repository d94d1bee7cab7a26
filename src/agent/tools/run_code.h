// The tools "python" and "shell": programs that the model writes, run in the sandbox.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/runnable_tool.h"
#include "agent/sandbox/sandbox.h"

namespace hanlin::agent {

struct RunCodeOptions {
  SandboxKind kind = SandboxKind::kNative;
  SandboxLimits limits = {};
  std::vector<SandboxMount> mounts = {};
  std::string python = "/usr/bin/python3";  // below /usr, which the sandbox shows
};

// kUnsupported: a layer of the sandbox is missing (its name is in the message), or there is no such program. Their permission
// is kAllow: nothing that they do outlives the call or reaches the machine.
Result<std::shared_ptr<RunnableTool>> make_python(const RunCodeOptions& options);
Result<std::shared_ptr<RunnableTool>> make_shell(const RunCodeOptions& options);

// What the model reads of a finished process: output, errors, how it ended if not well, and what was cut.
std::string describe_output(const ProcessOutput& output, const SandboxLimits& limits);

}  // namespace hanlin::agent
