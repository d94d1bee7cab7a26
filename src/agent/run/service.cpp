#include "agent/run/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "agent/memory/memory.h"
#include "agent/run/loop.h"
#include "base/log.h"

namespace hanlin::agent {
namespace {

constexpr int64_t kPage = 500;  // events read at once
constexpr int kMaxChain = 1000;  // runs of one conversation

RunEvent read_event(const store::StoredEvent& stored) {
  Result<Json> data = parse_json(stored.data_json);
  return {.seq = stored.seq, .time_ms = stored.time_ms, .type = stored.type, .data = data.ok() ? std::move(data).value() : Json::object()};
}

bool is_stored(const RunEvent& event) { return event.type != "text" && event.type != "reasoning"; }

}  // namespace

// A run that has a thread.
struct RunService::Active {
  std::string id;
  RunRequest request;
  RunProgress progress;  // the thread's
  std::shared_ptr<api::TextGenerator> generator;
  std::string model;
  std::shared_ptr<const ToolBox> tools;
  Approvals approvals;
  std::atomic<bool> cancelled{false};

  std::mutex mutex;
  std::vector<std::weak_ptr<Watcher>> watchers;
  std::map<std::string, ApprovalRequest> questions;  // open ones
  bool ended = false;  // nothing more will be emitted

  std::jthread thread;  // the last member: joined before the others go

  Active(std::string id_in, RunRequest request_in, RunProgress progress_in) : id(std::move(id_in)), request(std::move(request_in)), progress(std::move(progress_in)) {}

  std::string state() {
    const std::lock_guard lock(mutex);
    return questions.empty() ? "running" : "waiting";
  }
};

RunService::RunService(RunServiceOptions options, std::shared_ptr<const api::ModelSet> models, std::shared_ptr<const ToolBox> tools, std::unique_ptr<store::RunStore> store)
    : options_(std::move(options)), models_(std::move(models)), tools_(std::move(tools)), store_(std::move(store)), styles_(options_.tool_format) {}

RunService::~RunService() { stop(); }

Result<std::unique_ptr<RunService>> RunService::create(RunServiceOptions options, std::shared_ptr<const api::ModelSet> models, std::shared_ptr<const ToolBox> tools,
                                                       std::unique_ptr<store::RunStore> store) {
  for (const char* state : {"running", "waiting"}) {
    while (true) {
      HANLIN_ASSIGN(const auto lost, store->list({.state = state, .limit = kPage}));
      if (lost.empty()) break;
      for (const store::StoredRun& run : lost) {
        std::vector<store::StoredEvent> events = {{.type = "interrupted", .data_json = "{}"}};
        HANLIN_TRY(store->append(run.id, "interrupted", &events));
      }
    }
  }
  return std::unique_ptr<RunService>(new RunService(std::move(options), std::move(models), std::move(tools), std::move(store)));
}

Result<std::shared_ptr<ToolBox>> RunService::tools_of(const RunRequest& request) const {
  std::string names;
  for (const auto& tool : tools_->tools()) names += (names.empty() ? "" : ", ") + tool->tool().name;
  const auto unknown = [&](const char* field, const std::string& name) {
    return Error{Code::kInvalidArgument, fmt::format("{}: there is no tool \"{}\"; the tools are: {}", field, name.substr(0, 64), names.empty() ? "none" : names), field};
  };
  for (const auto& [name, permission] : request.permissions) {
    if (tools_->find(name) == nullptr) return unknown("permissions", name);
  }
  if (!request.tools) return std::make_shared<ToolBox>(*tools_);
  std::vector<std::shared_ptr<RunnableTool>> chosen;
  for (const std::string& name : *request.tools) {
    const auto& all = tools_->tools();
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& tool) { return tool->tool().name == name; });
    if (found == all.end()) return unknown("tools", name);
    chosen.push_back(*found);
  }
  return std::make_shared<ToolBox>(std::move(chosen));
}

