// An MCP server's tools as tools of Hanlin.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/mcp/session.h"
#include "agent/runnable_tool.h"

namespace hanlin::agent::mcp {

struct ClientOptions {
  std::string name;    // for messages
  std::string prefix;  // before the names of its tools, such as "files_"
  SessionOptions session = {};
  size_t max_result_bytes = 64 << 10;
  size_t max_tools = 512;
  // What others' programs do is for a person to decide, unless the user has said that he trusts this server.
  Permission permission = Permission::kAsk;
  std::chrono::milliseconds first_retry{500}, longest_retry{30000};  // pause before a new connection, doubled each time
};

// A connection that comes back: when the server has gone, the next call starts it again, no sooner than the back-off allows.
// Safe from any thread. Made by std::make_shared: its tools keep it alive.
class Client : public std::enable_shared_from_this<Client> {
 public:
  Client(ClientOptions options, TransportFactory transport);

  // The server's tools; asked for again when it said that they changed, or when its answer has grown too old. A tool whose
  // description no model can use is left out, with a line in the log. Errors as Session.
  Result<std::vector<std::shared_ptr<RunnableTool>>> tools(const ToolContext& context);
  // The text of the result of a tool under its own name (without prefix). A result that is marked as an error is an Error.
  Result<std::string> call(const std::string& tool, const Json& arguments, const ToolContext& context, const ProgressFn& progress = {});
  // The version in use; empty while there is no connection.
  std::string version() const;
  const ClientOptions& options() const { return options_; }

 private:
  struct ServerTool {
    std::string own_name;
    Tool tool;
  };
  Result<std::vector<ServerTool>> list(const ToolContext& context, std::chrono::steady_clock::time_point* stale_at);
  Result<std::shared_ptr<Session>> session(const ToolContext& context);
  Result<Json> request(const std::string& method, const Json& params, const ToolContext& context, const ProgressFn& progress = {});

  const ClientOptions options_;
  const TransportFactory transport_;
  mutable std::mutex mutex_;
  std::shared_ptr<Session> session_;
  std::optional<std::vector<ServerTool>> tools_;
  std::chrono::steady_clock::time_point tools_stale_at_{}, retry_at_{};
  std::chrono::milliseconds pause_{0};
  Error last_error_{};
  std::timed_mutex connecting_;
};

// What a model reads of a tools/call result: texts as they are, other content by kind and size; cut at `max_bytes`.
std::string result_text(const Json& result, size_t max_bytes);
// A name that models may use: prefix and name, other characters replaced by "_", at most 64.
std::string tool_name(const std::string& prefix, const std::string& name);

}  // namespace hanlin::agent::mcp
