#include "agent/run/progress.h"

#include <algorithm>

#include "base/json.h"

namespace hanlin::agent {
namespace {

// Keys in order, so that equal objects have equal texts.
nlohmann::json sorted(const Json& value) { return nlohmann::json::parse(dump_json(value)); }

}  // namespace

std::string text_of(const Json& data, const char* name) {
  const auto found = data.find(name);
  return found != data.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string call_text(const std::string& name, const std::string& arguments_json) {
  const Result<Json> arguments = parse_json(arguments_json);
  return name + (arguments.ok() ? sorted(*arguments).dump() : arguments_json);
}

RunProgress::RunProgress(const RunRequest& request) : messages(request.history) { messages.push_back({.role = "user", .content = request.task}); }

OpenCall* RunProgress::open_call(const std::string& id) {
  const auto found = std::find_if(open_calls.begin(), open_calls.end(), [&](const OpenCall& call) { return call.id == id; });
  return found == open_calls.end() ? nullptr : &*found;
}

void RunProgress::apply(const RunEvent& event) {
  const Json& data = event.data;
  if (event.type == "context") {
    note = text_of(data, "note");
    messages.clear();
    for (const Json& message : data.value("messages", Json::array())) messages.push_back({.role = text_of(message, "role"), .content = text_of(message, "content")});
  } else if (event.type == "turn") {
    add_turn(data);
  } else if (event.type == "call") {
    if (OpenCall* call = open_call(text_of(data, "id"))) call->started = true;
  } else if (event.type == "approval") {
    if (OpenCall* call = open_call(text_of(data, "call_id"))) call->approval = text_of(data, "id");
  } else if (event.type == "decision") {
    for (OpenCall& call : open_calls) {
      if (call.approval != text_of(data, "id")) continue;
      call.approved = data.value("approved", false);
      call.denial = text_of(data, "reason");
      if (data.contains("result")) call.given = text_of(data, "result");
    }
  } else if (event.type == "result") {
    add_result(data);
  } else if (event.type == "limit") {
    limit = text_of(data, "limit");
  } else if (event.type == "finished") {
    status = text_of(data, "status");
    answer = text_of(data, "answer");
    error = text_of(data, "error");
  }
}

Json done_calls_json(const RunProgress& progress) {
  Json calls = Json::array();
  for (const DoneCall& call : progress.done_calls) {
    Result<Json> arguments = parse_json(call.arguments);
    calls.push_back({{"name", call.name}, {"arguments", arguments.ok() ? std::move(arguments).value() : Json(call.arguments)}, {"ok", call.ok}, {"result", call.result}});
  }
  return calls;
}

void RunProgress::add_turn(const Json& turn) {
  n_steps = std::max(n_steps, turn.value("step", int64_t{0}));
  prompt_tokens += turn.value("prompt_tokens", int64_t{0});
  completion_tokens += turn.value("completion_tokens", int64_t{0});
  seconds += turn.value("seconds", 0.0);
  api::Message message{.role = "assistant", .content = text_of(turn, "content"), .reasoning = text_of(turn, "reasoning")};
  for (const Json& call : turn.value("calls", Json::array())) {
    message.tool_calls.push_back({text_of(call, "id"), text_of(call, "name"), text_of(call, "arguments")});
    open_calls.push_back({.id = text_of(call, "id"), .name = text_of(call, "name"), .arguments = text_of(call, "arguments")});
    ++calls_by_tool[open_calls.back().name];
    ++calls_by_text[call_text(open_calls.back().name, open_calls.back().arguments)];
  }
  messages.push_back(std::move(message));
  const std::string problem = text_of(turn, "error");
  n_errors = problem.empty() ? 0 : n_errors + 1;
  if (!problem.empty()) messages.push_back({.role = "user", .content = problem});
}

void RunProgress::add_result(const Json& result) {
  const std::string id = text_of(result, "id");
  OpenCall* call = open_call(id);
  if (call == nullptr) return;
  seconds += result.value("seconds", 0.0);
  done_calls.push_back({call->name, call->arguments, text_of(result, "result"), result.value("ok", false)});
  messages.push_back({.role = "tool", .content = text_of(result, "result"), .name = call->name, .tool_call_id = id});
  open_calls.erase(open_calls.begin() + (call - open_calls.data()));
}

}  // namespace hanlin::agent
