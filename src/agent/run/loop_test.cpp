// The loops, step by step, on a model that says exactly what it is told to.
#include <barrier>

#include "agent/run/test_runs.h"

namespace hanlin::agent {
namespace {

std::string last_result(const RunView& view) { return view.progress.done_calls.empty() ? "" : view.progress.done_calls.back().result; }

TEST_F(RunsTest, CallsAToolAndAnswers) {
  const auto echo = echo_tool();
  start_service({call_of("echo", R"({"text": "hi"})"), "It said hi."}, {echo});
  const auto id = service->start({.task = "Say hi."});
  ASSERT_TRUE(id.ok());
  const auto events = wait(*id);
  EXPECT_EQ(types_of(events), (std::vector<std::string>{"step", "turn", "call", "result", "step", "turn", "finished"}));
  const RunView view = this->view(*id);
  EXPECT_EQ(view.state, "completed");
  EXPECT_EQ(view.progress.answer, "It said hi.");
  EXPECT_EQ(echo->calls(), std::vector<std::string>{R"({"text":"hi"})"});
  EXPECT_GT(view.progress.completion_tokens, 0);
  // The text came in pieces that make the answer; nothing of the call is text.
  std::string text;
  for (const RunEvent& event : events) {
    if (event.type == "text") text += event.data["text"].get<std::string>();
  }
  EXPECT_EQ(text, "It said hi.");
  // The second request holds the call and its result.
  const auto messages = turns->messages(1);
  EXPECT_NE(messages.back().content.find("echo hi"), std::string::npos);
}

TEST_F(RunsTest, ATurnEndsAtItsLastCall) {
  const auto echo = echo_tool();
  std::string many = "[";
  for (int i = 0; i < 20; ++i) many += (i ? ", " : "") + call_of("echo", R"({"text": ")" + std::to_string(i) + "\"}");
  start_service({many + "]", "ok"}, {echo});
  RunRequest request{.task = "many"};
  request.limits.max_turn_calls = 3;
  const RunView view = run(request);
  EXPECT_EQ(echo->calls().size(), 3u);
  EXPECT_EQ(view.state, "completed");
}

TEST_F(RunsTest, AnswersWithoutTools) {
  start_service({"Four."}, {});
  const RunView view = run({.task = "2+2?"});
  EXPECT_EQ(view.progress.answer, "Four.");
  EXPECT_EQ(view.progress.n_steps, 1);
  EXPECT_FALSE(turns->requests().at(0).constraint);
}

TEST_F(RunsTest, CallsOfOneTurnRunSideBySideAndAnswerInOrder) {
  std::barrier both(2);  // each waits for the other: one after the other would never end
  const auto meet = [&](const Json& arguments, const ToolContext&) -> Result<std::string> {
    both.arrive_and_wait();
    return arguments["text"].get<std::string>();
  };
  start_service({"[" + call_of("a", R"({"text": "1"})") + ", " + call_of("b", R"({"text": "2"})") + "]", "done"},
                {std::make_shared<FunctionTool>("a", kTextSchema, meet), std::make_shared<FunctionTool>("b", kTextSchema, meet)});
  const RunView view = run({.task = "both"});
  ASSERT_EQ(view.progress.done_calls.size(), 2u);
  EXPECT_EQ(view.progress.done_calls[0].result, "1");
  EXPECT_EQ(view.progress.done_calls[1].result, "2");
  EXPECT_EQ(view.progress.answer, "done");
}

TEST_F(RunsTest, TheSameCallTwiceInATurnIsOne) {
  const auto echo = echo_tool();
  start_service({"[" + call_of("echo", R"({"text": "1"})") + ", " + call_of("echo", R"({ "text": "1" })") + ", " + call_of("echo", R"({"text": "2"})") + "]", "ok"}, {echo});
  run({.task = "once"});
  EXPECT_EQ(echo->calls(), std::vector<std::string>{R"({"text":"1"})"});
}

TEST_F(RunsTest, WhatGoesWrongWithACallIsToldToTheModel) {
  const auto fails = std::make_shared<FunctionTool>("fails", kTextSchema, [](const Json&, const ToolContext&) -> Result<std::string> { return Error{Code::kIo, "the disk is full"}; });
  const auto throws = std::make_shared<FunctionTool>("throws", kTextSchema, [](const Json&, const ToolContext&) -> Result<std::string> { throw std::runtime_error("boom"); });
  const auto denied = std::make_shared<FunctionTool>("denied", kTextSchema, [](const Json&, const ToolContext&) -> Result<std::string> { return std::string("never"); }, Permission::kDeny);
  start_service({call_of("fails", R"({"text": "x"})"), call_of("throws", R"({"text": "x"})"), call_of("denied", R"({"text": "x"})"), call_of("fails", R"({"text": 1})"), "sorry"},
                {fails, throws, denied});
  const RunView view = run({.task = "try"});
  ASSERT_EQ(view.progress.done_calls.size(), 4u);
  EXPECT_EQ(view.progress.done_calls[0].result, "error: the disk is full");
  EXPECT_EQ(view.progress.done_calls[1].result, "error: throws failed: boom");
  EXPECT_EQ(view.progress.done_calls[2].result, "error: denied may not be used here");
  EXPECT_NE(view.progress.done_calls[3].result.find("arguments[text]"), std::string::npos) << last_result(view);
  for (const DoneCall& call : view.progress.done_calls) EXPECT_FALSE(call.ok);
  EXPECT_TRUE(denied->calls().empty());
  EXPECT_EQ(fails->calls().size(), 1u);
  EXPECT_EQ(view.progress.answer, "sorry");
}

TEST_F(RunsTest, AToolThatTakesTooLongIsStopped) {
  const auto slow = std::make_shared<FunctionTool>("slow", kTextSchema, [](const Json&, const ToolContext& context) -> Result<std::string> {
    while (std::chrono::steady_clock::now() < context.deadline) std::this_thread::yield();
    return Error{Code::kDeadlineExceeded, "slow: the time is over"};
  });
  start_service({call_of("slow", R"({"text": "x"})"), "gave up"}, {slow});
  RunRequest request{.task = "wait"};
  request.limits.tool_seconds = 0.01;
  const RunView view = run(request);
  EXPECT_TRUE(last_result(view).starts_with("error: ")) << last_result(view);
  EXPECT_EQ(view.progress.answer, "gave up");
}

TEST_F(RunsTest, LongResultsAreCutAndSaySo) {
  const auto big = std::make_shared<FunctionTool>("big", kTextSchema, [](const Json&, const ToolContext&) -> Result<std::string> { return std::string(5000, 'x'); });
  start_service({call_of("big", R"({"text": "x"})"), "ok"}, {big});
  RunRequest request{.task = "big"};
  request.limits.max_result_bytes = 100;
  const RunView view = run(request);
  EXPECT_LT(last_result(view).size(), 150u);
  EXPECT_NE(last_result(view).find("4900 more bytes"), std::string::npos);
}

TEST_F(RunsTest, TheLastStepIsAForcedAnswer) {
  start_service({call_of("echo", R"({"text": "1"})"), call_of("echo", R"({"text": "2"})"), "All I know is 1 and 2."}, {echo_tool()});
  RunRequest request{.task = "count"};
  request.limits.max_steps = 2;
  const RunView view = run(request);
  EXPECT_EQ(view.state, "completed");
  EXPECT_EQ(view.progress.limit, "max_steps");
  EXPECT_EQ(view.progress.answer, "All I know is 1 and 2.");
  // It was asked without tools.
  EXPECT_TRUE(std::get<api::ChatPrompt>(turns->requests().at(2).prompt).tools_json.empty());
  EXPECT_NE(turns->messages(2).back().content.find("No more tools"), std::string::npos);
}

TEST_F(RunsTest, WithoutAForcedAnswerItSaysHowFarItGot) {
  start_service({call_of("echo", R"({"text": "1"})"), ""}, {echo_tool()});
  RunRequest request{.task = "count"};
  request.limits.max_steps = 1;
  const RunView view = run(request);
  EXPECT_EQ(view.state, "not_finished");
  EXPECT_NE(view.progress.answer.find("max_steps"), std::string::npos) << view.progress.answer;
  EXPECT_NE(view.progress.answer.find("echo 1"), std::string::npos) << view.progress.answer;
}

TEST_F(RunsTest, TokensAreBounded) {
  start_service({call_of("echo", R"({"text": "1"})"), "The end."}, {echo_tool()});
  RunRequest request{.task = "count"};
  request.limits.max_tokens = 5;
  const RunView view = run(request);
  EXPECT_EQ(view.progress.limit, "max_tokens");
  EXPECT_EQ(turns->requests().at(0).max_tokens, 5);
  EXPECT_EQ(view.progress.answer, "The end.");
}

TEST_F(RunsTest, AnAnswerThatIsCutSaysSo) {
  start_service({"This answer is too long."}, {});
  RunRequest request{.task = "talk"};
  request.limits.max_step_tokens = 2;
  const RunView view = run(request);
  EXPECT_EQ(view.state, "completed");
  EXPECT_EQ(view.progress.limit, "max_step_tokens");
  EXPECT_EQ(view.progress.answer, "This a");
}

TEST_F(RunsTest, TimeIsBounded) {
  start_service({"This model is held back.", "Final."}, {echo_tool()});
  turns->generator()->allow_steps(0);
  RunRequest request{.task = "hurry"};
  request.limits.max_seconds = 0.02;
  const auto id = service->start(request);
  ASSERT_TRUE(id.ok());
  std::string limit;
  wait(*id, [&](const RunEvent& event) {
    if (event.type != "limit") return;
    limit = event.data["limit"].get<std::string>();
    turns->generator()->run_freely();
  });
  EXPECT_EQ(limit, "max_seconds");
  EXPECT_EQ(view(*id).progress.answer, "Final.");
}

TEST_F(RunsTest, CallsOfOneToolAreBounded) {
  const auto echo = echo_tool();
  start_service({call_of("echo", R"({"text": "1"})"), "[" + call_of("echo", R"({"text": "2"})") + "," + call_of("echo", R"({"text": "3"})") + "]", "ok"}, {echo});
  RunRequest request{.task = "count"};
  request.limits.max_calls_per_tool = 2;
  const RunView view = run(request);
  EXPECT_EQ(echo->calls().size(), 2u);
  EXPECT_NE(last_result(view).find("2 times only"), std::string::npos) << last_result(view);
  EXPECT_EQ(view.state, "completed");
}

TEST_F(RunsTest, TheSameCallThreeTimesIsStopped) {
  const auto echo = echo_tool();
  start_service({call_of("echo", R"({"text": "1"})"), call_of("echo", R"({ "text" :"1"})"), call_of("echo", R"({"text": "1"})"), "I was going round in circles."}, {echo});
  const RunView view = run({.task = "loop"});
  EXPECT_EQ(echo->calls().size(), 2u);
  EXPECT_EQ(view.progress.limit, "max_repeats");
  EXPECT_EQ(view.progress.answer, "I was going round in circles.");
}

TEST_F(RunsTest, AnEmptyAnswerIsAskedAgain) {
  start_service({"", "  ", "Here it is."}, {echo_tool()});
  const RunView view = run({.task = "speak"});
  EXPECT_EQ(view.progress.answer, "Here it is.");
  EXPECT_NE(turns->messages(2).back().content.find("empty"), std::string::npos);
}

TEST_F(RunsTest, AModelThatFailsEndsTheRun) {
  start_service({"never"}, {});
  turns->error_at_submit = Error{Code::kResourceExhausted, "queue: full"};
  const RunView view = run({.task = "x"});
  EXPECT_EQ(view.state, "failed");
  EXPECT_EQ(view.progress.error, "queue: full");
}

TEST_F(RunsTest, HistoryAndInstructionsComeFirst) {
  start_service({"ok"}, {});
  RunRequest request{.task = "now", .system = "Be short.", .history = {{.role = "user", .content = "before"}, {.role = "assistant", .content = "yes"}}};
  run(request);
  const auto messages = turns->messages(0);
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[0].content, "Be short.");
  EXPECT_EQ(messages[1].content, "before");
  EXPECT_EQ(messages[3].content, "now");
}

