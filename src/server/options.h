// Settings of the HTTP service. Every wait has a bound here.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace hanlin::server {

struct ServerOptions {
  std::string host = "127.0.0.1";  // address to listen on; 0.0.0.0 for every interface
  uint16_t port = 8000;            // 0: the system chooses, see Server::port()
  int n_io_threads = 1;            // sockets and formatting only; one is enough for thousands of streams
  int n_submit_threads = 2;        // parse, template and tokenise
  int n_blocking_threads = 8;      // embedding and reranking calls that wait for the model
  int max_connections = 1024;      // more are answered 503
  size_t max_queued_calls = 512;   // requests that wait for one of these threads; more are answered 429
  size_t max_header_bytes = 16 << 10;
  size_t max_body_bytes = size_t{16} << 20;

  std::chrono::milliseconds idle_timeout{75'000};       // between two requests of one connection
  std::chrono::milliseconds header_timeout{10'000};     // from the first byte of a request to the end of its header
  std::chrono::milliseconds body_timeout{60'000};       // the whole body
  std::chrono::milliseconds write_timeout{60'000};      // one write; a reader that stalls longer is dropped
  std::chrono::milliseconds request_timeout{600'000};   // one request, queue included; clients may ask for less
  std::chrono::milliseconds deadline_grace{5'000};      // how much later the session stops waiting for a model
  std::chrono::milliseconds keep_alive_interval{15'000};  // comment lines in a silent stream
  std::chrono::milliseconds drain_timeout{30'000};      // running requests after SIGTERM

  size_t stream_high_water = 256;  // events waiting for a slow reader before its generation pauses
  std::string tool_format = "auto";  // how models write tool calls: a format's name instead of what their templates say
  std::vector<std::string> cors_origins = {};  // "*" or exact origins; empty: browsers of other origins are refused
  std::vector<std::string> api_keys = {};      // empty: open; else one of them as Bearer or x-api-key
  bool log_requests = true;
  bool log_prompts = false;  // request bodies in the log, for debugging only
};

}  // namespace hanlin::server
