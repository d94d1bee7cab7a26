// Tools in chat requests: exact frames, whole answers, prompts, forced calls and the older functions.
#include <fmt/format.h>

#include <regex>

#include "agent/native_calls.h"
#include "server/testing/server_fixture.h"

namespace hanlin::server::testing {
namespace {

constexpr const char* kTools = R"("tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object",)"
                               R"("properties":{"location":{"type":"string"}},"required":["location"]}}},{"type":"function","function":{"name":"now"}}])";
constexpr const char* kToolMessages = R"("messages":[{"role":"user","content":"北京今天天气怎么样?"}])";

std::string request(const std::string& more = "") { return fmt::format("{{{},{}{}}}", kToolMessages, kTools, more); }

// The parameter: whether the generator gives tool calls natively. What clients see is the same.
class ToolsTest : public ServerTest, public ::testing::WithParamInterface<bool> {
 protected:
  std::shared_ptr<api::TextGenerator> served(std::shared_ptr<api::TextGenerator> generator) override {
    if (!GetParam()) return generator;
    return std::make_shared<agent::NativeCalls>(std::move(generator), native_format_);
  }
  std::string native_format_ = "auto";
  void start_saying(std::vector<std::string> tokens, api::FinishReason finish = api::FinishReason::kStop) {
    start({}, [=](const api::GenerateRequest&, const std::string&) { return api::Script{.tokens = tokens, .finish = finish}; });
  }
  Json choice(const std::string& body) {
    const ClientResponse response = post("/v1/chat/completions", body);
    EXPECT_EQ(response.status, 200) << response.body;
    return parse(response)["choices"][0];
  }
  // The deltas of a stream and its reason to finish, ids replaced.
  std::vector<std::string> deltas(const std::string& body) {
    const std::string text = post("/v1/chat/completions", body).body;
    std::vector<std::string> found;
    static const std::regex kChoice(R"re("delta":(.*),"logprobs":(.*),"finish_reason":(.*)\}\])re");
    for (std::sregex_iterator it(text.begin(), text.end(), kChoice), end; it != end; ++it) {
      std::string delta = std::regex_replace((*it)[1].str(), std::regex("call_[A-Za-z0-9]{24}"), "ID");
      if ((*it)[2] != "null") delta += " +logprobs";
      found.push_back((*it)[3] == "null" ? delta : delta + " " + (*it)[3].str());
    }
    EXPECT_TRUE(text.ends_with("data: [DONE]\n\n"));
    return found;
  }
  const api::ChatPrompt prompt() const { return std::get<api::ChatPrompt>(generator_->last_request().prompt); }
};

using Lines = std::vector<std::string>;

INSTANTIATE_TEST_SUITE_P(TextAndNative, ToolsTest, ::testing::Bool());

TEST_P(ToolsTest, WholeAnswerWithCalls) {
  start_saying({"Let me look.\n", "<tool_call>\n{\"name\": \"get_weather\", ", "\"arguments\": {\"location\": \"北京\"}}\n", "</tool_call>\n",
                "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>"});
  const Json answer = choice(request());
  EXPECT_EQ(answer["finish_reason"], "tool_calls");
  const Json& message = answer["message"];
  EXPECT_EQ(message["content"], "Let me look.");
  ASSERT_EQ(message["tool_calls"].size(), 2u);
  EXPECT_TRUE(std::regex_match(message["tool_calls"][0]["id"].get<std::string>(), std::regex("call_[A-Za-z0-9]{24}")));
  EXPECT_NE(message["tool_calls"][0]["id"], message["tool_calls"][1]["id"]);
  EXPECT_EQ(message["tool_calls"][0]["type"], "function");
  EXPECT_EQ(dump_json(message["tool_calls"][0]["function"]), R"({"name":"get_weather","arguments":"{\"location\": \"北京\"}"})");
  EXPECT_EQ(message["tool_calls"][1]["function"]["arguments"], "{}");
}

TEST_P(ToolsTest, StreamIsFramedAsOpenAiDoes) {
  start_saying({"<tool", "_call>", "\n{\"name\": \"get_weather\"", ", \"arguments\": {\"loc", "ation\": \"北京\"}", "}\n</tool_call>"});
  EXPECT_EQ(deltas(request(R"(,"stream":true)")),
            (Lines{R"({"role":"assistant","content":null})",
                   R"({"tool_calls":[{"index":0,"id":"ID","type":"function","function":{"name":"get_weather","arguments":""}}]})",
                   R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"loc"}}]})",
                   R"({"tool_calls":[{"index":0,"function":{"arguments":"ation\": \"北京\"}"}}]})", R"({} "tool_calls")"}));
}

