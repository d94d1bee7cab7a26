#include "server/core.h"

#include "server/connection.h"

namespace hanlin::server {

Core::Core(ServerOptions options_in, std::shared_ptr<const api::ModelSet> models_in, std::shared_ptr<agent::RunService> runs_in)
    : options(std::move(options_in)),
      models(std::move(models_in)),
      runs(std::move(runs_in)),
      metrics(models),
      chat_styles(options.tool_format),
      submit_pool(options.n_submit_threads, options.max_queued_calls),
      blocking_pool(options.n_blocking_threads, options.max_queued_calls) {}

bool Core::add_connection(const std::shared_ptr<Connection>& connection) {
  const std::lock_guard lock(mutex_);
  if (refusing_ || connections_.size() >= static_cast<size_t>(options.max_connections)) return false;
  connections_.insert(connection);
  return true;
}

void Core::remove_connection(const std::shared_ptr<Connection>& connection) {
  const std::lock_guard lock(mutex_);
  connections_.erase(connection);
  changed_.notify_all();
}

std::set<std::shared_ptr<Connection>> Core::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_;
}

void Core::refuse_connections() {
  const std::lock_guard lock(mutex_);
  refusing_ = true;
}

bool Core::wait_no_connections(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, timeout, [this] { return connections_.empty(); });
}

void Core::request_started() {
  const std::lock_guard lock(mutex_);
  ++n_requests_;
}

void Core::request_ended() {
  const std::lock_guard lock(mutex_);
  --n_requests_;
  changed_.notify_all();
}

bool Core::wait_no_requests(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, timeout, [this] { return n_requests_ == 0; });
}

}  // namespace hanlin::server
