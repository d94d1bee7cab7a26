// One conversation with an MCP server: version, requests and their answers, requests of the server.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/mcp/transport.h"

namespace hanlin::agent::mcp {

// Versions spoken: the stateless one, and those that begin with `initialize`, newest first.
inline constexpr const char* kModernVersion = "2026-07-28";
inline constexpr const char* kHandshakeVersions[] = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};

struct SessionOptions {
  bool modern = true;  // ask for the stateless version first; false: begin with `initialize` at once
  std::vector<std::string> roots = {};  // folders that the server is told of when it asks; empty: the capability is not declared
  std::chrono::milliseconds probe_timeout{10000};    // of the question which era a server belongs to
  std::chrono::milliseconds connect_timeout{30000};  // of `initialize`
  std::chrono::milliseconds request_timeout{120000};
};

// Error codes of JSON-RPC and of the protocol.
inline constexpr int64_t kMethodNotFound = -32601, kUnsupportedVersion = -32022;

// The member of an object; null where there is none.
Json member(const Json& object, const char* name);

// A JSON-RPC error that the server answered with.
struct RpcError {
  int64_t code = 0;
  std::string message;
  Json data;
};
using ProgressFn = std::function<void(double progress, double total, const std::string& message)>;  // total 0: unknown

// Safe from any thread after connect(). Request ids count from 1 in our direction; the server's are matched apart from them.
class Session {
 public:
  Session(std::unique_ptr<Transport> transport, SessionOptions options);
  ~Session();

  // Starts the transport and agrees on a version: `server/discover` first; whatever is no sign of a modern server means
  // `initialize`. Errors: kUnavailable, kUnsupported (no version in common), kDeadlineExceeded, kCancelled.
  Status connect(const ToolContext& context);
  // A request and its result. What a modern server needs before it can answer ("input_required") is given when it is something
  // we have. A JSON-RPC error becomes kInvalidArgument with its code and message. On time-out and cancel the server is told.
  Result<Json> request(const std::string& method, Json params, const ToolContext& context, const ProgressFn& progress = {});

  const std::string& version() const { return version_; }  // agreed on; empty before
  bool is_modern() const { return version_ == kModernVersion; }
  const Json& capabilities() const { return capabilities_; }  // of the server
  // Did the server say that its tools have changed since the last call?
  bool take_tools_changed() { return tools_changed_.exchange(false); }
  Status health() const { return transport_->health(); }

 private:
  struct Waiting {
    std::optional<Json> reply;  // the whole message
    ProgressFn progress;
  };
  struct Reply {
    Json result;
    std::optional<RpcError> error;
  };
  Result<Reply> exchange(const std::string& method, Json params, const ToolContext& context, const ProgressFn& progress);
  Status wait_for(int64_t id, const std::string& method, const ToolContext& context);
  Status initialize(const ToolContext& context, bool* modern_after_all);
  Result<bool> discover(const ToolContext& context);  // false: not modern
  void listen();                                      // to changes of a modern server's tools
  void receive(Json message);
  void answer_server(const Json& request);
  std::optional<Json> result_for_server(const std::string& method) const;  // of requests we can answer
  Json client_capabilities() const;
  void notify(const std::string& method, Json params);

  const SessionOptions options_;
  std::string version_;
  Json capabilities_;
  std::atomic<bool> tools_changed_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int64_t, std::shared_ptr<Waiting>> waiting_;
  int64_t next_id_ = 1;
  std::unique_ptr<Transport> transport_;  // its thread uses the others
  std::jthread listener_;                 // uses the transport
};

}  // namespace hanlin::agent::mcp
