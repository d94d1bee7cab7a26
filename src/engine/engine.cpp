#include "engine/engine.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace hanlin::engine {
namespace {

// The caller's end of a request.
class Handle : public api::Generation {
 public:
  Handle(std::shared_ptr<RequestControl> control, std::shared_ptr<Inbox<std::unique_ptr<Request>>> inbox, int64_t n_prompt)
      : control_(std::move(control)), inbox_(std::move(inbox)), n_prompt_(n_prompt) {}

  void cancel() override {
    control_->is_cancelled.store(true, std::memory_order_relaxed);
    inbox_->wake();  // its lock orders the flag before the engine's next look
  }
  void set_paused(bool paused) override {
    control_->is_paused.store(paused, std::memory_order_relaxed);
    inbox_->wake();
  }
  int64_t prompt_tokens() const override { return n_prompt_; }

 private:
  std::shared_ptr<RequestControl> control_;
  std::shared_ptr<Inbox<std::unique_ptr<Request>>> inbox_;
  int64_t n_prompt_;
};

Status check_options(const EngineOptions& options) {
  const auto require = [](bool ok, const char* name, const char* expected, int64_t got) -> Status {
    if (ok) return {};
    return Error{Code::kInvalidArgument, std::string(name) + ": expected " + expected + ", got " + std::to_string(got), name};
  };
  HANLIN_TRY(require(options.max_queue >= 0, "max_queue", "a number not below 0", options.max_queue));
  HANLIN_TRY(require(options.max_running >= 1 && options.max_running <= 4096, "max_running", "1 to 4096", options.max_running));
  HANLIN_TRY(require(options.step_tokens >= 1, "step_tokens", "at least 1", options.step_tokens));
  HANLIN_TRY(require(options.step_score_rows >= 1, "step_score_rows", "at least 1", options.step_score_rows));
  HANLIN_TRY(require(options.step_draft_rows >= 0, "step_draft_rows", "a number not below 0", options.step_draft_rows));
  HANLIN_TRY(require(options.kv_blocks >= 0, "kv_blocks", "a number not below 0", options.kv_blocks));
  HANLIN_TRY(require(options.kv_blocks > 0 || options.kv_bytes > 0, "kv_bytes", "more than 0", options.kv_bytes));
  return require(options.context_length >= 0, "context_length", "a number not below 0", options.context_length);
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(EngineParts parts, const EngineOptions& options) {
  HANLIN_CHECK(parts.model && parts.tokenizer && parts.kernels, "an engine needs a model, a tokenizer and kernels");
  HANLIN_TRY(check_options(options));
  StepModel& model = *parts.model;
  int64_t context = model.context_length();
  if (options.context_length > 0) context = std::min(context, options.context_length);

  KvSpaceOptions kv;
  const int64_t n_wanted = options.kv_blocks > 0 ? options.kv_blocks : options.kv_bytes / std::max<int64_t>(1, model.kv_block_bytes());
  const int64_t n_useful = options.max_running * KvSpace::blocks_for(context);
  const int64_t n_blocks = std::min({n_wanted, n_useful, int64_t{std::numeric_limits<int32_t>::max() - 1}});
  if (n_blocks < 1) {
    return Error{Code::kInvalidArgument,
                 "kv_bytes: expected at least " + std::to_string(model.kv_block_bytes()) + " (one block of " +
                     std::to_string(kKvBlockTokens) + " tokens), got " + std::to_string(options.kv_bytes),
                 "kv_bytes"};
  }
  kv.n_blocks = static_cast<int32_t>(n_blocks);
  kv.share_prefixes = options.prefix_cache;
  kv.dynamic_rope_context = options.dynamic_rope_context;
  if (!model.allocate_kv(n_blocks)) {
    return Error{Code::kResourceExhausted,
                 "kv cache: could not allocate " + std::to_string(n_blocks * model.kv_block_bytes()) + " bytes; lower kv_bytes", "kv_bytes"};
  }
  // A sequence must always fit alone: then preempting the others lets each one finish.
  context = std::min(context, n_blocks * kKvBlockTokens);

  SchedulerOptions scheduling;
  scheduling.max_running = static_cast<int>(std::min<int64_t>(options.max_running, std::max<int64_t>(1, model.max_step_tokens() - 1)));
  scheduling.step_tokens = std::max<int64_t>(std::min(options.step_tokens, model.max_step_tokens()), scheduling.max_running + 1);
  scheduling.step_score_rows = options.step_score_rows;
  scheduling.step_draft_rows = options.step_draft_rows;
  if (scheduling.step_tokens > model.max_step_tokens()) {
    return Error{Code::kInvalidArgument, "step_tokens: expected a model that takes at least 2 tokens a step", "step_tokens"};
  }
  parts.info.context_length = context;
  parts.info.vocab_size = model.vocab_size();
  return std::unique_ptr<Engine>(new Engine(std::move(parts), options, kv, scheduling));
}

Engine::Engine(EngineParts parts, const EngineOptions& options, const KvSpaceOptions& kv, const SchedulerOptions& scheduling)
    : info_(std::move(parts.info)),
      model_(std::move(parts.model)),
      tokenizer_(std::move(parts.tokenizer)),
      max_requests_(scheduling.max_running + options.max_queue),
      memory_bytes_(parts.weights_bytes + kv.n_blocks * model_->kv_block_bytes()),
      n_kv_blocks_(kv.n_blocks),
      frontend_(tokenizer_, info_.context_length, info_.vocab_size),
      inbox_(std::make_shared<RequestInbox>(static_cast<size_t>(max_requests_))),
      stop_at_(Clock::time_point::max().time_since_epoch().count()),
      runner_(*model_, tokenizer_, *parts.kernels, kv, scheduling, counters_) {
  info_.has_chat_template = frontend_.has_chat_template();
  thread_ = std::thread([this] { run(); });
}

Engine::~Engine() { shutdown(Clock::now()); }

Result<std::shared_ptr<api::Generation>> Engine::submit(api::GenerateRequest request, api::TokenSink sink) {
  const auto unavailable = [this] {
    ++n_rejected_;
    return Error{Code::kUnavailable, "engine: shutting down, no new requests are taken"};
  };
  if (is_draining_) return unavailable();
  HANLIN_ASSIGN(std::unique_ptr<Request> prepared, frontend_.prepare(std::move(request), std::move(sink)));
  // Reserve a place first: what is in the inbox and what the engine thread has taken out of it count together.
  if (counters_.n_requests.fetch_add(1) >= max_requests_) {
    --counters_.n_requests;
    ++n_rejected_;
    return Error{Code::kResourceExhausted, "engine: the queue is full (" + std::to_string(max_requests_) + " requests); try again later"};
  }
  auto handle = std::make_shared<Handle>(prepared->control, inbox_, static_cast<int64_t>(prepared->prompt.size()));
  if (inbox_->push(std::move(prepared)) != RequestInbox::PushResult::kOk) {
    --counters_.n_requests;
    return unavailable();
  }
  ++n_submitted_;
  return std::static_pointer_cast<api::Generation>(std::move(handle));
}

Result<std::vector<int32_t>> Engine::tokenize(const std::string& text, bool add_special, bool parse_special) const {
  return tokenizer_->encode(text, {.add_special = add_special, .parse_special = parse_special});
}

Result<std::string> Engine::detokenize(const std::vector<int32_t>& ids) const {
  for (int32_t id : ids) {
    if (id >= 0 && id < info_.vocab_size) continue;
    return Error{Code::kInvalidArgument,
                 "tokens: expected ids from 0 to " + std::to_string(info_.vocab_size - 1) + ", got " + std::to_string(id), "tokens"};
  }
  return tokenizer_->decode(ids);
}

api::GeneratorStats Engine::stats() const {
  api::GeneratorStats stats;
  stats.n_running = counters_.n_running;
  stats.n_waiting = counters_.n_waiting;
  stats.prompt_tokens_total = counters_.prompt_tokens;
  stats.generated_tokens_total = counters_.generated_tokens;
  stats.cached_tokens_total = counters_.cached_tokens;
  stats.draft_tokens_total = counters_.draft_tokens;
  stats.draft_tokens_right_total = counters_.draft_tokens_right;
  stats.forced_tokens_total = counters_.forced_tokens;
  stats.preemptions_total = counters_.preemptions;
  stats.requests_total = n_submitted_;
  stats.rejected_total = n_rejected_;
  stats.kv_blocks_total = n_kv_blocks_;
  stats.kv_blocks_used = counters_.kv_blocks_used;
  stats.kv_blocks_cached = counters_.kv_blocks_cached;
  stats.memory_bytes = memory_bytes_;
  return stats;
}

void Engine::shutdown(Clock::time_point deadline) {
  const Clock::rep wanted = deadline.time_since_epoch().count();
  for (Clock::rep known = stop_at_; wanted < known && !stop_at_.compare_exchange_weak(known, wanted);) {
  }
  // In this order: whoever sees is_draining_ knows that nothing enters the inbox any more.
  inbox_->close();
  is_draining_ = true;
  inbox_->wake();
  std::lock_guard lock(join_mutex_);
  if (thread_.joinable()) thread_.join();
}

// ---------------------------------------------------------------------------------------------------- the engine thread

void Engine::run() {
  std::vector<std::unique_ptr<Request>> arrivals;
  while (true) {
    const bool is_draining = is_draining_;  // read before the drain, which then takes the very last arrivals
    inbox_->drain(arrivals);
    for (auto& request : arrivals) runner_.add(std::move(request));
    arrivals.clear();
    runner_.apply_controls(Clock::now());
    if (is_draining && (runner_.is_empty() || Clock::now().time_since_epoch().count() >= stop_at_)) break;
    if (runner_.has_work()) {
      runner_.step();
    } else if (is_draining || !model_->prepare_memory()) {
      wait_for_work();
    }
  }
  runner_.cancel_all();
}

void Engine::wait_for_work() {
  std::optional<Clock::time_point> until = runner_.next_deadline();
  if (is_draining_) {
    const Clock::time_point stop_at{Clock::duration(stop_at_.load())};
    until = until ? std::min(*until, stop_at) : stop_at;
  }
  if (until && *until != Clock::time_point::max()) {
    inbox_->wait_until(*until);
  } else {
    inbox_->wait();
  }
}

}  // namespace hanlin::engine
