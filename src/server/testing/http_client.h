// A small blocking HTTP client for tests, on plain sockets so that it can also misbehave.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace hanlin::server::testing {

struct ClientResponse {
  int status = 0;  // 0: the connection ended before an answer
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
};

// One connection. Reads give up after 60 seconds, so that a broken server fails a test instead of hanging it.
class Client {
 public:
  explicit Client(uint16_t port, int receive_buffer_bytes = 0);
  ~Client();
  Client(const Client&) = delete;

  // False when the server has closed the connection.
  bool send(std::string_view bytes);
  ClientResponse get(const std::string& path, const std::string& more_headers = "");
  ClientResponse post(const std::string& path, const std::string& body, const std::string& more_headers = "");
  void send_post(const std::string& path, const std::string& body, const std::string& more_headers = "");
  ClientResponse read_response(bool without_body = false);
  // Everything up to and including `marker`; what was read when the connection ended first.
  std::string read_until(std::string_view marker);
  bool at_end();  // waits until the server closes (true) or sends something (false)
  void close();
  void shutdown_send();

 private:
  bool fill();
  std::string take(size_t n);

  int fd_ = -1;
  std::string pending_;
};

// The bytes inside chunked transfer coding.
std::string join_chunks(std::string_view chunked);

}  // namespace hanlin::server::testing
