// What all sessions of one server share.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>

#include "agent/chat_style.h"
#include "api/models.h"
#include "base/task_pool.h"
#include "server/metrics.h"
#include "server/options.h"

namespace hanlin::agent {
class RunService;
}

namespace hanlin::server {

class Connection;

// Outlives every session. Members are constant or safe from any thread.
struct Core {
  Core(ServerOptions options_in, std::shared_ptr<const api::ModelSet> models_in, std::shared_ptr<agent::RunService> runs_in);

  const ServerOptions options;
  const std::shared_ptr<const api::ModelSet> models;
  const std::shared_ptr<agent::RunService> runs;  // null: no agents
  Metrics metrics;
  agent::ChatStyles chat_styles;  // how each model's template handles tools
  TaskPool submit_pool;    // parse, template, tokenise
  TaskPool blocking_pool;  // calls that wait for a model
  std::atomic<bool> draining{false};

  // False, and not added, when max_connections are open or the server is stopping.
  bool add_connection(const std::shared_ptr<Connection>& connection);
  void remove_connection(const std::shared_ptr<Connection>& connection);
  std::set<std::shared_ptr<Connection>> connections() const;
  void refuse_connections();  // from now on
  bool wait_no_connections(std::chrono::milliseconds timeout);

  void request_started();
  void request_ended();
  bool wait_no_requests(std::chrono::milliseconds timeout);

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::shared_ptr<Connection>> connections_;
  int64_t n_requests_ = 0;
  bool refusing_ = false;
};

}  // namespace hanlin::server
