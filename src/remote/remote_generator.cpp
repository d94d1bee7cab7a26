#include "remote/remote_generator.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <ctime>

#include "base/json.h"
#include "net/event_reader.h"
#include "remote/answer_reader.h"
#include "remote/request_body.h"

namespace hanlin::remote {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMaxEventBytes = 16 << 20;

double seconds_between(Clock::time_point from, Clock::time_point to) { return std::chrono::duration<double>(to - from).count(); }

}  // namespace

// One request, shared by the caller's handle and the thread that works on it.
class RemoteGenerator::Run final : public api::Generation {
 public:
  Run(RequestBody body_in, int n_choices_in, std::optional<Clock::time_point> deadline_in, api::TokenSink sink_in)
      : body(std::move(body_in)), n_choices(n_choices_in), deadline(deadline_in), sink(std::move(sink_in)) {}

  void cancel() override { stop.request_stop(); }
  void set_paused(bool paused) override {
    const std::lock_guard lock(mutex_);
    paused_ = paused;
    changed_.notify_all();
  }
  int64_t prompt_tokens() const override { return n_prompt_tokens; }

  // Nothing is read from the socket meanwhile, so that the service is paused too.
  void wait_while_paused(Clock::time_point until) {
    std::unique_lock lock(mutex_);
    if (!paused_) return;
    const auto resumed = [this] { return !paused_; };
    if (until == Clock::time_point::max()) changed_.wait(lock, stop.get_token(), resumed);  // wait_until would overflow
    else changed_.wait_until(lock, stop.get_token(), until, resumed);
  }
  // The events of a request that did not come to its end.
  void deliver_end(std::vector<api::TokenEvent> events, std::optional<Error> error) {
    if (error) {
      api::TokenEvent last;
      last.last = true;
      last.usage = events.back().usage;
      last.error = std::move(error);
      events.assign(1, std::move(last));
    }
    api::TokenEvent& last = events.back();
    n_prompt_tokens = last.usage.prompt_tokens;
    const auto now = Clock::now();
    last.queue_seconds = seconds_between(submitted, started.value_or(now));
    if (started) last.prefill_seconds = seconds_between(*started, first_event.value_or(now));
    if (first_event) last.decode_seconds = seconds_between(*first_event, now);
    for (api::TokenEvent& event : events) sink(std::move(event));
    sink = nullptr;
  }

  const RequestBody body;
  const int n_choices;
  const std::optional<Clock::time_point> deadline;
  std::stop_source stop;
  const Clock::time_point submitted = Clock::now();
  std::atomic<int64_t> n_prompt_tokens = 0;
  // Of the working thread alone.
  api::TokenSink sink;
  std::optional<Clock::time_point> started, first_event;

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool paused_ = false;
};

Result<std::shared_ptr<RemoteGenerator>> RemoteGenerator::create(const RemoteOptions& options) {
  HANLIN_ASSIGN(std::unique_ptr<Service> service, Service::create(options));
  return std::shared_ptr<RemoteGenerator>(new RemoteGenerator(std::move(service)));
}

RemoteGenerator::RemoteGenerator(std::unique_ptr<Service> service)
    : service_(std::move(service)), pool_(service_->options().max_running, static_cast<size_t>(std::max(service_->options().max_queue, 1))) {
  const RemoteOptions& options = service_->options();
  info_ = {.name = options.name, .path = options.base_url, .architecture = "remote", .context_length = options.context_length, .vocab_size = 0, .n_parameters = 0,
           .has_chat_template = true, .created_unix = std::time(nullptr)};
}

RemoteGenerator::~RemoteGenerator() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& run : runs_) run->cancel();
  }
  pool_.stop();
  // Those that no thread has begun.
  for (const auto& run : runs_) run->deliver_end(AnswerReader(run->n_choices).end(/*cancelled=*/true), {});
}

Result<std::shared_ptr<api::Generation>> RemoteGenerator::submit(api::GenerateRequest request, api::TokenSink sink) {
  HANLIN_ASSIGN(RequestBody body, request_body(request, service_->options()));
  auto run = std::make_shared<Run>(std::move(body), std::max(request.n, 1), request.deadline, std::move(sink));
  const std::lock_guard lock(mutex_);
  if (stopping_) return Error{Code::kUnavailable, info_.name + ": shutting down"};
  if (!pool_.try_post([this, run] { work(*run); })) {
    ++stats_.rejected_total;
    return Error{Code::kResourceExhausted, fmt::format("{}: {} requests to the remote service are running and {} waiting; try again later", info_.name,
                                                       service_->options().max_running, service_->options().max_queue)};
  }
  ++stats_.requests_total;
  ++stats_.n_waiting;
  runs_.push_back(run);
  return std::shared_ptr<api::Generation>(std::move(run));
}

