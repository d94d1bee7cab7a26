#include "agent/run/request.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace hanlin::agent {
namespace {

TEST(RunRequest, IsReadBackAsItWasWritten) {
  const char* text = R"({"task":"做一下","model":"m","mode":"react","system":"s","temperature":0.5,"seed":7,"tools":["a"],
    "permissions":{"a":"ask"},"history":[{"role":"user","content":"u"},{"role":"assistant","content":"v"}],"limits":{"max_steps":3,"tool_seconds":0.5},"previous":"run_1","memory":{"kind":"summary","budget_tokens":100}})";
  const auto request = read_run_request(*parse_json(text));
  ASSERT_TRUE(request.ok()) << request.error().message;
  EXPECT_EQ(request->mode, RunMode::kReact);
  EXPECT_EQ(request->limits.max_steps, 3);
  EXPECT_EQ(request->limits.tool_seconds, 0.5);
  EXPECT_EQ(request->limits.max_tokens, RunLimits().max_tokens);
  EXPECT_EQ(request->permissions.at("a"), Permission::kAsk);
  EXPECT_EQ(*request->seed, 7u);
  EXPECT_EQ(request->previous, "run_1");
  EXPECT_EQ(request->memory.kind, "summary");
  EXPECT_EQ(request->memory.budget_tokens, 100);
  const auto again = read_run_request(run_request_json(*request));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(dump_json(run_request_json(*again)), dump_json(run_request_json(*request)));
  EXPECT_EQ(again->history.at(1).content, "v");
}

TEST(RunRequest, NamesTheFieldThatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "task"},
      {R"({"task":"  "})", "task"},
      {R"({"task":1})", "task"},
      {R"({"task":"t","mode":"dance"})", "mode"},
      {R"({"task":"t","limits":{"max_steps":0}})", "limits.max_steps"},
      {R"({"task":"t","limits":{"max_step":1}})", "limits.max_step"},
      {R"({"task":"t","limits":[]})", "limits"},
      {R"({"task":"t","tools":"a"})", "tools"},
      {R"({"task":"t","tools":[1]})", "tools[0]"},
      {R"({"task":"t","permissions":{"a":"maybe"}})", "permissions.a"},
      {R"({"task":"t","history":[{"role":"system","content":"x"}]})", "history[0]"},
      {R"({"task":"t","seed":-1})", "seed"},
      {R"({"task":"t","temperature":-1})", "temperature"},
      {R"({"task":"t","taks":"t"})", "taks"},
      {R"({"task":"t","memory":{"kind":"none"}})", "memory.kind"},
  };
  for (const auto& [text, param] : cases) {
    const auto request = read_run_request(*parse_json(text));
    ASSERT_FALSE(request.ok()) << text;
    EXPECT_EQ(request.error().code, Code::kInvalidArgument) << text;
    EXPECT_EQ(request.error().param, param) << request.error().message;
    EXPECT_TRUE(request.error().message.starts_with(param)) << request.error().message;
  }
  EXPECT_NE(read_run_request(*parse_json(R"({"task":"t","limits":{"max_step":1}})")).error().message.find("limits.max_steps?"), std::string::npos);
}

}  // namespace
}  // namespace hanlin::agent
