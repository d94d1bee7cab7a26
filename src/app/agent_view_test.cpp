#include "app/agent_view.h"

#include <gtest/gtest.h>

namespace hanlin::app {
namespace {

struct Shown {
  std::string steps, answer;
};

Shown show(AgentViewOptions options, const std::vector<std::pair<std::string, std::string>>& events) {
  Shown shown;
  AgentView view(options, [&](const std::string& text) { shown.steps += text; }, [&](const std::string& text) { shown.answer += text; });
  for (const auto& [type, data] : events) view.on_event({.type = type, .data = *parse_json(data)});
  return shown;
}

const std::vector<std::pair<std::string, std::string>> kRun = {
    {"step", R"({"step":1,"final":false})"},
    {"turn", R"({"step":1,"content":"","reasoning":"look it up","calls":[{"id":"call_1","name":"get_weather","arguments":"{}"}]})"},
    {"call", R"({"id":"call_1","name":"get_weather","arguments":{"location":"北京","days":2}})"},
    {"result", R"({"id":"call_1","name":"get_weather","ok":true,"result":"22 °C\nsunny","seconds":0.012})"},
    {"step", R"({"step":2,"final":false})"},
    {"text", R"({"text":"It is "})"},
    {"text", R"({"text":"sunny."})"},
    {"turn", R"({"step":2,"content":"It is sunny.","reasoning":"","calls":[]})"},
    {"finished", R"({"status":"completed","answer":"It is sunny."})"}};

TEST(AgentView, ShowsStepsBesideTheAnswer) {
  const Shown shown = show({}, kRun);
  EXPECT_EQ(shown.answer, "It is sunny.\n");
  EXPECT_EQ(shown.steps, "● step 1\n  look it up\n  → get_weather(location=\"北京\", days=2)\n  ← 22 °C\n    sunny (0.01 s)\n● step 2\n");
}

TEST(AgentView, ALiveAnswerIsShownOnce) {
  const Shown shown = show({.live_answer = true}, kRun);
  EXPECT_EQ(shown.answer, "It is sunny.\n");
}

TEST(AgentView, QuietShowsTheAnswerAlone) {
  const Shown shown = show({.steps = false}, kRun);
  EXPECT_EQ(shown.answer, "It is sunny.\n");
  EXPECT_EQ(shown.steps, "");
}

TEST(AgentView, SaysWhatWentWrong) {
  const Shown shown = show({}, {{"result", R"({"ok":false,"result":"error: no","seconds":0})"}, {"limit", R"({"limit":"max_steps","message":"the limit of 2 steps is reached"})"},
                                {"decision", R"({"approved":false,"reason":"too late"})"}, {"finished", R"({"status":"not_finished","answer":"so far"})"}});
  EXPECT_EQ(shown.steps, "  ← error: no (0.00 s)\n  ! the limit of 2 steps is reached\n  ? denied: too late\nnot finished\n");
  EXPECT_EQ(shown.answer, "so far\n");
}

}  // namespace
}  // namespace hanlin::app
