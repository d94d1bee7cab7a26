#include "agent/run/loop.h"

#include <fmt/format.h>

#include <optional>

#include "agent/generate.h"
#include "agent/run/call_batch.h"
#include "base/json.h"

namespace hanlin::agent {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kMaxErrors = 3;                      // turns in a row that are no steps
constexpr std::chrono::seconds kFinalSeconds{30};      // for the forced answer, when the time is over

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

class Loop {
 public:
  Loop(const LoopParts& parts, const RunRequest& request, RunProgress* progress, std::stop_token stop)
      : parts_(parts), request_(request), progress_(*progress), stop_(std::move(stop)) {
    context_.style = parts.style;
    if (!parts.tools->tools().empty()) context_.tools = std::make_shared<const ToolSet>(parts.tools->descriptions());
  }

  Status run() {
    while (!progress_.finished()) {
      if (stop_.stop_requested()) return Error{Code::kCancelled, "run: stopped"};
      if (!progress_.open_calls.empty()) {
        HANLIN_TRY(run_calls());
        continue;
      }
      if (!progress_.limit.empty()) return answer_now();
      if (const auto limit = reached_limit()) {
        HANLIN_TRY(emit_limit(*limit));
        continue;
      }
      HANLIN_TRY(take_turn());
    }
    return {};
  }

 private:
  Status emit(const char* type, Json data) {
    RunEvent event{.type = type, .data = std::move(data)};
    progress_.apply(event);
    return parts_.emit(std::move(event));
  }

  // A bound of the run and what to say about it.
  struct Limit {
    const char* name;
    std::string message;
  };
  std::optional<Limit> reached_limit() const {
    const RunLimits& limits = request_.limits;
    if (progress_.n_errors >= kMaxErrors) return Limit{"errors", fmt::format("{} turns in a row were no steps", kMaxErrors)};
    if (progress_.n_steps >= limits.max_steps) return Limit{"max_steps", fmt::format("the limit of {} steps is reached", limits.max_steps)};
    if (progress_.completion_tokens >= limits.max_tokens) return Limit{"max_tokens", fmt::format("the limit of {} tokens is reached", limits.max_tokens)};
    if (progress_.seconds >= limits.max_seconds) return time_limit();
    return {};
  }
  Limit time_limit() const { return {"max_seconds", fmt::format("the limit of {} s is reached", request_.limits.max_seconds)}; }
  Status emit_limit(const Limit& limit) { return emit("limit", {{"limit", limit.name}, {"message", limit.message}}); }

  struct Outcome {
    Turn turn;
    Json event;
    bool out_of_time = false;
    bool cut = false;  // by the number of tokens
  };

  // Runs one turn of the model. Errors: those of the generator.
  Result<Outcome> generate_turn(bool final_step, Clock::time_point deadline) {
    const auto start = Clock::now();
    const int64_t number = progress_.n_steps + 1;
    HANLIN_TRY(emit("step", {{"step", number}, {"final", final_step}}));
    Step step = (request_.mode == RunMode::kReact ? react_step : function_step)(request_, progress_, context_, final_step);
    if (!final_step) {
      const int64_t left = request_.limits.max_tokens - progress_.completion_tokens;
      step.request.max_tokens = std::min(*step.request.max_tokens, std::max<int64_t>(left, 1));
    }
    step.request.id = fmt::format("{}-{}", parts_.run_id, number);
    Status shown;
    const auto show = [&](const api::TokenEvent& event) -> bool {
      for (const Delta& delta : step.input->read(event)) {
        const bool thought = delta.kind == Delta::Kind::kReasoning;
        if (shown.ok() && (thought || delta.kind == Delta::Kind::kContent)) shown = parts_.emit({.type = thought ? "reasoning" : "text", .data = {{"text", delta.text}}});
      }
      return shown.ok() && !step.input->complete();
    };
    HANLIN_ASSIGN(const Generated generated, generate(*parts_.generator, std::move(step.request), show, deadline, stop_));
    HANLIN_TRY(shown);
    Outcome outcome{step.input->finish(), Json::object(), generated.out_of_time, generated.finish == api::FinishReason::kLength};
    outcome.event = {{"step", number}, {"content", outcome.turn.content}, {"reasoning", outcome.turn.reasoning}, {"calls", Json::array()}};
    if (outcome.out_of_time) outcome.turn.calls.clear();
    for (const Turn::Call& call : outcome.turn.calls) {
      outcome.event["calls"].push_back({{"id", call.id.empty() ? make_call_id() : call.id}, {"name", call.name}, {"arguments", call.arguments}});
    }
    if (!outcome.turn.error.empty()) outcome.event["error"] = outcome.turn.error;
    outcome.event["finish_reason"] = generated.out_of_time ? "time" : generated.finish == api::FinishReason::kLength ? "length" : "stop";
    outcome.event["prompt_tokens"] = generated.usage.prompt_tokens;
    outcome.event["completion_tokens"] = generated.usage.completion_tokens;
    outcome.event["seconds"] = seconds_since(start);
    return outcome;
  }

