// A scripted HTTP service on a loopback port for tests, and what collects an answer. Real sockets; a thread a connection.
#pragma once

#include <sys/socket.h>
#include <sys/time.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "api/generate.h"
#include "base/json.h"
#include "base/unique_fd.h"
#include "net/test_server.h"
#include "remote/options.h"

namespace hanlin::remote {

struct TestRequest {
  std::string head, body;
  Json json() const { return parse_json(body).value(); }
};
struct TestReply {
  std::string bytes;
  bool hold = false;  // afterwards the connection stays open until the client closes it
};

class TestService {
 public:
  struct Counts {
    int n_requests = 0;
    int n_closed = 0;   // held connections that the client has closed
    int n_blocked = 0;  // times that the client took nothing for a while
  };
  // `answer` gets each request and how many came before it.
  explicit TestService(std::function<TestReply(const TestRequest&, int)> answer) : answer_(std::move(answer)) {
    listener_ = net::listen_on_loopback(&port_);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~TestService() {
    shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const auto& peer : peers_) shutdown(peer->get(), SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
  }

  std::string base() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  // Options with short waits between tries.
  RemoteOptions options() const {
    RemoteOptions options{.name = "far", .base_url = base(), .model = "m"};
    options.first_backoff = std::chrono::milliseconds(1);
    options.max_running = 4;
    return options;
  }
  std::vector<TestRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  Counts counts() const {
    const std::lock_guard lock(mutex_);
    return counts_;
  }
  void wait_until(const std::function<bool(const Counts&)>& done) const {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done(counts_); });
  }

 private:
  void accept_all() {
    while (true) {
      auto peer = std::make_shared<UniqueFd>(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!*peer) return;
      const std::lock_guard lock(mutex_);
      peers_.push_back(peer);
      threads_.emplace_back([this, peer] { serve(*peer); });
    }
  }
  void count(int Counts::* counter) {
    const std::lock_guard lock(mutex_);
    ++(counts_.*counter);
    changed_.notify_all();
  }
  void serve(UniqueFd& peer) {
    std::string bytes;
    if (!net::receive_request(peer.get(), &bytes)) return;
    const size_t end = bytes.find("\r\n\r\n");
    const TestRequest request{bytes.substr(0, end), bytes.substr(end + 4)};
    int n_before = 0;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
      n_before = counts_.n_requests++;
      changed_.notify_all();
    }
    const TestReply reply = answer_(request, n_before);
    const timeval patience{.tv_sec = 0, .tv_usec = 200'000};
    setsockopt(peer.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    bool open = true;
    for (size_t at = 0; open && at < reply.bytes.size();) {
      const ssize_t n = send(peer.get(), reply.bytes.data() + at, reply.bytes.size() - at, MSG_NOSIGNAL);
      if (n > 0) at += static_cast<size_t>(n);
      else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) count(&Counts::n_blocked);
      else open = false;
    }
    char byte;
    if (reply.hold) {
      while (open && recv(peer.get(), &byte, 1, 0) > 0) {}
      count(&Counts::n_closed);
    }
    shutdown(peer.get(), SHUT_RDWR);
  }
  const std::function<TestReply(const TestRequest&, int)> answer_;
  UniqueFd listener_;
  int port_ = 0;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<TestRequest> requests_;
  Counts counts_;
  std::vector<std::shared_ptr<UniqueFd>> peers_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

// An answer of a status with a JSON body.
inline TestReply json_reply(const std::string& json, const std::string& status = "200 OK", const std::string& headers = "") {
  return {"HTTP/1.1 " + status + "\r\nContent-Type: application/json\r\n" + headers + "Content-Length: " + std::to_string(json.size()) + "\r\n\r\n" + json};
}
inline TestReply refusal(const std::string& status, const std::string& headers = "") {
  return json_reply(R"({"error":{"message":"not today","type":"some_error","param":"p","code":null}})", status, headers);
}
// The events with these data; the stream ends with the connection.
inline std::string event_stream(const std::vector<std::string>& events) {
  std::string bytes = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
  for (const std::string& event : events) bytes += "data: " + event + "\n\n";
  return bytes;
}
inline std::string delta_chunk(const std::string& delta, const std::string& finish = "null", int index = 0) {
  return R"({"object":"chat.completion.chunk","choices":[{"index":)" + std::to_string(index) + R"(,"delta":)" + delta + R"(,"finish_reason":)" + finish + "}]}";
}
inline std::string text_chunk(const std::string& text) { return delta_chunk(dump_json({{"content", text}})); }
inline const std::string kUsageChunk = R"({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":3}}})";
// A complete answer.
inline TestReply said(const std::string& text) {
  return {event_stream({delta_chunk(R"({"role":"assistant","content":""})"), text_chunk(text), delta_chunk("{}", R"("stop")"), kUsageChunk, "[DONE]"})};
}

// Receives the events of one request.
class Collector {
 public:
  api::TokenSink sink() {
    return [this](api::TokenEvent&& event) {
      const std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
      changed_.notify_all();
    };
  }
  void wait_for_text(const std::string& text) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return text_of(0) == text; });
  }
  // All events up to the last.
  const std::vector<api::TokenEvent>& wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !events_.empty() && events_.back().last; });
    return events_;
  }
  std::string text(int choice = 0) {
    wait();
    return text_of(choice);
  }
  const api::TokenEvent& last() { return wait().back(); }

 private:
  std::string text_of(int choice) const {
    std::string text;
    for (const api::TokenEvent& event : events_) text += event.choice_idx == choice ? event.text : "";
    return text;
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<api::TokenEvent> events_;
};

inline api::GenerateRequest chat_request(const std::string& text = "Hello") {
  api::GenerateRequest request;
  request.prompt = api::ChatPrompt{.messages = {{"user", text}}};
  return request;
}

}  // namespace hanlin::remote