void RemoteGenerator::work(Run& run) {
  {
    const std::lock_guard lock(mutex_);
    --stats_.n_waiting;
    ++stats_.n_running;
  }
  run.started = Clock::now();
  const Status status = generate(run);
  if (!status.ok()) {
    const bool cancelled = run.stop.stop_requested();
    run.deliver_end(AnswerReader(run.n_choices).end(cancelled), cancelled ? std::nullopt : std::optional(status.error()));
  }
  const std::lock_guard lock(mutex_);
  --stats_.n_running;
  std::erase_if(runs_, [&](const auto& other) { return other.get() == &run; });
}

// One request with its retries. Success: the last event was delivered.
Status RemoteGenerator::generate(Run& run) {
  const net::CallLimits limits = service_->limits(run.deadline, run.stop.get_token());
  std::optional<AnswerReader> reader;

  const auto attempt = [&]() -> std::optional<Service::TryFailed> {
    reader.emplace(run.n_choices);
    net::EventReader stream;
    bool done = false;
    std::optional<Failure> broken;  // what an event said
    const auto on_event = [&](const std::string& data) {
      if (done || broken) return;
      if (data == "[DONE]") {
        done = true;
        return;
      }
      const Result<Json> json = parse_json(data);
      if (!json.ok()) {
        broken = Failure{{Code::kCorrupt, service_->where() + ": expected JSON in each event: " + json.error().message}};
        return;
      }
      if (json->is_object() && json->contains("error") && !(*json)["error"].is_null()) {
        broken = service_->shown(failure_of_event((*json)["error"], service_->where(), service_->key_hint()));
        return;
      }
      std::vector<api::TokenEvent> events;
      const Status status = reader->read(*json, &events);
      for (api::TokenEvent& event : events) {
        if (!run.first_event) run.first_event = Clock::now();
        run.sink(std::move(event));
      }
      if (!status.ok()) broken = Failure{{Code::kCorrupt, service_->where() + ": " + status.error().message}};
    };
    net::HttpSinks sinks;
    sinks.on_head = [&](const net::HttpAnswer& answer) -> Status {
      const std::string type = answer.header("content-type");
      if (type.starts_with("text/event-stream")) return {};
      return Error{Code::kCorrupt, fmt::format("{}: expected a stream of events, got {}", service_->where(), type.empty() ? "an answer without a type" : type)};
    };
    sinks.on_body = [&](std::string_view bytes) -> Result<bool> {
      run.wait_while_paused(limits.deadline);
      if (Status fed = stream.feed(bytes, kMaxEventBytes, on_event); !fed.ok()) return Error{Code::kCorrupt, service_->where() + ": " + fed.error().message};
      return !done && !broken;
    };
    std::optional<Service::TryFailed> failed = service_->try_once("POST", run.body.path, run.body.json, limits, std::move(sinks));
    if (broken) failed = Service::TryFailed{*broken};
    // The end of the connection is as good as [DONE] once every choice has ended.
    if (reader->all_finished() && (!failed || failed->failure.error.code == Code::kUnavailable)) return {};
    if (!failed) failed = Service::TryFailed{{{Code::kUnavailable, service_->where() + ": the answer broke off before its end"}, true}};
    if (run.first_event) failed->failure.may_retry = false;
    return failed;
  };

  HANLIN_TRY(service_->with_retries(limits, attempt));
  std::vector<api::TokenEvent> end = reader->end(/*cancelled=*/false);
  {
    const std::lock_guard lock(mutex_);
    const api::Usage& usage = end.back().usage;
    stats_.prompt_tokens_total += usage.prompt_tokens;
    stats_.generated_tokens_total += usage.completion_tokens;
    stats_.cached_tokens_total += usage.cached_tokens;
  }
  run.deliver_end(std::move(end), {});
  return {};
}

Result<std::vector<int32_t>> RemoteGenerator::tokenize(const std::string& text, bool add_special, bool parse_special) const {
  Json request = {{"prompt", text}, {"add_special_tokens", add_special}};
  if (!parse_special) request["parse_special"] = false;  // Hanlin's; others always do
  return service_->tokenize(std::move(request));
}

Result<std::string> RemoteGenerator::detokenize(const std::vector<int32_t>& ids) const { return service_->detokenize(ids); }

Result<std::string> RemoteGenerator::render_chat(const api::ChatPrompt& prompt) const {
  Json request = {{"messages", messages_json(prompt.messages)}, {"add_generation_prompt", prompt.add_generation_prompt}, {"add_special_tokens", false}};
  if (!prompt.tools_json.empty()) {
    HANLIN_ASSIGN(request["tools"], parse_json(prompt.tools_json));
  }
  HANLIN_ASSIGN(const std::vector<int32_t> ids, service_->tokenize(std::move(request)));
  return service_->detokenize(ids);
}

api::GeneratorStats RemoteGenerator::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

}  // namespace hanlin::remote