Result<std::string> RunService::start(const RunRequest& request) {
  const std::string id = random_id("run_", 20, 36);
  HANLIN_TRY(model_of(request));
  HANLIN_ASSIGN(const std::optional<RunEvent> context, remember(request));
  RunProgress progress(request);
  if (context) progress.apply(*context);
  HANLIN_TRY(launch(id, request, std::move(progress), context));
  return id;
}

Result<const api::ServedModel*> RunService::model_of(const RunRequest& request) const {
  const api::ServedModel* model = request.model.empty() ? models_->first_generator() : models_->find(request.model);
  if (model != nullptr && model->generator != nullptr) return model;
  return Error{Code::kNotFound, request.model.empty() ? "model: none that generates is served" : fmt::format("model: none that generates is called '{}'", request.model.substr(0, 64)), "model"};
}

Result<std::vector<api::Message>> RunService::conversation(const RunRequest& request) {
  std::vector<api::Message> messages = request.history;
  std::string id = request.previous;
  for (int n = 0; !id.empty(); ++n) {
    if (n == kMaxChain) return Error{Code::kInvalidArgument, fmt::format("previous: the conversation is longer than {} runs", kMaxChain), "previous"};
    const Result<RunView> run = get(id);
    if (!run.ok()) return Error{run.error().code, "previous: " + run.error().message, "previous"};
    if (!run->progress.finished()) return Error{Code::kInvalidArgument, fmt::format("previous: expected a run that has ended; '{}' is {}", id, run->state), "previous"};
    std::vector<api::Message> earlier = run->request.history;
    earlier.push_back({.role = "user", .content = run->request.task});
    earlier.push_back({.role = "assistant", .content = run->progress.answer});
    messages.insert(messages.begin(), earlier.begin(), earlier.end());
    id = run->request.previous;
  }
  return messages;
}

Result<std::optional<RunEvent>> RunService::remember(const RunRequest& request) {
  if (request.previous.empty() && request.history.empty()) return std::optional<RunEvent>();
  HANLIN_ASSIGN(std::vector<api::Message> messages, conversation(request));
  messages.push_back({.role = "user", .content = request.task});
  HANLIN_ASSIGN(const std::unique_ptr<Memory> memory, memory_of(request));
  if (memory) {
    HANLIN_ASSIGN(messages, memory->select(messages));
  }
  // What is remembered of earlier turns stands in a system message.
  Json data = {{"note", ""}, {"messages", Json::array()}};
  for (const api::Message& message : messages) {
    if (message.role == "system") data["note"] = message.content;
    else data["messages"].push_back({{"role", message.role}, {"content", message.content}});
  }
  return std::optional<RunEvent>(RunEvent{.type = "context", .data = std::move(data)});
}

Result<std::unique_ptr<Memory>> RunService::memory_of(const RunRequest& request) const {
  const MemorySettings& settings = request.memory;
  if (settings.kind == "window") return make_window_memory(static_cast<int>(settings.turns) + 1);  // the task is a turn as well
  if (settings.kind == "summary") {
    HANLIN_ASSIGN(const api::ServedModel* model, model_of(request));
    return make_summary_memory({.generator = model->generator, .budget_tokens = settings.budget_tokens, .summary_tokens = settings.budget_tokens / 4});
  }
  if (settings.kind == "retrieval") {
    const api::ServedModel* embedder = models_->first_embedder();
    if (embedder == nullptr) return Error{Code::kInvalidArgument, "memory.kind: \"retrieval\" needs a model that embeds, and none is served", "memory.kind"};
    return make_retrieval_memory({.embedder = embedder->embedder, .n_recent_turns = static_cast<int>(settings.turns)});
  }
  return std::unique_ptr<Memory>();
}

