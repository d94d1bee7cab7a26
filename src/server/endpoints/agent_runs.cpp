// /api/v1/agent: runs of agents, their events, and consent for their calls.
#include <fmt/format.h>

#include <charconv>
#include <mutex>

#include "base/json.h"
#include "server/endpoints/agent_json.h"
#include "server/endpoints/endpoints.h"
#include "server/error_map.h"
#include "server/json_fields.h"
#include "server/router.h"
#include "server/sse.h"

namespace hanlin::server {
namespace {

constexpr int64_t kMaxPage = 200;
constexpr int64_t kMaxEvents = 1000;

Result<agent::RunService*> service_of(const EndpointContext& context) {
  if (context.runs == nullptr) return Error{Code::kNotFound, "agents: this service runs none; start it without --no-agents"};
  return context.runs;
}

std::string id_of(const EndpointContext& context) { return path_value("/api/v1/agent/runs/{id}", context.request.path); }

// Watching a run, as the session sees it: giving up ends the watching, not the run.
class Watching final : public api::Generation {
 public:
  explicit Watching(std::shared_ptr<void> handle) : handle_(std::move(handle)) {}
  void cancel() override {
    const std::lock_guard lock(mutex_);
    handle_.reset();
  }
  void set_paused(bool) override {}  // what a run says is bounded by its limits
  int64_t prompt_tokens() const override { return 0; }

 private:
  std::mutex mutex_;
  std::shared_ptr<void> handle_;
};

// Frames with the event's number as id, so that a client that lost its connection can go on with Last-Event-ID.
class EventStream final : public GenerationAnswer {
 public:
  bool streaming() const override { return true; }
  void on_event(SourcedEvent&& sourced, std::string* frames) override { *frames += sourced.event.text; }
  std::string closing_frames() override { return std::string(kSseDone); }
};

// The whole run, once it has ended.
class RunResult final : public GenerationAnswer {
 public:
  RunResult(agent::RunService* service, std::string id) : service_(service), id_(std::move(id)) {}
  bool streaming() const override { return false; }
  void on_event(SourcedEvent&&, std::string*) override {}
  HttpResponse response() override {
    const Result<agent::RunView> view = service_->get(id_);
    return view.ok() ? json_response(agent_run_json(*view)) : error_response(view.error());
  }

