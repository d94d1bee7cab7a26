// Hanlin's tools for other programs: a server of the Model Context Protocol.
#pragma once

#include <chrono>
#include <functional>
#include <iosfwd>
#include <map>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>

#include "agent/runnable_tool.h"
#include "base/json.h"

namespace hanlin::agent::mcp {

struct ServerOptions {
  std::string version = "0.1";      // of this program, as clients are told
  std::string instructions = {};    // what a client may tell its model about these tools; empty: nothing
  std::chrono::milliseconds call_timeout{300000};
  std::chrono::milliseconds grace{10000};  // how long calls may go on after the client has closed its side
  size_t page_size = 100;           // tools in one answer to tools/list
  size_t max_message_bytes = 16 << 20;
  // Whether a call's arguments follow the tool's schema; its message is written for the model. Empty: the tools look themselves.
  std::function<Status(const Tool& tool, const Json& arguments)> check = {};
};

// One conversation: initialize, ping, tools/list, tools/call and cancelling for 2024-11-05 to 2025-11-25, and the stateless
// 2026-07-28 with server/discover, told apart by each request's _meta. Tools that are denied are not shown; whether a call of one
// that asks may run is for the client to ask its user, as the protocol has it. Safe from any thread.
class Server {
 public:
  explicit Server(ToolBox box, ServerOptions options = {});

  // Takes a message of the client and gives the reply: null where none is due (notifications, replies, cancelled requests). A list
  // of messages (2025-03-26) gives a list. Blocks while a tool runs. What the client gets wrong is an error in the reply.
  Json handle(const Json& message);
  // Whether handle() may block on this message: it calls a tool.
  static bool may_block(const Json& message);
  // Every call that runs, and every later one, is told to stop.
  void cancel_all();
  const ServerOptions& options() const { return options_; }

 private:
  struct Request {
    Json id;
    std::string method;
    Json params;
    bool is_modern;
  };
  Json handle_one(const Json& message);
  Json answer(const Request& request);
  Json initialize(const Request& request);
  Json discover() const;
  Json list(const Request& request) const;
  Json call(const Request& request);
  Json result_of_call(RunnableTool& tool, const Json& arguments, std::stop_token stop) const;
  Json server_info() const;

  const ToolBox box_;
  const ServerOptions options_;
  std::mutex mutex_;
  std::map<std::string, std::stop_source> running_;  // by request id, as JSON
  std::set<std::string> cancelled_early_;            // ids that were cancelled before their call began
  bool closing_ = false;
};

// Serves one client line by line until `in` ends: calls of tools run beside each other, everything else is answered at once. Then calls
// have the grace of the options to finish, and are stopped. What is no JSON is answered with an error; a line that is too long ends the conversation
// (kResourceExhausted). Nothing else may write to `out`.
Status serve_stdio(Server& server, std::istream& in, std::ostream& out);

}  // namespace hanlin::agent::mcp