TEST_F(RunsTest, ReactInEnglish) {
  const auto echo = echo_tool();
  start_service({"Thought: I should echo.\nAction: echo\nAction Input: {\"text\": \"hi\"}", "Thought: I know the answer.\nFinal Answer: hi\nthere"}, {echo});
  const RunView view = run({.task = "Say hi.", .mode = RunMode::kReact});
  EXPECT_EQ(echo->calls(), std::vector<std::string>{R"({"text":"hi"})"});
  EXPECT_EQ(view.progress.answer, "hi\nthere");
  const auto messages = turns->messages(1);
  EXPECT_EQ(messages.back().role, "user");
  EXPECT_TRUE(messages.back().content.starts_with("Observation: echo hi\n\n")) << messages.back().content;
  EXPECT_EQ(messages[messages.size() - 2].content, "Thought: I should echo.\nAction: echo\nAction Input: {\"text\": \"hi\"}");
  // The step's form is enforced where the engine can.
  ASSERT_TRUE(turns->requests().at(0).constraint);
  EXPECT_NE(turns->requests().at(0).constraint->source.find("Action Input:"), std::string::npos);
}

TEST_F(RunsTest, ReactInChineseWithAPlainInput) {
  const auto echo = echo_tool();
  start_service({"思考：先回显。\n行动：echo\n行动输入：北京", "思考：我知道答案了。\n最终答案：北京"}, {echo});
  const RunView view = run({.task = "请回显北京", .mode = RunMode::kReact});
  EXPECT_EQ(echo->calls(), std::vector<std::string>{R"({"text":"北京"})"});
  EXPECT_EQ(view.progress.answer, "北京");
  EXPECT_TRUE(turns->messages(1).back().content.starts_with("观察： echo 北京\n\n"));
}

TEST_F(RunsTest, ReactThatIsNoStepIsAskedAgainWithTheReason) {
  start_service({"Just chatting.", "Thought: t\nAction: nothing_here\nAction Input: {}", "Final Answer: done"}, {echo_tool()});
  const RunView view = run({.task = "go", .mode = RunMode::kReact});
  EXPECT_EQ(view.progress.answer, "done");
  EXPECT_FALSE(turns->messages(1).back().content.empty());
  EXPECT_EQ(turns->messages(1)[turns->messages(1).size() - 2].content, "Just chatting.");
  ASSERT_EQ(view.progress.done_calls.size(), 1u);
  EXPECT_EQ(view.progress.done_calls[0].result, "error: there is no tool \"nothing_here\"; the tools are: echo");
}

TEST_F(RunsTest, ReactThatNeverFindsItsFormEnds) {
  start_service({"one", "two", "three", "Final Answer: four"}, {echo_tool()});
  const RunView view = run({.task = "go", .mode = RunMode::kReact});
  EXPECT_EQ(view.progress.limit, "errors");
  EXPECT_EQ(view.progress.answer, "four");
}

}  // namespace
}  // namespace hanlin::agent
