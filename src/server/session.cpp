#include "server/session.h"

#include <fmt/format.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <optional>

#include "base/log.h"
#include "server/error_map.h"
#include "server/exchange.h"
#include "server/generation_session.h"
#include "server/read_request.h"
#include "server/response_head.h"

namespace hanlin::server {
namespace {

constexpr std::chrono::milliseconds kLingerTimeout{5000};

// A handler's call on another thread. Shared between that thread and the session, which may stop waiting for it; whoever
// comes second then cancels what the handler started.
struct PendingCall {
  enum class State { kPending, kReplied, kAbandoned };
  std::shared_ptr<Exchange> exchange;
  const Route* route = nullptr;
  std::optional<Reply> reply;  // written by the pool thread before the state becomes kReplied
  std::atomic<State> state{State::kPending};

  void cancel_reply() const {
    const auto* running = std::get_if<RunningGeneration>(&*reply);
    if (!running) return;
    for (const auto& generation : running->generations) generation->cancel();
  }
};

EndpointContext make_context(const Exchange& exchange) {
  return {.request = exchange.request,
          .models = *exchange.core.models,
          .options = exchange.core.options,
          .metrics = exchange.core.metrics,
          .chat_styles = exchange.core.chat_styles,
          .runs = exchange.core.runs.get(),
          .ready = !exchange.core.draining,
          .request_id = exchange.request_id,
          .received = exchange.received,
          .channel = exchange.channel};
}

// Nothing thrown by a library may end a thread: it becomes a 500 and a line in the log.
Reply call_handler(const Route& route, const Exchange& exchange) {
  try {
    return route.handler(make_context(exchange));
  } catch (const std::bad_alloc&) {
    return error_response({Code::kResourceExhausted, "request: not enough memory for it"});
  } catch (const std::exception& e) {
    log_error(fmt::format("{} {} ({}): exception: {}", route.method, route.path, exchange.request_id, e.what()));
    return error_response({Code::kInternal, "request: an internal error; the log has more under " + exchange.request_id});
  }
}

void complete_call(std::shared_ptr<PendingCall> call) {
  call->reply = call_handler(*call->route, *call->exchange);
  if (call->state.exchange(PendingCall::State::kReplied) == PendingCall::State::kAbandoned) return call->cancel_reply();
  const auto executor = call->exchange->connection->executor();
  asio::post(executor, [call = std::move(call)] { call->exchange->connection->wake(); });
}

asio::awaitable<Reply> call_on_pool(std::shared_ptr<Exchange> exchange, const Route* route, TaskPool& pool) {
  auto call = std::make_shared<PendingCall>();
  call->exchange = exchange;
  call->route = route;
  if (!pool.try_post([call] { complete_call(call); })) {
    co_return error_response({Code::kResourceExhausted, "service: too many requests are waiting; try again later"});
  }
  const auto give_up_at = exchange->received + exchange->core.options.request_timeout + exchange->core.options.deadline_grace;
  while (call->state != PendingCall::State::kReplied) {
    if (exchange->connection->aborted() || std::chrono::steady_clock::now() >= give_up_at) {
      if (call->state.exchange(PendingCall::State::kAbandoned) == PendingCall::State::kReplied) call->cancel_reply();
      co_return error_response({Code::kDeadlineExceeded, "request: the time allowed for it ran out"});
    }
    co_await exchange->connection->sleep_until(give_up_at);
  }
  Reply reply = std::move(*call->reply);
  co_return reply;
}

// The answer for requests that no handler sees, or nothing.
std::optional<HttpResponse> answer_without_handler(const HttpRequest& request, const RouteMatch& match, const Core& core) {
  if (match.allowed.empty()) {
    return http_error_response(404, fmt::format("{}: there is no such route; GET /docs lists them", request.path), "route_not_found");
  }
  if (request.method == "OPTIONS") return options_response(request, match.allowed);
  if (!match.route) {
    HttpResponse response = http_error_response(405, fmt::format("{}: expected {}, got {}", request.path, match.allowed, request.method), "method_not_allowed");
    response.headers.emplace_back("Allow", match.allowed);
    return response;
  }
  if (!match.route->is_public && !is_authorized(request, core.options)) {
    return http_error_response(401, "Authorization: expected a valid API key as \"Bearer KEY\" or in x-api-key", "invalid_api_key");
  }
  if (match.route->run_on != RunOn::kInline && core.draining) {
    return error_response({Code::kUnavailable, "service: shutting down; try another instance"});
  }
  return std::nullopt;
}

asio::awaitable<void> write_response(std::shared_ptr<Exchange> exchange, HttpResponse response) {
  exchange->status = response.status;
  std::string bytes = response_head(exchange->request, exchange->request_id, exchange->core.options,
                                    {.status = response.status, .content_type = response.content_type, .headers = response.headers,
                                     .length = response.body.size(), .keep_alive = exchange->keep_alive});
  if (exchange->request.method != "HEAD") bytes += response.body;
  exchange->n_bytes_sent += static_cast<int64_t>(bytes.size());
  const bool written = co_await exchange->connection->write(std::move(bytes), exchange->core.options.write_timeout);
  if (!written) {
    exchange->keep_alive = false;
    exchange->status = kClientGone;
  }
}

asio::awaitable<void> answer(std::shared_ptr<Exchange> exchange) {
  Core& core = exchange->core;
  const RouteMatch match = find_route(exchange->request.method, exchange->request.path);
  if (match.route) exchange->endpoint = shown_path(*match.route);
  if (auto early = answer_without_handler(exchange->request, match, core)) {
    co_await write_response(exchange, std::move(*early));
    co_return;
  }
  std::optional<Reply> reply;
  if (match.route->run_on == RunOn::kInline) {
    reply = call_handler(*match.route, *exchange);
  } else {
    exchange->open_channel();
    exchange->connection->start_watching();
    TaskPool& pool = match.route->run_on == RunOn::kSubmit ? core.submit_pool : core.blocking_pool;
    reply = co_await call_on_pool(exchange, match.route, pool);
  }
  if (auto* running = std::get_if<RunningGeneration>(&*reply)) {
    exchange->generations = running->generations;
    exchange->model = running->model;
    auto shared = std::make_shared<RunningGeneration>(std::move(*running));
    std::optional<HttpResponse> whole = co_await run_generation(exchange, std::move(shared));
    if (whole) co_await write_response(exchange, std::move(*whole));
  } else {
    co_await write_response(exchange, std::move(std::get<HttpResponse>(*reply)));
  }
  exchange->connection->stop_watching();
}

// False when the connection is to be closed; `*linger` when the client may still be sending.
asio::awaitable<bool> serve_one(std::shared_ptr<Connection> connection, Core& core, bool* linger) {
  ReadResult read = co_await read_request(connection, core.options);
  if (read.kind == ReadResult::Kind::kClosed) co_return false;
  auto exchange = std::make_shared<Exchange>(core, connection, std::move(read.request));
  if (read.kind == ReadResult::Kind::kRefused) {
    exchange->keep_alive = false;
    const RouteMatch match = find_route(exchange->request.method, exchange->request.path);
    if (match.route) exchange->endpoint = shown_path(*match.route);
    co_await write_response(exchange, std::move(read.refusal));
    *linger = true;
  } else {
    exchange->keep_alive = exchange->request.keep_alive && !core.draining;
    co_await answer(exchange);
  }
  exchange->finish();
  co_return exchange->keep_alive;
}

}  // namespace

asio::awaitable<void> run_session(std::shared_ptr<Connection> connection, Core& core) {
  bool linger = false;
  while (true) {
    const bool go_on = co_await serve_one(connection, core, &linger);
    if (!go_on || core.draining) break;
  }
  if (linger) co_await connection->linger_and_close(kLingerTimeout);
  else connection->close();
}

asio::awaitable<void> refuse_session(std::shared_ptr<Connection> connection, Core& core) {
  const HttpRequest nothing;
  const HttpResponse response = http_error_response(503, "service: too many connections; try again later", "overloaded");
  std::string bytes = response_head(nothing, choose_request_id(nothing), core.options,
                                    {.status = response.status, .content_type = response.content_type, .headers = response.headers,
                                     .length = response.body.size(), .keep_alive = false});
  bytes += response.body;
  co_await connection->write(std::move(bytes), std::chrono::milliseconds(1000));
  co_await connection->linger_and_close(std::chrono::milliseconds(1000));
}

}  // namespace hanlin::server
