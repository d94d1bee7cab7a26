#include "server/exchange.h"

#include <boost/asio/post.hpp>

#include "base/json.h"
#include "base/log.h"
#include "server/response_head.h"

namespace hanlin::server {
namespace {

constexpr size_t kMaxLoggedBody = 4096;

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}
double rounded_ms(double seconds) { return static_cast<double>(static_cast<int64_t>(seconds * 1e4)) / 10; }

}  // namespace

Exchange::Exchange(Core& core_in, std::shared_ptr<Connection> connection_in, HttpRequest request_in)
    : core(core_in),
      connection(std::move(connection_in)),
      request(std::move(request_in)),
      request_id(choose_request_id(request)),
      received(std::chrono::steady_clock::now()) {
  core.request_started();
}

Exchange::~Exchange() {
  // Not finished: the session ended by an exception, or the whole server did.
  if (!finished_) cancel_generations();
  if (channel) channel->close();
  core.request_ended();
}

void Exchange::open_channel() {
  const std::weak_ptr<Exchange> weak = weak_from_this();
  // The lambda is destroyed by close(), at the latest in our destructor, so the executor does not outlive the server.
  channel = std::make_shared<EventChannel>([weak, executor = connection->executor()] {
    asio::post(executor, [weak] {
      const std::shared_ptr<Exchange> self = weak.lock();
      if (!self) return;
      self->pause_if_pressed();
      self->connection->wake();
    });
  });
}

void Exchange::cancel_generations() {
  if (channel) channel->close();
  for (const auto& generation : generations) generation->cancel();
}

void Exchange::pause_if_pressed() {
  if (paused_ || generations.empty() || channel->n_waiting() < core.options.stream_high_water) return;
  paused_ = true;
  for (const auto& generation : generations) generation->set_paused(true);
}

void Exchange::resume_if_paused() {
  if (!paused_) return;
  paused_ = false;
  for (const auto& generation : generations) generation->set_paused(false);
}

void Exchange::finish() {
  if (std::exchange(finished_, true)) return;
  const auto now = std::chrono::steady_clock::now();
  const double total = seconds_between(received, now);
  core.metrics.request_done(endpoint, status, total);
  if (first_token && !model.empty()) {
    core.metrics.first_token(model, seconds_between(received, *first_token));
    if (n_tokens_seen > 1) {
      core.metrics.per_token(model, seconds_between(*first_token, *last_token) / static_cast<double>(n_tokens_seen - 1));
    }
  }
  if (!core.options.log_requests) return;
  Json line = {{"id", request_id}, {"method", request.method}, {"route", endpoint}, {"status", status}, {"total_ms", rounded_ms(total)}};
  if (!model.empty()) {
    line["model"] = model;
    line["prompt_tokens"] = usage.prompt_tokens;
    line["cached_tokens"] = usage.cached_tokens;
    line["completion_tokens"] = usage.completion_tokens;
  }
  if (first_token) line["ttft_ms"] = rounded_ms(seconds_between(received, *first_token));
  if (core.options.log_prompts) line["body"] = request.body.substr(0, kMaxLoggedBody);
  // Probes and scrapes come every few seconds and say nothing while all is well.
  const bool is_probe = status == 200 && (endpoint.starts_with("/health") || endpoint == "/metrics");
  log_event(status >= 500 ? LogLevel::kWarning : is_probe ? LogLevel::kDebug : LogLevel::kInfo, "request", dump_json(line));
}

}  // namespace hanlin::server