TEST_P(ToolsTest, FencedReplyIsStreamedAsACall) {
  start_saying({"```", "json", "\n", "{\"name\": \"get_weather\", \"arguments\": ", "{\"location\": \"北京\"}", "}", "\n```"});
  EXPECT_EQ(deltas(request(R"(,"stream":true)")),
            (Lines{R"({"role":"assistant","content":null})",
                   R"({"tool_calls":[{"index":0,"id":"ID","type":"function","function":{"name":"get_weather","arguments":""}}]})",
                   R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"location\": \"北京\"}"}}]})", R"({} "tool_calls")"}));
}

TEST_P(ToolsTest, ParallelCallsHaveIndexesAndOneIsKeptWhereOneIsAllowed) {
  const Lines tokens = {"<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>", "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>"};
  start_saying(tokens);
  const Lines all = deltas(request(R"(,"stream":true)"));
  ASSERT_EQ(all.size(), 6u);
  EXPECT_EQ(all[3], R"({"tool_calls":[{"index":1,"id":"ID","type":"function","function":{"name":"now","arguments":""}}]})");
  EXPECT_EQ(deltas(request(R"(,"stream":true,"parallel_tool_calls":false)")).size(), 4u);
  EXPECT_EQ(choice(request(R"(,"parallel_tool_calls":false)"))["message"]["tool_calls"].size(), 1u);
}

TEST_P(ToolsTest, TextIsStreamedAndOddOutputStaysText) {
  start_saying({"a <", "b> ", "<tool_call>", "oops", " {\"", "}"});
  EXPECT_EQ(deltas(request(R"(,"stream":true)")),
            (Lines{R"({"role":"assistant","content":""})", R"({"content":"a"})", R"({"content":" <b>"})", R"({"content":" <tool_call>oops {\""})",
                   R"({"content":"}"})", R"({} "stop")"}));
  EXPECT_EQ(choice(request())["message"]["content"], "a <b> <tool_call>oops {\"}");
}

TEST_P(ToolsTest, CallCutOffByTheLimitIsNone) {
  start_saying({"<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"loc", "ation\": 1}}"});
  const Json answer = choice(request(R"(,"max_tokens":1)"));
  EXPECT_EQ(answer["finish_reason"], "length");
  EXPECT_FALSE(answer["message"].contains("tool_calls"));
  EXPECT_EQ(answer["message"]["content"], "");
}

TEST_P(ToolsTest, ReasoningHasItsOwnField) {
  start_saying({"<think>", "\nHm", ".\n", "</think>", "\n\n", "Yes"});
  EXPECT_EQ(deltas(fmt::format(R"({{{},"stream":true}})", kToolMessages)),
            (Lines{R"({"role":"assistant","content":""})", R"({"reasoning_content":"Hm"})", R"({"reasoning_content":"."})", R"({"content":"Yes"})", R"({} "stop")"}));
  const Json message = choice(fmt::format("{{{}}}", kToolMessages))["message"];
  EXPECT_EQ(dump_json(message), R"({"role":"assistant","content":"Yes","reasoning_content":"Hm.","refusal":null})");
}

TEST_P(ToolsTest, LogprobsOfHeldTextComeWithTheNextChunk) {
  start_saying({"<tool", "_call>", "{\"name\": \"now\", \"arguments\": {}", "}</tool_call>"});
  EXPECT_EQ(deltas(request(R"(,"stream":true,"logprobs":true)")),
            (Lines{R"({"role":"assistant","content":null})",
                   R"({"tool_calls":[{"index":0,"id":"ID","type":"function","function":{"name":"now","arguments":""}}]} +logprobs)",
                   R"({"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]})", R"({"content":""} +logprobs)", R"({} "tool_calls")"}));
  EXPECT_EQ(choice(request(R"(,"logprobs":true)"))["logprobs"]["content"].size(), 4u);
}

TEST_P(ToolsTest, RequiredAndNamedCallsAreBegunInThePrompt) {
  start_saying({"get_weather\", \"arguments\": {\"location\": \"北京\"}}\n</tool_call>"});
  Json answer = choice(request(R"(,"tool_choice":"required")"));
  EXPECT_EQ(prompt().answer_prefix, "<tool_call>\n{\"name\": \"");
  EXPECT_EQ(answer["message"]["tool_calls"][0]["function"]["name"], "get_weather");
  EXPECT_EQ(answer["message"]["content"], Json());
  server_->stop();
  start_saying({" {\"location\": \"北京\"}}\n</tool_call>", "\nand so on"});
  answer = choice(request(R"(,"tool_choice":{"type":"function","function":{"name":"get_weather"}})"));
  EXPECT_EQ(prompt().answer_prefix, "<tool_call>\n{\"name\": \"get_weather\", \"arguments\":");
  EXPECT_EQ(answer["finish_reason"], "tool_calls");
  EXPECT_EQ(answer["message"]["content"], Json());
  EXPECT_EQ(answer["message"]["tool_calls"][0]["function"]["arguments"], "{\"location\": \"北京\"}");
}

