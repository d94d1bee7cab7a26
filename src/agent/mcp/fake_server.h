// A server inside the test: answers each message with others, at once, on the sender's thread.
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "agent/mcp/transport.h"

namespace hanlin::agent::mcp {

struct FakeServer {
  // What the server sends when it gets `message`; "null" as an answer ends the connection.
  std::function<std::vector<Json>(const Json& message)> answer;
  std::mutex mutex;
  std::vector<Json> received;
  std::string version;
  int n_starts = 0;
  MessageSink sink;  // of the last connection

  std::vector<Json> of_method(const std::string& method) {
    const std::lock_guard lock(mutex);
    std::vector<Json> found;
    for (const Json& message : received) {
      if (message.contains("method") && message["method"] == method) found.push_back(message);
    }
    return found;
  }
};

class FakeTransport final : public Transport {
 public:
  explicit FakeTransport(FakeServer* server) : server_(server) {}
  Status start(MessageSink sink) override {
    ++server_->n_starts;
    server_->sink = std::move(sink);
    return {};
  }
  Status send(const Json& message, const ToolContext&) override {
    if (gone_) return health();
    {
      const std::lock_guard lock(server_->mutex);
      server_->received.push_back(message);
    }
    for (Json& reply : server_->answer(message)) {
      if (reply.is_null()) gone_ = true;
      server_->sink(std::move(reply));
    }
    return {};
  }
  Status health() const override { return gone_ ? Status(Error{Code::kUnavailable, "fake: the server has ended"}) : Status(); }
  void set_version(const std::string& version) override { server_->version = version; }

 private:
  FakeServer* const server_;
  std::atomic<bool> gone_ = false;
};

inline Json reply_to(const Json& message, Json result) { return {{"jsonrpc", "2.0"}, {"id", message["id"]}, {"result", std::move(result)}}; }
inline Json error_to(const Json& message, int code, Json data = Json()) {
  Json error{{"code", code}, {"message", "no"}};
  if (!data.is_null()) error["data"] = std::move(data);
  return {{"jsonrpc", "2.0"}, {"id", message["id"]}, {"error", error}};
}

}  // namespace hanlin::agent::mcp
