// A tool that Hanlin itself can run: what it is called with, what it may do, what comes back.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "agent/tool_set.h"
#include "base/json_fwd.h"
#include "base/result.h"

namespace hanlin::agent {

// Who decides whether a call runs; from lax to strict.
enum class Permission {
  kAllow,  // it runs
  kAsk,    // a person is asked, with exactly these arguments
  kDeny,   // it never runs; the model is told so
};

const char* permission_name(Permission permission);  // "allow", "ask", "deny"
std::optional<Permission> permission_by_name(std::string_view name);

// What a call may use. A tool that may take long looks at both again and again.
struct ToolContext {
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  std::stop_token stop = {};  // the run was cancelled
  std::string run_id = {};    // of the agent run, for logs; empty outside of one
};

// Implementations are safe from any thread: calls of one turn run side by side.
class RunnableTool {
 public:
  virtual ~RunnableTool() = default;
  // Name, description and the JSON Schema of the arguments, as the model is told. Never changes.
  virtual const Tool& tool() const = 0;
  // What holds unless the user's settings say otherwise.
  virtual Permission permission() const { return Permission::kAllow; }
  // A person runs it: run() is kUnsupported, and whoever runs tools asks the person for the result instead.
  virtual bool is_manual() const { return false; }
  // The text the model gets to read. `arguments` is an object; the caller has checked it against the schema. Blocks until
  // it is done, the deadline has passed (kDeadlineExceeded) or `stop` is requested (kCancelled). An error's message is
  // written for the model: what was wrong and what to try instead.
  virtual Result<std::string> run(const Json& arguments, const ToolContext& context) = 0;
};

// tool.run(); what a library below the tool throws is an error (kInternal), too.
Result<std::string> run_tool(RunnableTool& tool, const Json& arguments, const ToolContext& context);

// `text`, or its first `max_bytes` bytes (whole code points) and a line that says how much was left out.
std::string cap_text(std::string text, size_t max_bytes);

// The tools of one run, by name. Immutable after it is made; any thread.
class ToolBox {
 public:
  ToolBox() = default;
  // Of two tools with one name the first counts.
  explicit ToolBox(std::vector<std::shared_ptr<RunnableTool>> tools);
  RunnableTool* find(std::string_view name) const;  // null: there is none
  const std::vector<std::shared_ptr<RunnableTool>>& tools() const { return tools_; }
  // The descriptions, in the same order.
  ToolSet descriptions() const;

 private:
  std::vector<std::shared_ptr<RunnableTool>> tools_;
};

}  // namespace hanlin::agent