Status RunService::launch(const std::string& id, const RunRequest& request, RunProgress progress, const std::optional<RunEvent>& first) {
  const auto active = std::make_shared<Active>(id, request, std::move(progress));
  HANLIN_ASSIGN(const api::ServedModel* model, model_of(request));
  active->model = model->name;
  active->generator = model->generator;
  HANLIN_ASSIGN(active->tools, tools_of(request));

  const std::lock_guard lock(mutex_);
  if (stopping_) return Error{Code::kUnavailable, "runs: the service is stopping"};
  for (auto it = active_.begin(); it != active_.end();) {
    const std::shared_ptr<Active> run = it->second;
    const std::lock_guard inner(run->mutex);
    it = run->ended ? active_.erase(it) : std::next(it);
  }
  if (active_.contains(id)) return Error{Code::kInvalidArgument, fmt::format("run: '{}' is running already", id), "id"};
  if (active_.size() >= options_.max_active) {
    return Error{Code::kResourceExhausted, fmt::format("runs: expected at most {} at the same time; try again when one has ended", options_.max_active)};
  }
  if (!first || first->type != "resumed") HANLIN_TRY(store_->create({.id = id, .state = "running", .request_json = dump_json(run_request_json(request))}));
  if (first) {
    std::vector<store::StoredEvent> events = {{.type = first->type, .data_json = dump_json(first->data)}};
    HANLIN_TRY(store_->append(id, "running", &events));
  }
  active_[id] = active;
  active->thread = std::jthread([this, active = active.get()](std::stop_token stop) { work(*active, std::move(stop)); });
  return {};
}

void RunService::show(Active& active, const RunEvent& event) {
  std::vector<std::shared_ptr<Watcher>> watchers;
  std::erase_if(active.watchers, [&](const std::weak_ptr<Watcher>& weak) {
    if (auto watcher = weak.lock()) watchers.push_back(std::move(watcher));
    else return true;
    return false;
  });
  for (const auto& watcher : watchers) watcher->sink(event);
}

Status RunService::emit(Active& active, RunEvent event) {
  const std::lock_guard lock(active.mutex);
  if (is_stored(event)) {
    if (event.type == "approval") {
      const std::string id = event.data["id"].get<std::string>();
      active.questions[id] = {id, event.data["call_id"].get<std::string>(), event.data["name"].get<std::string>(), event.data["arguments"]};
    }
    if (event.type == "decision") active.questions.erase(event.data["id"].get<std::string>());
    const std::string state = event.type == "finished" ? event.data["status"].get<std::string>() : event.type == "interrupted" ? "interrupted" : active.questions.empty() ? "running" : "waiting";
    std::vector<store::StoredEvent> events = {{.type = event.type, .data_json = dump_json(event.data)}};
    HANLIN_TRY(store_->append(active.id, state, &events));
    event.seq = events[0].seq;
    event.time_ms = events[0].time_ms;
    // Who reads the state from the store may remove or resume the run at once.
    active.ended = state != "running" && state != "waiting";
  }
  show(active, event);
  return {};
}

void RunService::work(Active& active, std::stop_token stop) {
  const auto started = std::chrono::steady_clock::now();
  LoopParts parts{.run_id = active.id, .generator = active.generator, .style = styles_.of(active.generator), .tools = active.tools, .approvals = &active.approvals};
  parts.emit = [this, &active](RunEvent event) { return emit(active, std::move(event)); };
  Status status = run_loop(parts, active.request, &active.progress, std::move(stop), [&] { return active.cancelled.load(); });
  if (status.ok() && !active.progress.finished()) status = emit(active, {.type = "interrupted"});
  if (!status.ok()) log_warning(fmt::format("agent run {}: {}", active.id, status.error().message));
  log_info(fmt::format("agent run {} model={} steps={} tokens={}+{} seconds={:.2f} status={}", active.id, active.model, active.progress.n_steps, active.progress.prompt_tokens,
                       active.progress.completion_tokens, std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count(),
                       active.progress.finished() ? active.progress.status : "interrupted"));
  const std::lock_guard lock(active.mutex);
  active.ended = true;
  for (const std::weak_ptr<Watcher>& weak : active.watchers) {
    if (const auto watcher = weak.lock()) watcher->at_end();
  }
  active.watchers.clear();
}

std::shared_ptr<RunService::Active> RunService::active(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = active_.find(id);
  if (found == active_.end()) return nullptr;
  const std::lock_guard inner(found->second->mutex);
  return found->second->ended ? nullptr : found->second;
}

