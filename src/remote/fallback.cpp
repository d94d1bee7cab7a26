#include "remote/fallback.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace hanlin::remote {
namespace {

constexpr size_t kMaxMoving = 1024;  // requests on their way to the next member

bool holds_token_ids(const api::GenerateRequest& request) {
  return std::holds_alternative<api::TokenPrompt>(request.prompt) || !request.sampling.logit_bias.empty() || !request.stop_token_ids.empty();
}

bool says_something(const api::TokenEvent& event) {
  return !event.text.empty() || !event.reasoning.empty() || !event.calls.empty() || !event.tokens.empty() || !event.prompt_tokens.empty() || event.finish;
}

void log_move(const std::string& from, const std::string& to, const Error& error) {
  log_warning(fmt::format("{}: {}; falling back to {}", from, error.message, to));
}

}  // namespace

bool may_fall_back(const Error& error) {
  return error.code != Code::kInvalidArgument && error.code != Code::kUnsupported && error.code != Code::kCancelled;
}

std::vector<size_t> Circuit::order() const {
  const auto now = options_.now();
  const std::lock_guard lock(mutex_);
  std::vector<size_t> result;
  for (size_t i = 0; i < members_.size(); ++i) {
    if (now >= members_[i].skipped_until) result.push_back(i);
  }
  if (result.empty()) {
    for (size_t i = 0; i < members_.size(); ++i) result.push_back(i);
  }
  return result;
}

void Circuit::succeeded(size_t member) {
  const std::lock_guard lock(mutex_);
  members_[member] = {};
}

void Circuit::failed(size_t member, const Error& error) {
  if (error.code == Code::kResourceExhausted) return;
  const auto now = options_.now();
  const std::lock_guard lock(mutex_);
  Member& state = members_[member];
  if (++state.n_failures >= options_.failures_to_skip) state.skipped_until = now + options_.skip_for;
}

// What requests share; it outlives the generator, without its members, as long as somebody holds one of them.
struct FallbackGenerator::Shared {
  Shared(std::vector<std::shared_ptr<api::TextGenerator>> members_in, FallbackOptions options)
      : members(std::move(members_in)), circuit(members.size(), std::move(options)), mover(2, kMaxMoving) {
    for (const auto& member : members) names.push_back(member->info().name);
  }
  std::vector<std::shared_ptr<api::TextGenerator>> members;
  std::vector<std::string> names;
  Circuit circuit;
  TaskPool mover;  // submits to the next member: not on the thread of the one that failed
};

// One request on its way along the chain.
class FallbackGenerator::Run final : public api::Generation, public std::enable_shared_from_this<Run> {
 public:
  Run(std::shared_ptr<Shared> shared, api::GenerateRequest request, api::TokenSink sink)
      : shared_(std::move(shared)), request_(std::move(request)), sink_(std::move(sink)), order_(shared_->circuit.order()) {
    if (holds_token_ids(request_)) order_ = {0};
  }

  // Submits to the next member that takes the request. The error of the last one that did not.
  Status start() {
    while (true) {
      const size_t position = position_, member = order_[position];
      Result<std::shared_ptr<api::Generation>> started =
          shared_->members[member]->submit(request_, [self = shared_from_this(), member](api::TokenEvent&& event) { self->on_event(member, std::move(event)); });
      if (started.ok()) {
        accept(std::move(started).value(), position);
        return {};
      }
      const Error error = std::move(started).error();
      if (!may_fall_back(error)) return error;
      shared_->circuit.failed(member, error);
      if (!advance(error)) return error;
    }
  }

  void cancel() override {
    const auto current = with_lock([this] { cancelled_ = true; });
    if (current) current->cancel();
  }
  void set_paused(bool paused) override {
    const auto current = with_lock([&] { paused_ = paused; });
    if (current) current->set_paused(paused);
  }
  int64_t prompt_tokens() const override {
    const std::lock_guard lock(mutex_);
    return current_ ? current_->prompt_tokens() : prompt_tokens_;
  }

 private:
  template <typename Change>
  std::shared_ptr<api::Generation> with_lock(const Change& change) {
    const std::lock_guard lock(mutex_);
    change();
    return current_;
  }

  // What was asked for meanwhile holds for the new member, too. A member may have failed, and the next have been accepted,
  // before its submit() has returned.
  void accept(std::shared_ptr<api::Generation> generation, size_t position) {
    bool cancelled = false, paused = false;
    with_lock([&] {
      if (ended_) prompt_tokens_ = generation->prompt_tokens();
      if (ended_ || (current_ && position < position_of_current_)) return;
      current_ = generation, position_of_current_ = position;
      cancelled = cancelled_, paused = paused_;
    });
    if (cancelled) generation->cancel();
    if (paused) generation->set_paused(true);
  }

  // To the next member. False: there is none, or no time for it.
  bool advance(const Error& error) {
    const bool no_time = request_.deadline && std::chrono::steady_clock::now() >= *request_.deadline;
    if (position_ + 1 >= order_.size() || no_time || is_cancelled()) return false;
    log_move(name(order_[position_]), name(order_[position_ + 1]), error);
    ++position_;
    return true;
  }
  const std::string& name(size_t member) const { return shared_->names[member]; }
  bool is_cancelled() const {
    const std::lock_guard lock(mutex_);
    return cancelled_;
  }

