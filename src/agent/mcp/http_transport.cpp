#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "agent/mcp/transport.h"
#include "net/event_reader.h"
#include "net/http_call.h"

namespace hanlin::agent::mcp {
namespace {

using net::HttpAnswer;

class HttpTransport final : public Transport {
 public:
  HttpTransport(HttpServer server, hub::Url url) : server_(std::move(server)), url_(std::move(url)), rules_(net::rules_for_server(url_)) {}
  ~HttpTransport() override {
    listener_ = {};  // stops and waits
    if (session().empty()) return;
    // The server may forget the session; whether it does is its affair.
    const auto answer = net::http_call({.method = "DELETE", .url = url_, .headers = headers_of(Json())}, rules_, net::within({}, std::chrono::seconds(1)), 1000);
    static_cast<void>(answer.ok());
  }

  Status start(MessageSink sink) override {
    sink_ = std::move(sink);
    return {};
  }
  void set_version(const std::string& version) override {
    const std::lock_guard lock(mutex_);
    version_ = version;
  }
  Status health() const override {
    const std::lock_guard lock(mutex_);
    return health_;
  }

  Status send(const Json& message, const ToolContext& context) override {
    HANLIN_TRY(health());
    const bool wants_answer = message.contains("method") && message.contains("id");
    net::HttpCall call{.method = "POST", .url = url_, .headers = headers_of(message), .body = dump_json(message)};
    net::EventReader events;
    bool is_stream = false, answered = false;
    std::string body;
    const auto take = [&](const std::string& text) {
      auto received = parse_json(text);
      if (!received.ok()) return;
      answered |= received->is_object() && !received->contains("method") && received->contains("id") && message.contains("id") && (*received)["id"] == message["id"];
      sink_(std::move(received).value());
    };
    net::HttpSinks sinks;
    sinks.on_head = [&](const HttpAnswer& answer) -> Status {
      is_stream = answer.header("content-type").starts_with("text/event-stream");
      if (const std::string id = answer.header("mcp-session-id"); !id.empty()) {
        const std::lock_guard lock(mutex_);
        session_ = id;
      }
      return {};
    };
    sinks.on_body = [&](std::string_view bytes) -> Result<bool> {
      if (is_stream) {
        HANLIN_TRY(events.feed(bytes, server_.max_message_bytes, take));
        return !answered;
      }
      if (body.size() + bytes.size() > server_.max_message_bytes) {
        return Error{Code::kResourceExhausted, fmt::format("{}: a message of more than {} bytes", url_.shown(), server_.max_message_bytes)};
      }
      body.append(bytes);
      return true;
    };
    HANLIN_ASSIGN(const HttpAnswer answer, net::http_call(call, rules_, {context.deadline, context.stop}, sinks));
    if (!is_stream && wants_answer && body.find('{') != std::string::npos) take(body);
    if (!answered && (wants_answer || answer.status / 100 != 2)) return refusal(answer, body);
    if (message.contains("method") && message["method"] == "notifications/initialized") listen();
    return {};
  }

 private:
  // Since 2025-03-26 a GET brings what the server sends of itself, for as long as it stays open; a server need not offer that.
  void listen() {
    listener_ = std::jthread([this](const std::stop_token& stop) {
      auto pause = kFirstPause;
      while (!stop.stop_requested() && health().ok()) {
        bool heard = false;
        if (!listen_once(stop, &heard)) return;
        pause = heard ? kFirstPause : std::min(pause * 2, kLongestPause);
        std::mutex mutex;
        std::unique_lock lock(mutex);
        std::condition_variable_any().wait_for(lock, stop, pause, [] { return false; });
      }
    });
  }
  // False: it is no use to try again.
  bool listen_once(const std::stop_token& stop, bool* heard) {
    net::EventReader events;
    bool is_stream = false;
    net::HttpSinks sinks;
    sinks.on_head = [&](const HttpAnswer& answer) -> Status {
      is_stream = answer.status == 200 && answer.header("content-type").starts_with("text/event-stream");
      return {};
    };
    sinks.on_body = [&](std::string_view bytes) -> Result<bool> {
      if (!is_stream) return false;
      HANLIN_TRY(events.feed(bytes, server_.max_message_bytes, [&](const std::string& text) {
        auto received = parse_json(text);
        *heard = true;
        if (received.ok()) sink_(std::move(received).value());
      }));
      return true;
    };
    net::HttpCall call{.url = url_, .headers = headers_of(Json())};
    std::erase_if(call.headers, [](const auto& header) { return header.first == "Content-Type" || header.first == "Accept"; });
    call.headers.emplace_back("Accept", "text/event-stream");
    const auto answer = net::http_call(call, rules_, {.stop = stop}, sinks);
    return !answer.ok() || is_stream || answer->status >= 500;
  }

  // What an answer without our reply in it means.
  Status refusal(const HttpAnswer& answer, const std::string& body) {
    if (answer.status == 404 && !session().empty()) {
      const std::lock_guard lock(mutex_);
      return health_ = Error{Code::kUnavailable, url_.shown() + ": the server has forgotten the session"};
    }
    if (answer.status / 100 == 2) return Error{Code::kUnavailable, fmt::format("{}: the answer ended without a reply", url_.shown())};
    const char* hint = answer.status == 401 || answer.status == 403 ? " (set an Authorization header)" : "";
    const Code code = answer.status >= 500 || answer.status == 429 ? Code::kUnavailable : Code::kInvalidArgument;
    return Error{code, fmt::format("{}: HTTP {}{}{}{}", url_.shown(), answer.status, hint, body.empty() ? "" : ": ", body.substr(0, 300))};
  }
  std::string session() const {
    const std::lock_guard lock(mutex_);
    return session_;
  }

  std::vector<std::pair<std::string, std::string>> headers_of(const Json& message) const {
    auto headers = server_.headers;
    headers.emplace_back("Content-Type", "application/json");
    headers.emplace_back("Accept", "application/json, text/event-stream");
    const std::lock_guard lock(mutex_);
    if (!version_.empty()) headers.emplace_back("MCP-Protocol-Version", version_);
    if (!session_.empty()) headers.emplace_back("Mcp-Session-Id", session_);
    // Since 2026-07-28 method and name stand in headers too, for whatever routes without reading bodies.
    if (version_ >= "2026" && message.is_object() && message.contains("method")) {
      headers.emplace_back("Mcp-Method", message["method"].get<std::string>());
      if (message["method"] == "tools/call") headers.emplace_back("Mcp-Name", message["params"]["name"].get<std::string>());
    }
    return headers;
  }

  const HttpServer server_;
  const hub::Url url_;
  const net::HttpRules rules_;
  MessageSink sink_;
  mutable std::mutex mutex_;
  std::string version_, session_;
  Status health_;
  std::jthread listener_;  // last: it uses the others
};

}  // namespace

Result<std::unique_ptr<Transport>> make_http_transport(HttpServer server) {
  HANLIN_ASSIGN(hub::Url url, hub::parse_url(server.url));
  return std::unique_ptr<Transport>(std::make_unique<HttpTransport>(std::move(server), std::move(url)));
}

}  // namespace hanlin::agent::mcp
