// One request on its way through the session: what came, where its generation delivers, what will be logged.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "server/connection.h"
#include "server/core.h"
#include "server/endpoint.h"
#include "server/router.h"

namespace hanlin::server {

// Lives on the connection's strand; handlers on pool threads only read `request`, `request_id` and `channel`.
struct Exchange : std::enable_shared_from_this<Exchange> {
  Exchange(Core& core_in, std::shared_ptr<Connection> connection_in, HttpRequest request_in);
  ~Exchange();

  Core& core;
  const std::shared_ptr<Connection> connection;
  const HttpRequest request;
  const std::string request_id;
  const std::chrono::steady_clock::time_point received;
  bool keep_alive = true;

  // Generations. Every change of the channel wakes the connection and checks the pressure.
  std::shared_ptr<EventChannel> channel;
  std::vector<std::shared_ptr<api::Generation>> generations;
  void open_channel();
  void cancel_generations();  // and listen no more
  void pause_if_pressed();    // above the high-water mark
  void resume_if_paused();

  // For the log line and the metrics.
  std::string endpoint = "other";
  std::string model;
  int status = 0;
  int64_t n_bytes_sent = 0;
  api::Usage usage;
  std::optional<std::chrono::steady_clock::time_point> first_token, last_token;
  int64_t n_tokens_seen = 0;
  void finish();  // writes both; once

 private:
  bool paused_ = false;
  bool finished_ = false;
};

}  // namespace hanlin::server
