#include "agent/native_calls.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "api/scripted.h"

namespace hanlin::agent {
namespace {

const char* kTools = R"([{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}])";

struct Answer {
  std::string text, reasoning;
  std::vector<api::ToolCall> calls;
  api::TokenEvent last;
};

// The answer to a request, put together; every piece of a call must follow its beginning.
Answer answer_of(api::TextGenerator& generator, api::GenerateRequest request) {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<api::TokenEvent> events;
  const auto generation = generator.submit(std::move(request), [&](api::TokenEvent&& event) {
    const std::lock_guard lock(mutex);
    events.push_back(std::move(event));
    changed.notify_all();
  });
  EXPECT_TRUE(generation.ok()) << generation.error().message;
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return !events.empty() && events.back().last; });
  Answer answer;
  for (const api::TokenEvent& event : events) {
    answer.text += event.text;
    answer.reasoning += event.reasoning;
    for (const api::ToolCallDelta& delta : event.calls) {
      if (delta.index == static_cast<int>(answer.calls.size())) answer.calls.push_back({delta.id, delta.name, ""});
      answer.calls.at(static_cast<size_t>(delta.index)).arguments += delta.arguments;
    }
  }
  answer.last = events.back();
  return answer;
}

api::GenerateRequest request_with(const std::string& tools, const std::string& choice = "") {
  api::GenerateRequest request;
  api::ChatPrompt prompt{.messages = {{"user", "Weather in Rome?"}}};
  prompt.tools_json = tools;
  prompt.tool_choice_json = choice;
  request.prompt = std::move(prompt);
  return request;
}

std::shared_ptr<api::ScriptedGenerator> model_saying(std::vector<std::string> tokens) {
  return std::make_shared<api::ScriptedGenerator>(api::ModelInfo{.name = "m", .has_chat_template = true},
                                                  [tokens](const api::GenerateRequest&, const std::string&) { return api::Script{.tokens = tokens}; });
}

TEST(NativeCalls, SplitsTextThoughtsAndCalls) {
  const auto inner = model_saying({"<think>hm", "</think>", "Let me see. ", "<tool_call>", "{\"name\": \"weather\", \"argu", "ments\": {\"city\": \"Rome\"}}", "</tool_call>"});
  NativeCalls generator(inner, "hermes");
  const Answer answer = answer_of(generator, request_with(kTools));
  EXPECT_EQ(answer.text, "Let me see.");
  EXPECT_EQ(answer.reasoning, "hm");
  ASSERT_EQ(answer.calls.size(), 1u);
  EXPECT_EQ(answer.calls[0].name, "weather");
  EXPECT_EQ(answer.calls[0].arguments, R"({"city": "Rome"})");
  EXPECT_EQ(answer.calls[0].id.size(), 29u);
  EXPECT_EQ(answer.last.finish, api::FinishReason::kStop);
  ASSERT_TRUE(inner->last_request().constraint);
  EXPECT_EQ(inner->last_request().constraint->kind, api::Constraint::Kind::kCalls);
}

TEST(NativeCalls, WithoutToolsTextStaysText) {
  const auto inner = model_saying({"<tool_call>", "{\"name\": \"weather\", \"arguments\": {}}", "</tool_call>"});
  NativeCalls generator(inner, "hermes");
  for (const auto& request : {request_with(""), request_with(kTools, R"("none")")}) {
    const Answer answer = answer_of(generator, request);
    EXPECT_TRUE(answer.calls.empty());
    EXPECT_NE(answer.text.find("weather"), std::string::npos);
    EXPECT_FALSE(inner->last_request().constraint);
  }
}

TEST(NativeCalls, DemandsCalls) {
  // The demanded call is begun in the prompt; the model only goes on with it.
  const auto inner = model_saying({"{\"city\": \"Rome\"}", "}\n</tool_call>"});
  NativeCalls generator(inner, "hermes");
  const Answer answer = answer_of(generator, request_with(kTools, R"({"type":"function","function":{"name":"weather"}})"));
  ASSERT_EQ(answer.calls.size(), 1u) << answer.text;
  EXPECT_EQ(answer.calls[0].arguments, R"({"city": "Rome"})");
  EXPECT_FALSE(std::get<api::ChatPrompt>(inner->last_request().prompt).answer_prefix.empty());

  const auto error = [&](const std::string& choice) { return generator.submit(request_with(kTools, choice), [](api::TokenEvent&&) {}).error(); };
  EXPECT_EQ(error(R"({"type":"function","function":{"name":"other"}})").param, "tool_choice");
  EXPECT_EQ(error(R"("sometimes")").param, "tool_choice");
}

}  // namespace
}  // namespace hanlin::agent
