// How messages of the Model Context Protocol travel.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/runnable_tool.h"
#include "base/json.h"

namespace hanlin::agent::mcp {

// Pauses before a stream of the server's own messages is opened again.
inline constexpr std::chrono::milliseconds kFirstPause{500}, kLongestPause{30000};

// Called with every message that comes: on a thread of the transport, or on the sender's inside send(). null means: look at
// health(), the connection is gone.
using MessageSink = std::function<void(Json)>;

// One connection to a server. send() is safe from any thread.
class Transport {
 public:
  virtual ~Transport() = default;  // ends the connection; the sink is not called afterwards
  // Connects. Called once, before everything else.
  virtual Status start(MessageSink sink) = 0;
  // Sends a request, reply or notification. Over HTTP it returns when the answer has come, and the sink has had it; else at
  // once. Errors: kUnavailable (the connection is gone), kInvalidArgument (the server refused the message as such, HTTP 4xx),
  // kDeadlineExceeded, kCancelled.
  virtual Status send(const Json& message, const ToolContext& context) = 0;
  // Why the connection is gone; success while it stands. With what the server last wrote to stderr.
  virtual Status health() const = 0;
  // From now on messages belong to this protocol version.
  virtual void set_version(const std::string& version) = 0;
};
using TransportFactory = std::function<Result<std::unique_ptr<Transport>>()>;

// A program that speaks line by line on stdin and stdout. It gets a process group of its own, which is ended as a whole.
struct StdioServer {
  std::vector<std::string> argv;
  std::vector<std::pair<std::string, std::string>> environment = {};
  std::string folder = {};
  size_t max_message_bytes = 16 << 20;
};
std::unique_ptr<Transport> make_stdio_transport(StdioServer server);

// Streamable HTTP at `url`, with further headers such as Authorization.
struct HttpServer {
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers = {};
  size_t max_message_bytes = 16 << 20;
};
Result<std::unique_ptr<Transport>> make_http_transport(HttpServer server);

}  // namespace hanlin::agent::mcp
