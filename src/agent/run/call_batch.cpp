#include "agent/run/call_batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "agent/run/check_arguments.h"
#include "base/json.h"

namespace hanlin::agent {
namespace {

using Clock = std::chrono::steady_clock;

struct Work {
  OpenCall call;
  RunnableTool* tool = nullptr;
  Json arguments = Json::object();
  Permission permission = Permission::kAllow;
  bool ok = false;
  std::string result = {};
  bool done = false;
  double seconds = 0;

  void set(bool is_ok, std::string text) {
    ok = is_ok;
    result = std::move(text);
    done = true;
  }
  void refuse(const std::string& text) { set(false, "error: " + text); }
};

class Batch {
 public:
  Batch(const CallBatch& parts, const std::function<Status(const char*, Json)>& emit) : parts_(parts), emit_(emit) {
    for (const OpenCall& call : parts.progress.open_calls) works_.push_back({.call = call});
  }

  Status run() {
    std::map<std::string, int64_t> counted = counts_before();
    for (Work& work : works_) prepare(work, ++counted[work.call.name]);
    {
      std::vector<std::jthread> threads;
      for (Work& work : works_) {
        if (!work.done) threads.emplace_back([this, &work] { run_one(work); });
      }
    }
    HANLIN_TRY(failure_);
    if (parts_.stop.stop_requested()) return Error{Code::kCancelled, "run: stopped"};
    for (Work& work : works_) {
      HANLIN_TRY(emit_("result", {{"id", work.call.id}, {"name", work.call.name}, {"ok", work.ok}, {"result", work.result}, {"seconds", work.seconds}}));
    }
    return {};
  }

 private:
  // Calls of each tool in earlier turns: the open ones are counted already.
  std::map<std::string, int64_t> counts_before() const {
    std::map<std::string, int64_t> counts = parts_.progress.calls_by_tool;
    for (const OpenCall& call : parts_.progress.open_calls) --counts[call.name];
    return counts;
  }

  std::string tool_names() const {
    std::string names;
    for (const auto& tool : parts_.tools.tools()) names += (names.empty() ? "" : ", ") + tool->tool().name;
    return names.empty() ? "none" : names;
  }

  // What can be said without running it.
  void prepare(Work& work, int64_t number) const {
    const OpenCall& call = work.call;
    if (call.started) return work.refuse("Hanlin was stopped while this call ran; whether it had an effect is unknown");
    work.tool = parts_.tools.find(call.name);
    if (work.tool == nullptr) return work.refuse(fmt::format("there is no tool \"{}\"; the tools are: {}", call.name, tool_names()));
    const int64_t most = parts_.request.limits.max_calls_per_tool;
    if (number > most) return work.refuse(fmt::format("{} may be called {} times only; go on without it", call.name, most));
    Result<Json> arguments = parse_json(call.arguments.empty() ? "{}" : call.arguments);
    if (!arguments.ok()) return work.refuse(fmt::format("the arguments of {} are not JSON: {}", call.name, arguments.error().message));
    work.arguments = std::move(arguments).value();
    if (!work.arguments.is_object()) return work.refuse(fmt::format("the arguments of {} must be a JSON object, got {}", call.name, dump_json(work.arguments)));
    if (const Status status = check_arguments(work.tool->tool().parameters_json, work.arguments); !status.ok()) return work.refuse(status.error().message);
    const auto own = parts_.request.permissions.find(call.name);
    work.permission = work.tool->permission();
    if (own != parts_.request.permissions.end()) work.permission = std::max(work.permission, own->second);  // the stricter
    if (work.permission == Permission::kDeny) return work.refuse(fmt::format("{} may not be used here", call.name));
    if (call.approved && !*call.approved) return work.refuse(denial(call.denial));
    if (call.approved && call.given) return work.set(true, *call.given);
  }

  static std::string denial(const std::string& reason) { return "the user did not allow this call" + (reason.empty() ? std::string() : ": " + reason); }

  // On a thread of its own.
  void run_one(Work& work) {
    const bool asks = work.permission == Permission::kAsk && !work.call.approved.value_or(false);
    if (asks && !ask(work)) return;
    if (work.done) return;
    if (!emit("call", {{"id", work.call.id}, {"name", work.call.name}, {"arguments", work.arguments}})) return;
    const auto start = Clock::now();
    ToolContext context{.deadline = start + clock_duration(parts_.request.limits.tool_seconds), .stop = parts_.stop, .run_id = parts_.run_id};
    const Result<std::string> result = run_tool(*work.tool, work.arguments, context);
    work.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const auto most = static_cast<size_t>(parts_.request.limits.max_result_bytes);
    if (result.ok()) work.set(true, cap_text(*result, most));
    else work.refuse(cap_text(result.error().message, most));
  }

  // Asks a person. False: it is settled, or the run was stopped.
  bool ask(Work& work) {
    const std::string id = "appr_" + work.call.id.substr(work.call.id.find('_') + 1);
    parts_.approvals->ask({id, work.call.id, work.call.name, work.arguments});
    const double seconds = parts_.request.limits.approval_seconds;
    if (!emit("approval", {{"id", id}, {"call_id", work.call.id}, {"name", work.call.name}, {"arguments", work.arguments}, {"seconds", seconds}})) return false;
    std::optional<Decision> decision = parts_.approvals->wait(id, Clock::now() + clock_duration(seconds), parts_.stop);
    if (!decision && parts_.stop.stop_requested()) return false;
    if (!decision) decision = Decision{.approved = false, .reason = fmt::format("nobody answered within {} s", seconds)};
    Json data = {{"id", id}, {"approved", decision->approved}};
    if (!decision->reason.empty()) data["reason"] = decision->reason;
    if (decision->approved && decision->result) data["result"] = *decision->result;
    if (!emit("decision", std::move(data))) return false;
    if (!decision->approved) work.refuse(denial(decision->reason));
    else if (decision->result) work.set(true, cap_text(*decision->result, static_cast<size_t>(parts_.request.limits.max_result_bytes)));
    return !work.done;
  }

  bool emit(const char* type, Json data) {
    const std::lock_guard lock(mutex_);
    if (failure_.ok()) failure_ = emit_(type, std::move(data));
    return failure_.ok();
  }

  const CallBatch& parts_;
  const std::function<Status(const char*, Json)>& emit_;
  std::vector<Work> works_;
  std::mutex mutex_;
  Status failure_;
};

}  // namespace

Status run_call_batch(const CallBatch& batch, const std::function<Status(const char*, Json)>& emit) { return Batch(batch, emit).run(); }

}  // namespace hanlin::agent
