// For tests: a service whose model says what a list tells it to, and tools that write down what was asked of them.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <latch>
#include <mutex>
#include <string>
#include <vector>

#include "agent/run/service.h"
#include "api/scripted.h"

namespace hanlin::agent {

// Says the texts one after the other, a turn each; remembers what it was asked.
class ScriptedTurns {
 public:
  explicit ScriptedTurns(std::vector<std::string> texts) : texts_(texts.begin(), texts.end()) {
    generator_ = std::make_shared<api::ScriptedGenerator>(api::ModelInfo{.name = "scripted", .has_chat_template = true}, [this](const api::GenerateRequest& request, const std::string&) {
      return next(request);
    });
  }
  std::shared_ptr<api::ScriptedGenerator> generator() { return generator_; }
  std::vector<api::GenerateRequest> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  // The messages of the nth request (0: the first).
  std::vector<api::Message> messages(size_t n) { return std::get<api::ChatPrompt>(requests().at(n).prompt).messages; }
  std::optional<Error> error_at_submit = {};

 private:
  api::Script next(const api::GenerateRequest& request) {
    const std::lock_guard lock(mutex_);
    // The first questions are the probes of ChatStyles; those come through render_chat, not here.
    requests_.push_back(request);
    api::Script script;
    script.submit_error = error_at_submit;
    if (texts_.empty()) return script;
    // In pieces of three bytes or whole characters.
    std::string piece;
    for (const char c : texts_.front()) {
      if (piece.size() >= 3 && (static_cast<unsigned char>(c) & 0xC0) != 0x80) script.tokens.push_back(std::exchange(piece, {}));
      piece.push_back(c);
    }
    if (!piece.empty()) script.tokens.push_back(piece);
    texts_.pop_front();
    return script;
  }

  std::mutex mutex_;
  std::deque<std::string> texts_;
  std::vector<api::GenerateRequest> requests_;
  std::shared_ptr<api::ScriptedGenerator> generator_;
};

// A tool made of a function.
class FunctionTool final : public RunnableTool {
 public:
  using Fn = std::function<Result<std::string>(const Json&, const ToolContext&)>;
  FunctionTool(std::string name, const char* schema, Fn fn, Permission permission = Permission::kAllow) : fn_(std::move(fn)), permission_(permission) {
    tool_ = {.name = std::move(name), .description = "a tool of a test", .parameters_json = schema};
  }
  const Tool& tool() const override { return tool_; }
  Permission permission() const override { return permission_; }
  Result<std::string> run(const Json& arguments, const ToolContext& context) override {
    {
      const std::lock_guard lock(mutex_);
      calls_.push_back(dump_json(arguments));
    }
    return fn_(arguments, context);
  }
  std::vector<std::string> calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  Tool tool_;
  const Fn fn_;
  const Permission permission_;
  std::mutex mutex_;
  std::vector<std::string> calls_;
};

inline constexpr char kTextSchema[] = R"({"type":"object","properties":{"text":{"type":"string"}},"required":["text"],"additionalProperties":false})";

inline std::shared_ptr<FunctionTool> echo_tool(Permission permission = Permission::kAllow) {
  return std::make_shared<FunctionTool>("echo", kTextSchema, [](const Json& arguments, const ToolContext&) -> Result<std::string> { return "echo " + arguments["text"].get<std::string>(); }, permission);
}

// A call as the scripted model's format has it.
inline std::string call_of(const std::string& name, const std::string& arguments) { return R"({"name": ")" + name + R"(", "arguments": )" + arguments + "}"; }

class RunsTest : public ::testing::Test {
 protected:
  void start_service(std::vector<std::string> texts, std::vector<std::shared_ptr<RunnableTool>> tools, std::unique_ptr<store::RunStore> store = nullptr, RunServiceOptions options = {}) {
    turns = std::make_unique<ScriptedTurns>(std::move(texts));
    auto models = std::make_shared<api::ModelSet>();
    models->models.push_back({.name = "scripted", .generator = turns->generator()});
    if (!store) store = store::open_sqlite_runs(":memory:").value();
    auto created = RunService::create(options, models, std::make_shared<ToolBox>(std::move(tools)), std::move(store));
    ASSERT_TRUE(created.ok()) << created.error().message;
    service = std::move(created).value();
  }

  // Starts a run and waits for its end.
  RunView run(const RunRequest& request) {
    const auto id = service->start(request);
    if (!id.ok()) {
      ADD_FAILURE() << id.error().message;
      return {.progress = RunProgress(request)};
    }
    wait(*id);
    return view(*id);
  }
  RunView view(const std::string& id) { return service->get(id).value(); }

  // All events to the end, live pieces among them.
  std::vector<RunEvent> wait(const std::string& id, const std::function<void(const RunEvent&)>& on_event = {}) {
    std::vector<RunEvent> events;
    std::latch ended(1);
    const auto handle = service->watch(id, 0, {[&](const RunEvent& event) {
      events.push_back(event);
      if (on_event) on_event(event);
    }, [&] { ended.count_down(); }});
    EXPECT_TRUE(handle.ok());
    if (handle.ok()) ended.wait();
    return events;
  }

  std::unique_ptr<ScriptedTurns> turns;
  std::unique_ptr<RunService> service;
};

inline std::vector<std::string> types_of(const std::vector<RunEvent>& events) {
  std::vector<std::string> types;
  for (const RunEvent& event : events) {
    if (event.seq != 0) types.push_back(event.type);
  }
  return types;
}

}  // namespace hanlin::agent
