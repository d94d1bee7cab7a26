// Runs as others see them: consent, cancelling, restarts, watching.
#include <unistd.h>

#include <filesystem>

#include "agent/run/test_runs.h"

namespace hanlin::agent {
namespace {

namespace fs = std::filesystem;

class RunServiceTest : public RunsTest {
 protected:
  RunServiceTest() : file_(fs::temp_directory_path() / ("hanlin-run-service-" + std::to_string(::getpid()) + ".db")) { forget(); }
  ~RunServiceTest() override {
    service.reset();
    forget();
  }
  std::unique_ptr<store::RunStore> store() { return store::open_sqlite_runs(file_.string()).value(); }
  void forget() {
    for (const char* end : {"", "-wal", "-shm"}) fs::remove(file_.string() + end);
  }
  // Starts a run whose question a person answers with `decision`, and waits for its end.
  RunView run_deciding(const RunRequest& request, const Decision& decision) {
    const std::string id = service->start(request).value();
    std::jthread person;
    wait(id, [&](const RunEvent& event) {
      if (event.type != "approval") return;
      person = std::jthread([this, id, event, decision] { EXPECT_TRUE(service->decide(id, event.data["id"].get<std::string>(), decision, event.data["arguments"]).ok()); });
    });
    return view(id);
  }
  const fs::path file_;
};

TEST_F(RunServiceTest, ConsentIsForExactlyTheseArguments) {
  const auto echo = echo_tool(Permission::kAsk);
  start_service({call_of("echo", R"({"text": "hi"})"), "ok"}, {echo});
  const auto id = service->start({.task = "say hi"});
  ASSERT_TRUE(id.ok());
  std::jthread person;
  const auto events = wait(*id, [&](const RunEvent& event) {
    if (event.type != "approval") return;
    person = std::jthread([this, id = *id, event] {
      // The view shows what is asked.
      const RunView view = this->view(id);
      EXPECT_EQ(view.state, "waiting");
      ASSERT_EQ(view.approvals.size(), 1u);
      const std::string question = event.data["id"].get<std::string>();
      const Status wrong = service->decide(id, question, {.approved = true}, Json{{"text", "bye"}});
      ASSERT_FALSE(wrong.ok());
      EXPECT_EQ(wrong.error().param, "arguments");
      EXPECT_EQ(service->decide(id, "appr_x", {.approved = true}, event.data["arguments"]).error().code, Code::kNotFound);
      EXPECT_TRUE(service->decide(id, question, {.approved = true}, event.data["arguments"]).ok());
    });
  });
  EXPECT_EQ(types_of(events), (std::vector<std::string>{"step", "turn", "approval", "decision", "call", "result", "step", "turn", "finished"}));
  EXPECT_EQ(echo->calls().size(), 1u);
}

TEST_F(RunServiceTest, ADeniedCallDoesNotRun) {
  const auto echo = echo_tool(Permission::kAsk);
  start_service({call_of("echo", R"({"text": "hi"})"), "ok"}, {echo});
  const RunView view = run_deciding({.task = "say hi"}, {.approved = false, .reason = "not now"});
  EXPECT_TRUE(echo->calls().empty());
  EXPECT_EQ(view.progress.done_calls.at(0).result, "error: the user did not allow this call: not now");
}

TEST_F(RunServiceTest, AResultMayBeGivenInsteadOfACall) {
  const auto echo = echo_tool(Permission::kAsk);
  start_service({call_of("echo", R"({"text": "hi"})"), "ok"}, {echo});
  const RunView view = run_deciding({.task = "say hi"}, {.approved = true, .result = "by hand"});
  EXPECT_TRUE(echo->calls().empty());
  EXPECT_EQ(view.progress.done_calls.at(0).result, "by hand");
  EXPECT_TRUE(view.progress.done_calls.at(0).ok);
}

TEST_F(RunServiceTest, SilenceMeansNo) {
  const auto echo = echo_tool(Permission::kAsk);
  start_service({call_of("echo", R"({"text": "hi"})"), "ok"}, {echo});
  RunRequest request{.task = "say hi"};
  request.limits.approval_seconds = 0.01;
  const RunView view = run(request);
  EXPECT_TRUE(echo->calls().empty());
  EXPECT_NE(view.progress.done_calls.at(0).result.find("nobody answered"), std::string::npos);
  EXPECT_EQ(view.state, "completed");
}

TEST_F(RunServiceTest, TheStricterPermissionHolds) {
  const auto open = echo_tool(), closed = std::make_shared<FunctionTool>("closed", kTextSchema, [](const Json&, const ToolContext&) -> Result<std::string> { return std::string(""); }, Permission::kDeny);
  start_service({"[" + call_of("echo", R"({"text": "1"})") + "," + call_of("closed", R"({"text": "2"})") + "]", "ok"}, {open, closed});
  const RunView view = run({.task = "both", .permissions = {{"echo", Permission::kDeny}, {"closed", Permission::kAllow}}});
  EXPECT_EQ(view.progress.done_calls.at(0).result, "error: echo may not be used here");
  EXPECT_EQ(view.progress.done_calls.at(1).result, "error: closed may not be used here");
}

TEST_F(RunServiceTest, ACancelledRunEndsWhileTheModelSpeaks) {
  start_service({"A long answer that never comes to its end."}, {});
  turns->generator()->allow_steps(2);
  const auto id = service->start({.task = "talk"});
  turns->generator()->wait_until([](const auto& counts) { return counts.n_tokens >= 2; });
  ASSERT_TRUE(service->cancel(*id).ok());
  turns->generator()->run_freely();
  wait(*id);
  EXPECT_EQ(view(*id).state, "cancelled");
  EXPECT_EQ(service->cancel(*id).error().code, Code::kInvalidArgument);
}

TEST_F(RunServiceTest, ACancelledRunEndsWhileItWaitsForAPerson) {
  start_service({call_of("echo", R"({"text": "hi"})"), "ok"}, {echo_tool(Permission::kAsk)});
  const auto id = service->start({.task = "say hi"});
  std::jthread person;
  wait(*id, [&](const RunEvent& event) {
    if (event.type == "approval") person = std::jthread([this, id = *id] { EXPECT_TRUE(service->cancel(id).ok()); });
  });
  EXPECT_EQ(view(*id).state, "cancelled");
}

TEST_F(RunServiceTest, ARunGoesOnAfterARestart) {
  // The first process is stopped while it waits for consent to the second of two calls; the first one is done.
  const auto first = std::make_shared<FunctionTool>("first", kTextSchema, [](const Json&, const ToolContext&) -> Result<std::string> { return std::string("one"); });
  const auto echo = echo_tool(Permission::kAsk);
  start_service({call_of("first", R"({"text": "1"})"), call_of("echo", R"({"text": "2"})")}, {first, echo}, store());
  const auto id = service->start({.task = "two calls"});
  std::latch asked(1);
  const auto handle = service->watch(*id, 0, {[&](const RunEvent& event) {
    if (event.type == "approval") asked.count_down();
  }, [] {}});
  asked.wait();
  service->stop();
  service.reset();

  start_service({"Both are done."}, {first, echo}, store());
  EXPECT_EQ(view(*id).state, "interrupted");
  ASSERT_TRUE(service->resume(*id).ok());
  std::jthread person;
  wait(*id, [&](const RunEvent& event) {
    // The old question is shown again as part of the trace; the new one has the higher number.
    if (event.type == "approval" && event.seq > 8) person = std::jthread([this, id = *id, event] { EXPECT_TRUE(service->decide(id, event.data["id"].get<std::string>(), {.approved = true}, event.data["arguments"]).ok()); });
  });
  const RunView view = this->view(*id);
  EXPECT_EQ(view.state, "completed") << view.progress.error;
  EXPECT_EQ(view.progress.answer, "Both are done.");
  EXPECT_EQ(first->calls().size(), 1u);
  EXPECT_EQ(echo->calls().size(), 1u);
  // The model saw the whole conversation.
  EXPECT_EQ(turns->requests().size(), 1u);
  EXPECT_NE(turns->messages(0).back().content.find("echo 2"), std::string::npos);
  EXPECT_EQ(service->resume(*id).error().code, Code::kInvalidArgument);
}

TEST_F(RunServiceTest, ACallThatWasCutOffIsNotRunAgain) {
  // As a crash leaves it: the call has begun, no result was stored.
  {
    const auto store = this->store();
    ASSERT_TRUE(store->create({.id = "run_x", .state = "running", .request_json = R"({"task":"t"})"}).ok());
    std::vector<store::StoredEvent> events = {
        {.type = "step", .data_json = R"({"step":1,"final":false})"},
        {.type = "turn", .data_json = R"({"step":1,"content":"","reasoning":"","calls":[{"id":"call_1","name":"echo","arguments":"{\"text\":\"x\"}"}]})"},
        {.type = "call", .data_json = R"({"id":"call_1","name":"echo","arguments":{"text":"x"}})"}};
    ASSERT_TRUE(store->append("run_x", "running", &events).ok());
  }
  const auto echo = echo_tool();
  start_service({"I do not know whether it worked."}, {echo}, store());
  EXPECT_EQ(view("run_x").state, "interrupted");
  ASSERT_TRUE(service->resume("run_x").ok());
  wait("run_x");
  EXPECT_TRUE(echo->calls().empty());
  EXPECT_NE(view("run_x").progress.done_calls.at(0).result.find("unknown"), std::string::npos);
  EXPECT_EQ(view("run_x").state, "completed");
}

