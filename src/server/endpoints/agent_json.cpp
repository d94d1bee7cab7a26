#include "server/endpoints/agent_json.h"

#include "base/json.h"

namespace hanlin::server {
namespace {

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json parsed(const std::string& text) {
  Result<Json> json = parse_json(text);
  return json.ok() ? std::move(json).value() : Json(text);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 32);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::string decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0;
    out.push_back(escape ? static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])) : text[i] == '+' ? ' ' : text[i]);
    if (escape) i += 2;
  }
  return out;
}

}  // namespace

Json agent_run_json(const agent::RunView& view) {
  const agent::RunProgress& progress = view.progress;
  Json json = {{"id", view.id}, {"object", "agent.run"}, {"state", view.state}, {"task", view.request.task}, {"model", view.request.model},
               {"mode", view.request.mode == agent::RunMode::kReact ? "react" : "functions"}, {"created_at", view.created_ms / 1000}, {"updated_at", view.updated_ms / 1000}};
  json["answer"] = text_or_null(progress.answer);
  json["limit"] = text_or_null(progress.limit);
  json["error"] = text_or_null(progress.error);
  json["steps"] = progress.n_steps;
  json["seconds"] = progress.seconds;
  json["usage"] = {{"prompt_tokens", progress.prompt_tokens}, {"completion_tokens", progress.completion_tokens}, {"total_tokens", progress.prompt_tokens + progress.completion_tokens}};
  Json& calls = json["calls"] = Json::array();
  for (const agent::DoneCall& call : progress.done_calls) calls.push_back({{"name", call.name}, {"arguments", parsed(call.arguments)}, {"ok", call.ok}, {"result", call.result}});
  Json& approvals = json["approvals"] = Json::array();
  for (const agent::ApprovalRequest& question : view.approvals) {
    approvals.push_back({{"id", question.id}, {"call_id", question.call_id}, {"name", question.name}, {"arguments", question.arguments}});
  }
  json["n_events"] = view.n_events;
  json["request"] = agent::run_request_json(view.request);
  return json;
}

Json agent_run_line(const store::StoredRun& run) {
  const Json request = parsed(run.request_json);
  return {{"id", run.id}, {"object", "agent.run"}, {"state", run.state}, {"task", request.is_object() ? request.value("task", "") : ""},
          {"created_at", run.created_ms / 1000}, {"updated_at", run.updated_ms / 1000}, {"n_events", run.n_events}};
}

Json agent_event_json(const agent::RunEvent& event) {
  Json json = {{"seq", event.seq}, {"time_ms", event.time_ms}, {"type", event.type}};
  for (const auto& [key, value] : event.data.items()) json[key] = value;
  return json;
}

Json agent_tool_json(const agent::RunnableTool& tool) {
  return {{"name", tool.tool().name}, {"description", tool.tool().description}, {"parameters", parsed(tool.tool().parameters_json.empty() ? "{}" : tool.tool().parameters_json)},
          {"permission", agent::permission_name(tool.permission())}};
}

std::string query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    const size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) == name) return decoded(pair.substr(std::min(equals + 1, pair.size())));
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return {};
}

}  // namespace hanlin::server