  // On the thread of the member.
  void on_event(size_t member, api::TokenEvent&& event) {
    if (!spoke_ && event.error && may_fall_back(*event.error)) {
      shared_->circuit.failed(member, *event.error);
      if (advance(*event.error)) {
        const auto moving = std::make_shared<Moving>(shared_from_this(), *event.error);
        (void)shared_->mover.try_post([moving] { std::exchange(moving->run, nullptr)->move_on(); });
        return;
      }
    } else if (!spoke_ && !event.error && says_something(event) && event.finish != api::FinishReason::kCancelled) {
      shared_->circuit.succeeded(member);
    }
    spoke_ = spoke_ || says_something(event);
    deliver(std::move(event));
  }
  // With the last event the run lets go of the member's generation, which may hold the sink and with it the run.
  void deliver(api::TokenEvent&& event) {
    const bool last = event.last;
    sink_(std::move(event));
    if (!last) return;
    std::shared_ptr<api::Generation> ended;
    const std::lock_guard lock(mutex_);
    ended_ = true;
    if (current_) prompt_tokens_ = current_->prompt_tokens();
    ended.swap(current_);
  }
  // A request that waits for the mover; dropped by it, the request ends with the error of the member that failed.
  struct Moving {
    Moving(std::shared_ptr<Run> run_in, Error error_in) : run(std::move(run_in)), error(std::move(error_in)) {}
    ~Moving() {
      if (run) run->fail(error);
    }
    std::shared_ptr<Run> run;
    const Error error;
  };
  void move_on() {
    if (const Status started = start(); !started.ok()) fail(started.error());
  }
  void fail(const Error& error) {
    api::TokenEvent last;
    last.last = true;
    last.error = error;
    deliver(std::move(last));
  }

  const std::shared_ptr<Shared> shared_;
  const api::GenerateRequest request_;
  const api::TokenSink sink_;
  // One thread at a time works with these: that of submit(), of the member, or of the mover.
  std::vector<size_t> order_;
  size_t position_ = 0;
  bool spoke_ = false;

  mutable std::mutex mutex_;
  std::shared_ptr<api::Generation> current_;
  size_t position_of_current_ = 0;
  int64_t prompt_tokens_ = 0;  // of the generation that has ended
  bool cancelled_ = false, paused_ = false, ended_ = false;
};

FallbackGenerator::FallbackGenerator(std::vector<std::shared_ptr<api::TextGenerator>> members, FallbackOptions options)
    : shared_(std::make_shared<Shared>(std::move(members), std::move(options))) {
  HANLIN_CHECK(!shared_->members.empty(), "a chain needs a member");
  for (const auto& member : shared_->members) HANLIN_CHECK(member->native_tool_calls() == first().native_tool_calls(), "members of a chain read tool calls alike");
}

FallbackGenerator::~FallbackGenerator() {
  shared_->mover.stop();
  // Here, not on a thread of theirs that lets go of the last request: a member waits for its threads.
  shared_->members.clear();
}

const api::TextGenerator& FallbackGenerator::first() const { return *shared_->members[0]; }

Result<std::shared_ptr<api::Generation>> FallbackGenerator::submit(api::GenerateRequest request, api::TokenSink sink) {
  auto run = std::make_shared<Run>(shared_, std::move(request), std::move(sink));
  HANLIN_TRY(run->start());
  return std::shared_ptr<api::Generation>(std::move(run));
}

FallbackEmbedder::FallbackEmbedder(std::vector<std::shared_ptr<api::Embedder>> members, FallbackOptions options)
    : members_(std::move(members)), circuit_(members_.size(), std::move(options)) {
  HANLIN_CHECK(!members_.empty(), "a chain needs a member");
}

Result<api::EmbedResult> FallbackEmbedder::embed(const api::EmbedRequest& request) {
  std::vector<size_t> order = circuit_.order();
  if (std::any_of(request.inputs.begin(), request.inputs.end(), [](const auto& input) { return input.index() == 1; })) order = {0};
  for (size_t i = 0;; ++i) {
    Result<api::EmbedResult> result = members_[order[i]]->embed(request);
    if (result.ok()) {
      circuit_.succeeded(order[i]);
      const int64_t wanted = request.dimensions > 0 ? request.dimensions : embedder_info().dimensions;
      if (wanted > 0 && !result->vectors.empty() && static_cast<int64_t>(result->vectors[0].size()) != wanted) {
        return Error{Code::kCorrupt, fmt::format("{}: expected vectors of {} values as from {}, got {}", members_[order[i]]->embedder_info().model.name, wanted,
                                                 embedder_info().model.name, result->vectors[0].size())};
      }
      return result;
    }
    if (!may_fall_back(result.error())) return result;
    circuit_.failed(order[i], result.error());
    if (i + 1 >= order.size()) return result;
    log_move(members_[order[i]]->embedder_info().model.name, members_[order[i + 1]]->embedder_info().model.name, result.error());
  }
}

}  // namespace hanlin::remote