TEST_F(RunServiceTest, ATraceIsReplayedFromAnyPlace) {
  start_service({call_of("echo", R"({"text": "hi"})"), "ok"}, {echo_tool()});
  const RunView view = run({.task = "say hi"});
  const auto all = wait(view.id);
  EXPECT_EQ(all.size(), 7u);  // without the pieces of text: those are not stored
  std::vector<int64_t> seqs;
  bool ended = false;
  const auto handle = service->watch(view.id, 5, {[&](const RunEvent& event) { seqs.push_back(event.seq); }, [&] { ended = true; }});
  EXPECT_TRUE(ended);
  EXPECT_EQ(seqs, (std::vector<int64_t>{6, 7}));
  EXPECT_EQ(service->events(view.id, 0, 3)->size(), 3u);
}

TEST_F(RunServiceTest, AConversationGoesOn) {
  start_service({"Paris.", "About two million.", "Yes."}, {});
  const RunView first = run({.task = "Capital of France?"});
  const RunView second = run({.task = "How many people live there?", .previous = first.id});
  ASSERT_EQ(turns->messages(1).size(), 3u);
  EXPECT_EQ(turns->messages(1)[1].content, "Paris.");
  // Of the whole conversation the last turn is seen.
  const RunView third = run({.task = "Sure?", .previous = second.id, .memory = {.kind = "window", .turns = 1}});
  const auto messages = turns->messages(2);
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(messages[0].content, "How many people live there?");
  EXPECT_EQ(messages[2].content, "Sure?");
  EXPECT_EQ(third.progress.answer, "Yes.");
  EXPECT_EQ(service->start({.task = "t", .previous = "run_none"}).error().param, "previous");
  EXPECT_EQ(service->start({.task = "t", .previous = first.id, .memory = {.kind = "retrieval"}}).error().param, "memory.kind");
}

