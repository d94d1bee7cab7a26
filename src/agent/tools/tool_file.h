// Your own tools: a JSON file that describes them, or an OpenAPI document. docs/TOOLS.md explains the format with examples.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/runnable_tool.h"
#include "agent/sandbox/sandbox.h"
#include "agent/tools/json_place.h"

namespace hanlin::agent {

// Where "${NAME}" comes from; nullptr: there is no such variable. Empty: the process's environment.
using EnvironmentFn = std::function<const char*(const char* name)>;

struct ToolFileOptions {
  EnvironmentFn environment = {};
  size_t max_result_bytes = 64 << 10;
  SandboxKind sandbox = SandboxKind::kNative;  // of commands that ask for one
  SandboxLimits sandbox_limits = {};
};

// The tools of the file at `path`: one tool, a list of tools, or, if the document has "openapi", one tool for each operation with
// an operationId. Each tool is OpenAI's {"type": "function", "function": {…}} or {"name", "description", "parameters"}, with
// "permission" and at most one of "http", "command" and "result" beside that; with none a person runs it (is_manual()).
// Errors: kNotFound, kIo (no such file), kCorrupt (no JSON), kInvalidArgument ("file#/0/http/url: expected …, got …"; also a
// variable that the environment lacks), kUnsupported (something of OpenAPI that Hanlin does not do, with its place).
Result<std::vector<std::shared_ptr<RunnableTool>>> load_tool_file(const std::string& path, const ToolFileOptions& options = {});

// "${NAME}" replaced by the variable's value. kInvalidArgument with the name of the variable, never with a value.
Result<std::string> expand_environment(const JsonPlace& place, const EnvironmentFn& environment);
// "allow", "ask" or "deny".
Result<Permission> read_permission(const JsonPlace& place);
// The top-level defaults of a schema of arguments.
Json schema_defaults(const Json& schema);

}  // namespace hanlin::agent