  Status take_turn() {
    const auto deadline = Clock::now() + clock_duration(request_.limits.max_seconds - progress_.seconds);
    Result<Outcome> outcome = generate_turn(false, deadline);
    if (!outcome.ok()) return fail(outcome.error());
    HANLIN_TRY(emit("turn", std::move(outcome->event)));
    if (outcome->out_of_time) return emit_limit(time_limit());
    if (!outcome->turn.calls.empty() || !outcome->turn.error.empty()) return {};
    if (outcome->cut) {
      if (reached_limit()) return {};
      HANLIN_TRY(emit_limit({"max_step_tokens", fmt::format("the answer is cut after {} tokens, the limit of one turn", request_.limits.max_step_tokens)}));
    }
    return finish("completed", outcome->turn.answer);
  }

  // At a limit: one more turn, without tools.
  Status answer_now() {
    Result<Outcome> outcome = generate_turn(true, Clock::now() + kFinalSeconds);
    if (!outcome.ok()) return fail(outcome.error());
    HANLIN_TRY(emit("turn", std::move(outcome->event)));
    const bool answered = outcome->turn.error.empty() && outcome->turn.answer.find_first_not_of(" \t\r\n") != std::string::npos && !outcome->out_of_time;
    return answered ? finish("completed", outcome->turn.answer) : finish("not_finished", so_far());
  }

  std::string so_far() const {
    std::string text = fmt::format("Not finished ({}). ", progress_.limit);
    if (progress_.done_calls.empty()) return text + "No tool was called.";
    text += "So far:";
    for (const DoneCall& call : progress_.done_calls) text += fmt::format("\n- {}({}){} {}", call.name, call.arguments, call.ok ? ":" : " failed:", call.result);
    return text;
  }

  Status run_calls() {
    for (const OpenCall& call : progress_.open_calls) {
      if (call.started || progress_.calls_by_text[call_text(call.name, call.arguments)] < request_.limits.max_repeats) continue;
      // It goes round in circles: nothing of this turn runs any more.
      HANLIN_TRY(emit_limit({"max_repeats", fmt::format("the call {}({}) came {} times", call.name, call.arguments, request_.limits.max_repeats)}));
      const std::string message = fmt::format("error: not run, because a call came {} times", request_.limits.max_repeats);
      for (const OpenCall& open : std::vector<OpenCall>(progress_.open_calls)) {
        HANLIN_TRY(emit("result", {{"id", open.id}, {"name", open.name}, {"ok", false}, {"result", message}, {"seconds", 0.0}}));
      }
      return {};
    }
    return run_call_batch({.run_id = parts_.run_id, .tools = *parts_.tools, .request = request_, .progress = progress_, .approvals = parts_.approvals, .stop = stop_},
                          [this](const char* type, Json data) { return emit(type, std::move(data)); });
  }

  Status finish(const char* status, const std::string& answer) {
    Json data = {{"status", status}, {"answer", answer}};
    if (!progress_.limit.empty()) data["limit"] = progress_.limit;
    return emit("finished", std::move(data));
  }

  Status fail(const Error& error) {
    if (error.code == Code::kCancelled) return error;
    return emit("finished", {{"status", "failed"}, {"answer", ""}, {"error", error.message}});
  }

  const LoopParts& parts_;
  const RunRequest& request_;
  RunProgress& progress_;
  const std::stop_token stop_;
  StepContext context_;
};

}  // namespace

Status run_loop(const LoopParts& parts, const RunRequest& request, RunProgress* progress, std::stop_token stop, const std::function<bool()>& on_stop) {
  const Status status = Loop(parts, request, progress, stop).run();
  if (status.ok() || status.error().code != Code::kCancelled || !stop.stop_requested()) return status;
  if (!on_stop()) return {};
  RunEvent event{.type = "finished", .data = {{"status", "cancelled"}, {"answer", ""}}};
  progress->apply(event);
  return parts.emit(std::move(event));
}

}  // namespace hanlin::agent