TEST_P(ToolsTest, RequiredCallThatDoesNotComeIsText) {
  start_saying({"fly\"}"});
  const Json answer = choice(request(R"(,"tool_choice":"required")"));
  EXPECT_EQ(answer["finish_reason"], "stop");
  EXPECT_EQ(answer["message"]["content"], "<tool_call>\n{\"name\": \"fly\"}");
}

TEST_P(ToolsTest, NoneHidesTheToolsAndReadsNoCalls) {
  start_saying({"<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>"});
  const Json answer = choice(request(R"(,"tool_choice":"none")"));
  EXPECT_EQ(prompt().tools_json, "");
  EXPECT_EQ(answer["finish_reason"], "stop");
  EXPECT_EQ(answer["message"]["content"], "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>");
}

TEST_P(ToolsTest, AllowedToolsAreTheOnlyOnes) {
  start_saying({"<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>"});
  const std::string allowed = R"(,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"%","tools":[{"type":"function","function":{"name":"get_weather"}}]}})";
  const Json answer = choice(request(std::regex_replace(allowed, std::regex("%"), "auto")));
  EXPECT_EQ(answer["finish_reason"], "stop");
  EXPECT_EQ(prompt().tools_json.find("\"now\""), std::string::npos);
  choice(request(std::regex_replace(allowed, std::regex("%"), "required")));
  EXPECT_NE(prompt().answer_prefix, "");
}

TEST_P(ToolsTest, LegacyFunctions) {
  start_saying({"<tool_call>{\"name\": \"now\", ", "\"arguments\": {}}</tool_call>", "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>"});
  const std::string functions = fmt::format(R"({{{},"functions":[{{"name":"now"}}])", kToolMessages);
  const Json answer = choice(functions + "}");
  EXPECT_EQ(answer["finish_reason"], "function_call");
  EXPECT_EQ(dump_json(answer["message"]), R"({"role":"assistant","content":null,"function_call":{"name":"now","arguments":"{}"},"refusal":null})");
  EXPECT_EQ(prompt().tools_json, R"([{"type":"function","function":{"name":"now"}}])");
  EXPECT_EQ(deltas(functions + R"(,"stream":true})"),
            (Lines{R"({"role":"assistant","content":null})", R"({"function_call":{"name":"now","arguments":""}})", R"({"function_call":{"arguments":"{}"}})",
                   R"({} "function_call")"}));
  choice(functions + R"(,"function_call":{"name":"now"}})");
  EXPECT_EQ(prompt().answer_prefix, "<tool_call>\n{\"name\": \"now\", \"arguments\":");
}

TEST_P(ToolsTest, EarlierCallsAndResultsReachTheTemplate) {
  start();
  choice(R"({"messages":[{"role":"user","content":"?"},{"role":"assistant","content":null,"function_call":{"name":"now","arguments":"{}"}},
      {"role":"function","name":"now","content":"noon"},{"role":"user","content":[{"type":"text","text":"and?"}]}]})");
  const api::ChatPrompt sent = prompt();
  ASSERT_EQ(sent.messages.size(), 4u);
  EXPECT_EQ(sent.messages[1].tool_calls[0].name, "now");
  EXPECT_EQ(sent.messages[2].role, "tool");
  EXPECT_EQ(sent.messages[2].tool_call_id, sent.messages[1].tool_calls[0].id);
  EXPECT_EQ(sent.messages[3].content, "and?");
}

TEST_P(ToolsTest, ToolsAndAResponseFormatGoTogether) {
  start_saying({"<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"});
  const std::string format = R"(,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}})";
  EXPECT_EQ(choice(request(format))["message"]["tool_calls"][0]["function"]["name"], "now");
  const auto constraint = [&] { return *generator_->last_request().constraint; };
  EXPECT_EQ(constraint().kind, api::Constraint::Kind::kCalls);
  EXPECT_EQ(constraint().calls.values.back().param, "response_format");
  EXPECT_TRUE(constraint().calls.lead.empty());  // no free text
  choice(request(format + R"(,"tool_choice":"none")"));
  EXPECT_EQ(constraint().kind, api::Constraint::Kind::kJsonSchema);
  choice(request(format + R"(,"tool_choice":"required")"));
  EXPECT_NE(constraint().calls.values.back().param, "response_format");
  EXPECT_EQ(post("/v1/chat/completions", request(R"(,"tool_choice":"required","guided_choice":["a"])")).status, 400);
  server_->stop();
  start_saying({"{\"name\": ", "\"Anna\"}"});
  EXPECT_EQ(choice(request(format))["message"]["content"], R"({"name": "Anna"})");
}

TEST_P(ToolsTest, FormatMayBeSet) {
  native_format_ = "mistral_args";
  start({.tool_format = "mistral_args"}, [](const api::GenerateRequest&, const std::string&) { return api::Script{.tokens = {"[TOOL_CALLS]now[ARGS]{}"}}; });
  EXPECT_EQ(choice(request())["message"]["tool_calls"][0]["function"]["name"], "now");
}

}  // namespace
}  // namespace hanlin::server::testing
