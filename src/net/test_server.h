// A real HTTP server on a loopback port for tests: one thread, blocking sockets, one answer a connection.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"

namespace hanlin::net {

// A listening socket on a free loopback port; 0 in `port`: there is none.
inline UniqueFd listen_on_loopback(int* port) {
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  socklen_t size = sizeof address;
  const bool up = bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(listener.get(), 64) == 0 &&
                  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0;
  *port = up ? ntohs(address.sin_port) : 0;
  return listener;
}

// Reads one request, head and body. False: the client was gone before it was complete.
inline bool receive_request(int peer, std::string* request) {
  while (true) {
    const size_t head = request->find("\r\n\r\n");
    if (head != std::string::npos) {
      const size_t length = request->find("Content-Length: ");
      const size_t n_body = length < head ? std::stoul(request->substr(length + 16)) : 0;
      if (request->size() >= head + 4 + n_body) return true;
    }
    char block[4096];
    const ssize_t n = recv(peer, block, sizeof block, 0);
    if (n <= 0) return false;
    request->append(block, static_cast<size_t>(n));
  }
}

class TestServer {
 public:
  // `answer` gets the whole request and gives the bytes to send; an empty text leaves the client waiting until the end.
  explicit TestServer(std::function<std::string(const std::string& request)> answer) : answer_(std::move(answer)) {
    listener_ = listen_on_loopback(&port_);
    thread_ = std::thread([this] { serve(); });
  }
  ~TestServer() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  int port() const { return port_; }
  std::string base() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    std::vector<UniqueFd> waiting;
    while (true) {
      UniqueFd peer(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer) return;
      std::string request;
      receive_request(peer.get(), &request);
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      const std::string answer = answer_(request);
      if (answer.empty()) waiting.push_back(std::move(peer));
      else for (size_t at = 0; at < answer.size();) {
        const ssize_t n = send(peer.get(), answer.data() + at, answer.size() - at, MSG_NOSIGNAL);
        if (n <= 0) break;
        at += static_cast<size_t>(n);
      }
    }
  }
  const std::function<std::string(const std::string&)> answer_;
  UniqueFd listener_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

// An answer with a body and its length.
inline std::string http_ok(const std::string& body, const std::string& type = "text/plain", const std::string& status = "200 OK") {
  return "HTTP/1.1 " + status + "\r\nContent-Type: " + type + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace hanlin::net
