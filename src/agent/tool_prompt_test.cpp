#include "agent/tool_prompt.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace hanlin::agent {
namespace {

ToolSet one_tool() { return ToolSet({{"get_weather", "Weather of a place", R"({"type":"object"})"}}); }

api::ChatPrompt conversation() {
  api::ChatPrompt prompt{{api::Message{"user", "Weather in Oslo?"}, api::Message{"assistant", ""}, api::Message{"function", "rain", "get_weather"},
                          api::Message{"user", "Thanks."}}};
  prompt.messages[1].tool_calls = {{"call_1", "get_weather", R"({"location": "Oslo", "days": [1, true, null]})"}};
  prompt.tools_json = "[{}]";
  return prompt;
}

TEST(ToolPrompt, TemplateThatKnowsToolsGetsThemAsTheyAre) {
  api::ChatPrompt prompt = conversation();
  fit_prompt({"hermes", true, true, true}, one_tool(), {}, &prompt);
  EXPECT_EQ(prompt.tools_json, "[{}]");
  ASSERT_EQ(prompt.messages.size(), 4u);
  EXPECT_EQ(prompt.messages[1].tool_calls.size(), 1u);
  EXPECT_EQ(prompt.messages[2].role, "tool");
  EXPECT_EQ(prompt.messages[2].tool_call_id, "call_1");
  EXPECT_EQ(prompt.answer_prefix, "");
}

TEST(ToolPrompt, TemplateWithoutToolsGetsText) {
  api::ChatPrompt prompt = conversation();
  fit_prompt({"generic_plain"}, one_tool(), {}, &prompt);
  EXPECT_EQ(prompt.tools_json, "");
  ASSERT_EQ(prompt.messages.size(), 4u);
  EXPECT_EQ(prompt.messages[0].role, "system");
  EXPECT_NE(prompt.messages[0].content.find("{\"name\": \"get_weather\", \"description\": \"Weather of a place\", \"parameters\": {\"type\":\"object\"}}"), std::string::npos);
  EXPECT_EQ(prompt.messages[2].content, R"({"name": "get_weather", "arguments": {"location": "Oslo", "days": [1, true, null]}})");
  EXPECT_EQ(prompt.messages[3].role, "user");
  EXPECT_EQ(prompt.messages[3].content, "<tool_response>\nrain\n</tool_response>\n\nThanks.");
}

TEST(ToolPrompt, GemmaGetsItsBracketsAndNoSystemMessage) {
  ChatStyle style{"pythonic"};
  style.takes_system = false;
  api::ChatPrompt prompt = conversation();
  fit_prompt(style, one_tool(), {}, &prompt);
  EXPECT_TRUE(prompt.messages[0].content.starts_with("You have access to functions."));
  EXPECT_TRUE(prompt.messages[0].content.ends_with("\n\nWeather in Oslo?"));
  EXPECT_EQ(prompt.messages[1].content, "[get_weather(location=\"Oslo\", days=[1, True, None])]");
  EXPECT_EQ(prompt.messages[2].content, "```tool_output\nrain\n```\n\nThanks.");
}

TEST(ToolPrompt, SystemMessageIsKept) {
  api::ChatPrompt prompt{{api::Message{"system", "Be kind."}, api::Message{"user", "?"}}};
  fit_prompt({"smollm2"}, one_tool(), {}, &prompt);
  ASSERT_EQ(prompt.messages.size(), 2u);
  EXPECT_TRUE(prompt.messages[0].content.starts_with("Be kind.\n\nYou are an expert in composing functions."));
}

TEST(ToolPrompt, MistralGetsIdsOfNineLetters) {
  api::ChatPrompt prompt = conversation();
  fit_prompt({"mistral_v3_array", true, true, true}, one_tool(), {}, &prompt);
  EXPECT_EQ(prompt.messages[1].tool_calls[0].id.size(), 9u);
  EXPECT_EQ(prompt.messages[1].tool_calls[0].id, prompt.messages[2].tool_call_id);
}

TEST(ToolPrompt, ASmallModelIsToldWhatIsExpectedBehindResults) {
  ChatStyle style{"hermes", true, true, true};
  style.needs_hints = true;
  api::ChatPrompt prompt = conversation();
  fit_prompt(style, one_tool(), {}, &prompt);
  EXPECT_EQ(prompt.messages.size(), 4u);  // the last message is no result
  prompt = conversation();
  prompt.messages.pop_back();
  fit_prompt(style, one_tool(), {}, &prompt);
  ASSERT_EQ(prompt.messages.size(), 4u);
  EXPECT_EQ(prompt.messages.back().role, "user");
  EXPECT_NE(prompt.messages.back().content.find("answer the question"), std::string::npos);
  prompt.messages.pop_back();
  prompt.messages[0].content = "奥斯陆天气怎么样？";
  fit_prompt(style, one_tool(), {}, &prompt);
  EXPECT_NE(prompt.messages.back().content.find("回答问题"), std::string::npos);
  // Not where a call is demanded, and not to others.
  prompt.messages.pop_back();
  fit_prompt(style, one_tool(), {.required = true}, &prompt);
  EXPECT_EQ(prompt.messages.size(), 3u);
  style.needs_hints = false;
  fit_prompt(style, one_tool(), {}, &prompt);
  EXPECT_EQ(prompt.messages.size(), 3u);
}

TEST(ToolPrompt, ForcedCallsBeginTheAnswer) {
  ChatStyle style{"hermes", true, true, true};
  style.opens_reasoning = true;
  api::ChatPrompt prompt = conversation();
  fit_prompt(style, one_tool(), {true, "get_weather"}, &prompt);
  EXPECT_EQ(prompt.answer_prefix, "\n</think>\n\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\":");
}

TEST(ToolSet, ReadsKindsOfParameters) {
  const auto json = parse_json(R"([{"function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"},
      "c":{"type":["string","null"]},"d":{"enum":["x"]},"e":{"anyOf":[]},"f":{}}}}}])");
  const auto set = ToolSet::from_openai(*json);
  ASSERT_TRUE(set.ok()) << set.error().message;
  const Tool& tool = set->tools()[0];
  EXPECT_TRUE(tool.strict);
  std::string kinds;
  for (const ToolParameter& parameter : tool.parameters) kinds += "tve"[static_cast<int>(parameter.kind)];
  EXPECT_EQ(kinds, "tvetet");
}

}  // namespace
}  // namespace hanlin::agent