 private:
  agent::RunService* const service_;
  const std::string id_;
};

// Sends the events after `after_seq` into the request's channel, and the end of the run as its last event.
Result<RunningGeneration> watch(const EndpointContext& context, agent::RunService* service, const std::string& id, int64_t after_seq, bool stream) {
  const api::TokenSink sink = context.channel->sink(0);
  agent::RunService::Watcher watcher;
  watcher.sink = [sink, stream](const agent::RunEvent& event) {
    if (!stream) return;
    std::string frame = event.seq > 0 ? fmt::format("id: {}\n", event.seq) : "";
    frame += fmt::format("event: {}\n", event.type) + sse_frame(dump_json(agent_event_json(event)));
    sink(api::TokenEvent{.text = std::move(frame)});
  };
  watcher.at_end = [sink] { sink(api::TokenEvent{.last = true}); };
  HANLIN_ASSIGN(std::shared_ptr<void> handle, service->watch(id, after_seq, std::move(watcher)));
  RunningGeneration running;
  running.generations.push_back(std::make_shared<Watching>(std::move(handle)));
  if (stream) running.answer = std::make_unique<EventStream>();
  else running.answer = std::make_unique<RunResult>(service, id);
  return running;
}

Result<int64_t> whole_number(const std::string& text, const char* name, int64_t fallback, int64_t max) {
  if (text.empty()) return fallback;
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > max) {
    return Error{Code::kInvalidArgument, fmt::format("{}: expected a whole number from 0 to {}, got \"{}\"", name, max, text.substr(0, 40)), name};
  }
  return value;
}

HttpResponse run_response(agent::RunService* service, const std::string& id, int status = 200) {
  const Result<agent::RunView> view = service->get(id);
  if (!view.ok()) return error_response(view.error());
  HttpResponse response = json_response(agent_run_json(*view), status);
  if (status == 201) response.headers.emplace_back("Location", "/api/v1/agent/runs/" + id);
  return response;
}

Result<Reply> start(const EndpointContext& context) {
  HANLIN_ASSIGN(agent::RunService * service, service_of(context));
  HANLIN_ASSIGN(Json body, parse_body(context.request.body));
  JsonFields fields(body);
  const bool stream = fields.boolean("stream", false), wait = fields.boolean("wait", false);
  HANLIN_TRY(fields.status());
  body.erase("stream");
  body.erase("wait");
  HANLIN_ASSIGN(const agent::RunRequest request, agent::read_run_request(body));
  HANLIN_ASSIGN(const std::string id, service->start(request));
  if (!stream && !wait) return Reply(run_response(service, id, 201));
  HANLIN_ASSIGN(RunningGeneration running, watch(context, service, id, 0, stream));
  return Reply(std::move(running));
}

Result<Reply> list(const EndpointContext& context) {
  HANLIN_ASSIGN(agent::RunService * service, service_of(context));
  store::RunQuery query;
  HANLIN_ASSIGN(const int64_t limit, whole_number(query_value(context.request.query, "limit"), "limit", 50, kMaxPage));
  query.limit = limit + 1;
  if (const std::string state = query_value(context.request.query, "state"); !state.empty()) query.state = state;
  if (const std::string before = query_value(context.request.query, "before"); !before.empty()) {
    HANLIN_ASSIGN(const agent::RunView view, service->get(before));
    query.before_ms = view.created_ms;
    query.before_id = before;
  }
  HANLIN_ASSIGN(std::vector<store::StoredRun> runs, service->list(query));
  const bool has_more = static_cast<int64_t>(runs.size()) > limit;
  if (has_more) runs.pop_back();
  Json data = Json::array();
  for (const store::StoredRun& run : runs) data.push_back(agent_run_line(run));
  return Reply(json_response({{"object", "list"}, {"data", std::move(data)}, {"has_more", has_more}, {"next", has_more && !runs.empty() ? Json(runs.back().id) : Json()}}));
}

Result<Reply> events(const EndpointContext& context) {
  HANLIN_ASSIGN(agent::RunService * service, service_of(context));
  const std::string id = id_of(context), &query = context.request.query;
  HANLIN_ASSIGN(int64_t after, whole_number(query_value(query, "after"), "after", 0, INT64_MAX));
  if (const std::string_view last = context.request.header("last-event-id"); !last.empty()) {
    HANLIN_ASSIGN(after, whole_number(std::string(last), "Last-Event-ID", 0, INT64_MAX));
  }
  if (query_value(query, "stream") != "false") {
    HANLIN_ASSIGN(RunningGeneration running, watch(context, service, id, after, /*stream=*/true));
    return Reply(std::move(running));
  }
  HANLIN_ASSIGN(const int64_t limit, whole_number(query_value(query, "limit"), "limit", kMaxEvents, kMaxEvents));
  HANLIN_ASSIGN(const std::vector<agent::RunEvent> found, service->events(id, after, limit));
  Json data = Json::array();
  for (const agent::RunEvent& event : found) data.push_back(agent_event_json(event));
  return Reply(json_response({{"object", "list"}, {"data", std::move(data)}}));
}

Result<Reply> approve(const EndpointContext& context) {
  HANLIN_ASSIGN(agent::RunService * service, service_of(context));
  HANLIN_ASSIGN(const Json body, parse_body(context.request.body));
  JsonFields fields(body);
  if (!fields.find("approve")) fields.fail("approve", "expected true or false, got nothing");
  agent::Decision decision{.approved = fields.boolean("approve", false), .reason = fields.text("reason")};
  if (fields.find("result")) decision.result = fields.text("result");
  const Json* arguments = fields.find("arguments");
  HANLIN_TRY(fields.status());
  const std::string id = id_of(context);
  HANLIN_TRY(service->decide(id, path_value("/api/v1/agent/runs/{id}/approvals/{approval}", context.request.path, 1), decision, arguments ? *arguments : Json()));
  return Reply(run_response(service, id));
}

// Does `work` with the run's id and answers with the run.
template <typename Work>
Result<Reply> change(const EndpointContext& context, Work&& work) {
  HANLIN_ASSIGN(agent::RunService * service, service_of(context));
  HANLIN_TRY(work(*service, id_of(context)));
  return Reply(run_response(service, id_of(context)));
}

Reply or_error(Result<Reply> reply) { return reply.ok() ? std::move(reply).value() : Reply(error_response(reply.error())); }

}  // namespace

Reply agent_start(const EndpointContext& context) { return or_error(start(context)); }
Reply agent_list(const EndpointContext& context) { return or_error(list(context)); }
Reply agent_events(const EndpointContext& context) { return or_error(events(context)); }
Reply agent_approve(const EndpointContext& context) { return or_error(approve(context)); }
Reply agent_get(const EndpointContext& context) {
  return or_error(change(context, [](agent::RunService&, const std::string&) { return Status(); }));
}
Reply agent_cancel(const EndpointContext& context) {
  return or_error(change(context, [](agent::RunService& service, const std::string& id) { return service.cancel(id); }));
}
Reply agent_resume(const EndpointContext& context) {
  return or_error(change(context, [](agent::RunService& service, const std::string& id) { return service.resume(id); }));
}

Reply agent_remove(const EndpointContext& context) {
  const Result<agent::RunService*> service = service_of(context);
  if (!service.ok()) return error_response(service.error());
  if (const Status status = (*service)->remove(id_of(context)); !status.ok()) return error_response(status.error());
  return json_response({{"id", id_of(context)}, {"deleted", true}});
}

Reply agent_tools(const EndpointContext& context) {
  const Result<agent::RunService*> service = service_of(context);
  if (!service.ok()) return error_response(service.error());
  Json data = Json::array();
  for (const auto& tool : (*service)->tools().tools()) data.push_back(agent_tool_json(*tool));
  return json_response({{"object", "list"}, {"data", std::move(data)}});
}

}  // namespace hanlin::server