TEST_F(RunServiceTest, WhatIsRememberedStandsInTheInstructions) {
  // A budget that holds the last turn only: the model is asked for a summary first.
  start_service({"They spoke of Paris.", "ok"}, {});
  std::vector<api::Message> history;
  for (int i = 0; i < 6; ++i) {
    history.push_back({.role = "user", .content = std::string(100, static_cast<char>('a' + i))});
    history.push_back({.role = "assistant", .content = "yes"});
  }
  run({.task = "go on", .system = "Be short.", .history = history, .memory = {.kind = "summary", .budget_tokens = 300}});
  ASSERT_EQ(turns->requests().size(), 2u);
  const auto messages = turns->messages(1);
  EXPECT_EQ(messages[0].role, "system");
  EXPECT_TRUE(messages[0].content.starts_with("Be short.\n\n")) << messages[0].content;
  EXPECT_NE(messages[0].content.find("They spoke of Paris."), std::string::npos) << messages[0].content;
  EXPECT_EQ(messages.back().content, "go on");
  EXPECT_LT(messages.size(), 8u);
}

TEST_F(RunServiceTest, UnknownNamesAreErrors) {
  start_service({}, {echo_tool()});
  EXPECT_EQ(service->start({.task = "t", .model = "other"}).error().param, "model");
  EXPECT_EQ(service->start({.task = "t", .tools = {{"nope"}}}).error().param, "tools");
  EXPECT_EQ(service->start({.task = "t", .permissions = {{"nope", Permission::kDeny}}}).error().param, "permissions");
  for (const Code code : {service->get("run_none").error().code, service->cancel("run_none").error().code, service->resume("run_none").error().code, service->remove("run_none").error().code,
                          service->watch("run_none", 0, {[](const RunEvent&) {}, [] {}}).error().code, service->decide("run_none", "a", {}, Json()).error().code}) {
    EXPECT_EQ(code, Code::kNotFound);
  }
  EXPECT_TRUE(service->list({})->empty());
}

TEST_F(RunServiceTest, OnlySoManyRunAtOnce) {
  start_service({"held back", "held back", "free"}, {}, nullptr, {.max_active = 2});
  turns->generator()->allow_steps(0);
  const auto a = service->start({.task = "a"}), b = service->start({.task = "b"});
  ASSERT_TRUE(a.ok() && b.ok());
  const auto c = service->start({.task = "c"});
  ASSERT_FALSE(c.ok());
  EXPECT_EQ(c.error().code, Code::kResourceExhausted);
  EXPECT_EQ(service->remove(*a).error().code, Code::kInvalidArgument);
  turns->generator()->run_freely();
  wait(*a);
  wait(*b);
  EXPECT_EQ(service->list({})->size(), 2u);
  EXPECT_EQ(run({.task = "c"}).state, "completed");
  EXPECT_TRUE(service->remove(*a).ok());
  EXPECT_EQ(service->get(*a).error().code, Code::kNotFound);
}

TEST_F(RunServiceTest, OnlyChosenToolsAreOffered) {
  const auto other = std::make_shared<FunctionTool>("other", kTextSchema, [](const Json&, const ToolContext&) -> Result<std::string> { return std::string(""); });
  start_service({"ok"}, {echo_tool(), other});
  run({.task = "t", .tools = {{"other"}}});
  const std::string prompt = std::get<api::ChatPrompt>(turns->requests().at(0).prompt).tools_json;
  EXPECT_NE(prompt.find("other"), std::string::npos) << prompt;
  EXPECT_EQ(prompt.find("echo"), std::string::npos);
}

}  // namespace
}  // namespace hanlin::agent