Result<RunView> RunService::get(const std::string& id) {
  HANLIN_ASSIGN(const store::StoredRun stored, store_->get(id));
  HANLIN_ASSIGN(const Json object, parse_json(stored.request_json));
  HANLIN_ASSIGN(RunRequest request, read_run_request(object));
  RunView view{.id = id, .state = stored.state, .request = request, .created_ms = stored.created_ms, .updated_ms = stored.updated_ms, .n_events = stored.n_events, .progress = RunProgress(request)};
  HANLIN_ASSIGN(const std::vector<RunEvent> events, this->events(id, 0, INT64_MAX));
  for (const RunEvent& event : events) view.progress.apply(event);
  if (const auto running = active(id)) {
    const std::lock_guard lock(running->mutex);
    for (const auto& [question_id, question] : running->questions) view.approvals.push_back(question);
  }
  return view;
}

Result<std::vector<RunEvent>> RunService::events(const std::string& id, int64_t after_seq, int64_t limit) {
  HANLIN_ASSIGN(const std::vector<store::StoredEvent> stored, store_->events(id, after_seq, limit));
  std::vector<RunEvent> events;
  for (const store::StoredEvent& event : stored) events.push_back(read_event(event));
  return events;
}

Status RunService::resume(const std::string& id) {
  HANLIN_ASSIGN(RunView view, get(id));
  if (view.state != "interrupted") return Error{Code::kInvalidArgument, fmt::format("run: only an interrupted one can be resumed; '{}' is {}", id, view.state), "id"};
  return launch(id, view.request, std::move(view.progress), RunEvent{.type = "resumed"});
}

Status RunService::cancel(const std::string& id) {
  if (const auto running = active(id)) {
    running->cancelled = true;
    running->thread.request_stop();
    return {};
  }
  HANLIN_ASSIGN(const store::StoredRun stored, store_->get(id));
  if (stored.state != "interrupted") return Error{Code::kInvalidArgument, fmt::format("run: '{}' has ended; it is {}", id, stored.state), "id"};
  std::vector<store::StoredEvent> events = {{.type = "finished", .data_json = R"({"status":"cancelled","answer":""})"}};
  return store_->append(id, "cancelled", &events);
}

Status RunService::decide(const std::string& id, const std::string& approval_id, const Decision& decision, const Json& arguments) {
  if (const auto running = active(id)) return running->approvals.decide(approval_id, decision, arguments);
  HANLIN_ASSIGN(const store::StoredRun stored, store_->get(id));
  return Error{Code::kInvalidArgument, fmt::format("run: '{}' waits for nothing; it is {}", id, stored.state), "id"};
}

Status RunService::remove(const std::string& id) {
  if (active(id) != nullptr) return Error{Code::kInvalidArgument, fmt::format("run: '{}' is running; cancel it first", id), "id"};
  return store_->remove(id);
}

Result<std::shared_ptr<void>> RunService::watch(const std::string& id, int64_t after_seq, Watcher watcher) {
  const auto shared = std::make_shared<Watcher>(std::move(watcher));
  const auto running = active(id);
  std::unique_lock<std::mutex> lock;
  if (running) lock = std::unique_lock(running->mutex);  // nothing new comes meanwhile
  while (true) {
    HANLIN_ASSIGN(const std::vector<RunEvent> events, this->events(id, after_seq, kPage));
    for (const RunEvent& event : events) shared->sink(event);
    if (events.empty()) break;
    after_seq = events.back().seq;
  }
  if (running && !running->ended) running->watchers.push_back(shared);
  else shared->at_end();
  return std::shared_ptr<void>(shared);
}

void RunService::interrupt() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  for (const auto& [id, run] : active_) run->thread.request_stop();
}

void RunService::stop() {
  interrupt();
  std::map<std::string, std::shared_ptr<Active>> active;
  {
    const std::lock_guard lock(mutex_);
    active.swap(active_);
  }
  active.clear();  // joins
}

}  // namespace hanlin::agent
