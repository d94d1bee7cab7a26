#include "server/endpoints/agent_json.h"

#include "base/json.h"

namespace hanlin::server {
namespace {

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

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
  json["calls"] = agent::done_calls_json(progress);
  Json& approvals = json["approvals"] = Json::array();
  for (const agent::ApprovalRequest& question : view.approvals) {
    approvals.push_back({{"id", question.id}, {"call_id", question.call_id}, {"name", question.name}, {"arguments", question.arguments}});
  }
  json["n_events"] = view.n_events;
  json["request"] = agent::run_request_json(view.request);
  return json;
}

Json agent_run_line(const store::StoredRun& run) {
  const Result<Json> request = parse_json(run.request_json);
  return {{"id", run.id}, {"object", "agent.run"}, {"state", run.state}, {"task", request.ok() && request->is_object() ? request->value("task", "") : ""},
          {"created_at", run.created_ms / 1000}, {"updated_at", run.updated_ms / 1000}, {"n_events", run.n_events}};
}

Json agent_event_json(const agent::RunEvent& event) {
  Json json = {{"seq", event.seq}, {"time_ms", event.time_ms}, {"type", event.type}};
  for (const auto& [key, value] : event.data.items()) json[key] = value;
  return json;
}

Json agent_tool_json(const agent::RunnableTool& tool) {
  return {{"name", tool.tool().name}, {"description", tool.tool().description}, {"parameters", agent::parameters_schema(tool.tool())},
          {"permission", agent::permission_name(tool.permission())}};
}

}  // namespace hanlin::server
