#include "server/testing/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

namespace hanlin::server::testing {

Client::Client(uint16_t port, int receive_buffer_bytes) {
  fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
  if (receive_buffer_bytes > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  const timeval limit{60, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) close();
}

Client::~Client() { close(); }

void Client::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void Client::shutdown_send() { ::shutdown(fd_, SHUT_WR); }

bool Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

bool Client::fill() {
  char buffer[16384];
  const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
  if (n > 0) pending_.append(buffer, static_cast<size_t>(n));
  return n > 0;
}

std::string Client::take(size_t n) {
  std::string taken = pending_.substr(0, n);
  pending_.erase(0, taken.size());
  return taken;
}

std::string Client::read_until(std::string_view marker) {
  size_t searched = 0;
  while (true) {
    const size_t found = pending_.find(marker, searched);
    if (found != std::string::npos) return take(found + marker.size());
    searched = pending_.size() > marker.size() ? pending_.size() - marker.size() : 0;
    if (!fill()) return take(pending_.size());
  }
}

bool Client::at_end() { return pending_.empty() && !fill(); }

ClientResponse Client::get(const std::string& path, const std::string& more_headers) {
  send("GET " + path + " HTTP/1.1\r\nHost: test\r\n" + more_headers + "\r\n");
  return read_response();
}

void Client::send_post(const std::string& path, const std::string& body, const std::string& more_headers) {
  send("POST " + path + " HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
       more_headers + "\r\n" + body);
}

ClientResponse Client::post(const std::string& path, const std::string& body, const std::string& more_headers) {
  send_post(path, body, more_headers);
  return read_response();
}

ClientResponse Client::read_response(bool without_body) {
  ClientResponse response;
  const std::string head = read_until("\r\n\r\n");
  if (!head.starts_with("HTTP/1.1 ")) return response;
  response.status = std::atoi(head.c_str() + 9);
  for (size_t at = head.find("\r\n") + 2; at + 2 < head.size();) {
    const size_t end = head.find("\r\n", at), colon = head.find(':', at);
    std::string name = head.substr(at, colon - at);
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    response.headers[name] = head.substr(colon + 2, end - colon - 2);
    at = end + 2;
  }
  if (without_body || response.status == 204 || response.status == 304 || response.status == 100) return response;
  if (const auto length = response.headers.find("content-length"); length != response.headers.end()) {
    const auto n = static_cast<size_t>(std::atoll(length->second.c_str()));
    while (pending_.size() < n && fill()) {}
    response.body = take(n);
  } else if (response.headers.contains("transfer-encoding")) {
    response.body = join_chunks(read_until("\r\n0\r\n\r\n"));
  } else {
    while (fill()) {}
    response.body = take(pending_.size());
  }
  return response;
}

std::string join_chunks(std::string_view chunked) {
  std::string joined;
  while (true) {
    const size_t line = chunked.find("\r\n");
    if (line == std::string_view::npos) return joined;
    const size_t n = std::strtoul(std::string(chunked.substr(0, line)).c_str(), nullptr, 16);
    if (n == 0) return joined;
    joined += chunked.substr(line + 2, n);
    chunked.remove_prefix(std::min(chunked.size(), line + 2 + n + 2));
  }
}

}  // namespace hanlin::server::testing
