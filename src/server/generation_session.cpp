#include "server/generation_session.h"

#include <fmt/format.h>

#include "base/json.h"
#include "server/error_map.h"
#include "server/response_head.h"
#include "server/sse.h"

namespace hanlin::server {
namespace {

using Clock = std::chrono::steady_clock;

// What one batch of events changed.
struct Progress {
  std::string frames;
  std::optional<Error> error;
  size_t n_ended = 0;
};

void note_tokens(Exchange& exchange, const api::TokenEvent& event) {
  if (event.n_new_tokens > 0) {
    const auto now = Clock::now();
    if (!exchange.first_token) exchange.first_token = now;
    exchange.last_token = now;
    exchange.n_tokens_seen += event.n_new_tokens;
  }
  if (event.last) {
    exchange.usage.prompt_tokens += event.usage.prompt_tokens;
    exchange.usage.completion_tokens += event.usage.completion_tokens;
    exchange.usage.cached_tokens += event.usage.cached_tokens;
  }
}

Progress take_events(Exchange& exchange, GenerationAnswer& answer) {
  Progress progress;
  for (SourcedEvent& sourced : exchange.channel->take()) {
    note_tokens(exchange, sourced.event);
    if (sourced.event.last) ++progress.n_ended;
    if (sourced.event.error) {
      progress.error = model_error(std::move(*sourced.event.error));
      break;
    }
    if (sourced.event.finish == api::FinishReason::kCancelled) {
      // We did not ask for it: only a generator that shuts down ends a request this way.
      progress.error = Error{Code::kUnavailable, "generation: stopped because the service is shutting down"};
      break;
    }
    answer.on_event(std::move(sourced), &progress.frames);
  }
  return progress;
}

// Writes a stream: the head with the first bytes, then one chunk a write.
class StreamWriter {
 public:
  explicit StreamWriter(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {
    if (exchange_->request.version == 10) exchange_->keep_alive = false;
  }
  bool started() const { return started_; }

  // The bytes to send for these frames.
  std::string encode(const std::string& frames, bool is_end) {
    std::string bytes;
    if (!started_) {
      static const std::string kType = "text/event-stream; charset=utf-8";
      static const Headers kHeaders = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
      bytes = response_head(exchange_->request, exchange_->request_id, exchange_->core.options,
                            {.status = 200, .content_type = kType, .headers = kHeaders, .length = std::nullopt, .keep_alive = exchange_->keep_alive});
      started_ = true;
      exchange_->status = 200;
    }
    if (exchange_->request.version == 10) return bytes + frames;
    if (!frames.empty()) bytes += fmt::format("{:x}\r\n{}\r\n", frames.size(), frames);
    if (is_end) bytes += "0\r\n\r\n";
    return bytes;
  }

 private:
  const std::shared_ptr<Exchange> exchange_;
  bool started_ = false;
};

void give_up(Exchange& exchange, int status) {
  exchange.cancel_generations();
  exchange.status = status;
  exchange.keep_alive = false;
}

}  // namespace

asio::awaitable<std::optional<HttpResponse>> run_generation(std::shared_ptr<Exchange> exchange, std::shared_ptr<RunningGeneration> running) {
  Connection& connection = *exchange->connection;
  const ServerOptions& options = exchange->core.options;
  GenerationAnswer& answer = *running->answer;
  const bool streaming = answer.streaming();
  const auto give_up_at = exchange->received + options.request_timeout + options.deadline_grace;
  auto next_keep_alive = Clock::now() + options.keep_alive_interval;
  StreamWriter writer(exchange);
  size_t n_ended = 0;

  while (true) {
    if (connection.peer_gone() || connection.aborted()) {
      give_up(*exchange, connection.peer_gone() ? kClientGone : http_status(Code::kUnavailable));
      co_return std::nullopt;
    }
    Progress progress = take_events(*exchange, answer);
    exchange->resume_if_paused();
    n_ended += progress.n_ended;
    if (Clock::now() >= give_up_at && !progress.error && n_ended < running->generations.size()) {
      progress.error = Error{Code::kDeadlineExceeded, "generation: the time allowed for a request ran out"};
    }
    const bool done = progress.error || n_ended == running->generations.size();
    if (progress.error) exchange->cancel_generations();
    if (progress.error && !writer.started() && progress.frames.empty()) co_return error_response(*progress.error);
    if (done && !streaming) co_return answer.response();

    if (streaming) {
      if (progress.error) {
        progress.frames += sse_frame(dump_json(error_json(*progress.error)));
      } else if (done) {
        progress.frames += answer.closing_frames();
      } else if (progress.frames.empty() && Clock::now() >= next_keep_alive) {
        progress.frames = kSseKeepAlive;
      }
      if (!progress.frames.empty()) {
        std::string bytes = writer.encode(progress.frames, done);
        exchange->n_bytes_sent += static_cast<int64_t>(bytes.size());
        const bool written = co_await connection.write(std::move(bytes), options.write_timeout);
        if (!written) {
          give_up(*exchange, kClientGone);
          co_return std::nullopt;
        }
        next_keep_alive = Clock::now() + options.keep_alive_interval;
        if (progress.error) exchange->status = http_status(progress.error->code);  // for the log; the client saw 200
        if (done) co_return std::nullopt;
        continue;  // more may have come meanwhile
      }
    }
    if (exchange->channel->n_waiting() == 0 && !connection.peer_gone() && !connection.aborted()) {
      co_await connection.sleep_until(streaming ? std::min(next_keep_alive, give_up_at) : give_up_at);
    }
  }
}

}  // namespace hanlin::server
