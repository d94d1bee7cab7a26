#include "remote/request_body.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace hanlin::remote {
namespace {

const RemoteOptions kOptions{.name = "far", .base_url = "http://x/v1", .model = "m"};

Json body_of(const api::GenerateRequest& request, const RemoteOptions& options = kOptions) {
  const auto body = request_body(request, options);
  EXPECT_TRUE(body.ok()) << body.error().message;
  return parse_json(body->json).value();
}

api::GenerateRequest plain() {
  api::GenerateRequest request;
  request.prompt = api::ChatPrompt{.messages = {{"user", "Hi"}}};
  return request;
}

TEST(RequestBody, PlainRequestsHaveOnlyCommonFields) {
  EXPECT_EQ(dump_json(body_of(plain())),
            R"({"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hi"}],"temperature":1})");
}

TEST(RequestBody, MapsEveryField) {
  api::GenerateRequest request = plain();
  request.sampling = {.temperature = 0.7f, .top_k = 40, .top_p = 0.9f, .min_p = 0.05f, .typical_p = 0.8f, .repetition_penalty = 1.1f, .presence_penalty = 0.5f,
                      .frequency_penalty = -0.5f, .logit_bias = {{5, -100.0f}, {6, 2.5f}}, .seed = 42};
  request.max_tokens = 30;
  request.stop = {"END", "\n"};
  request.stop_token_ids = {2};
  request.ignore_eos = request.include_stop = true;
  request.n = 2;
  request.logprobs = 3;
  request.priority = 1;
  const Json body = body_of(request);
  const Json wanted = parse_json(R"({"temperature":0.7,"top_k":40,"top_p":0.9,"min_p":0.05,"typical_p":0.8,"repetition_penalty":1.1,"presence_penalty":0.5,
    "frequency_penalty":-0.5,"logit_bias":{"5":-100,"6":2.5},"seed":42,"max_tokens":30,"stop":["END","\n"],"stop_token_ids":[2],"ignore_eos":true,
    "include_stop_str_in_output":true,"n":2,"logprobs":true,"top_logprobs":3,"priority":1})").value();
  for (const auto& [name, value] : wanted.items()) EXPECT_EQ(dump_json(body.value(name, Json())), dump_json(value)) << name;

  RemoteOptions newer = kOptions;
  newer.max_tokens_field = "max_completion_tokens";
  EXPECT_EQ(body_of(request, newer)["max_completion_tokens"], 30);
  EXPECT_FALSE(body_of(request, newer).contains("max_tokens"));
}

TEST(RequestBody, CompletionsTakeTextAndTokens) {
  api::GenerateRequest request;
  request.prompt = api::TextPrompt{"Once", false};
  request.logprobs = 2;
  request.max_tokens = 4;
  RemoteOptions newer = kOptions;
  newer.max_tokens_field = "max_completion_tokens";
  EXPECT_EQ(request_body(request, kOptions)->path, "/completions");
  const Json body = body_of(request, newer);
  EXPECT_EQ(body["prompt"], "Once");
  EXPECT_EQ(body["add_special_tokens"], false);
  EXPECT_EQ(body["logprobs"], 2);
  EXPECT_EQ(body["max_tokens"], 4);
  request.prompt = api::TokenPrompt{{1, 2}};
  EXPECT_EQ(body_of(request)["prompt"], Json::array({1, 2}));
}

TEST(RequestBody, ToolsAndTheirMessages) {
  api::GenerateRequest request;
  api::ChatPrompt prompt;
  prompt.messages = {{.role = "user", .content = "Weather?"},
                     {.role = "assistant", .content = "", .tool_calls = {{"", "a", "{}"}, {"id2", "b", R"({"x":1})"}}},
                     {.role = "function", .content = "ra", .name = "a"},
                     {.role = "tool", .content = "rb", .tool_call_id = "id2"}};
  prompt.tools_json = R"([{"type":"function","function":{"name":"a"}}])";
  prompt.tool_choice_json = R"("required")";
  prompt.parallel_tool_calls = false;
  prompt.template_kwargs_json = R"({"enable_thinking":false})";
  request.prompt = prompt;
  request.constraint = api::Constraint{.kind = api::Constraint::Kind::kCalls};
  const Json body = body_of(request);
  EXPECT_EQ(dump_json(body["messages"]),
            R"([{"role":"user","content":"Weather?"},{"role":"assistant","content":null,"tool_calls":[)"
            R"({"id":"call_0","type":"function","function":{"name":"a","arguments":"{}"}},{"id":"id2","type":"function","function":{"name":"b","arguments":"{\"x\":1}"}}]},)"
            R"({"role":"tool","content":"ra","tool_call_id":"call_0"},{"role":"tool","content":"rb","tool_call_id":"id2"}])");
  EXPECT_EQ(body["tools"][0]["function"]["name"], "a");
  EXPECT_EQ(body["tool_choice"], "required");
  EXPECT_EQ(body["parallel_tool_calls"], false);
  EXPECT_EQ(body["chat_template_kwargs"]["enable_thinking"], false);
  EXPECT_FALSE(body.contains("response_format")) << "calls are the service's affair";
}

TEST(RequestBody, ConstraintsAreJsonSchemas) {
  api::GenerateRequest request = plain();
  request.constraint = api::Constraint{.kind = api::Constraint::Kind::kJsonSchema, .source = R"({"type":"object","properties":{}})"};
  EXPECT_EQ(dump_json(body_of(request)["response_format"]),
            R"({"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"type":"object","properties":{}}}})");
  request.constraint->source = R"({"type":"object"})";
  EXPECT_EQ(dump_json(body_of(request)["response_format"]), R"({"type":"json_object"})");
  for (const auto kind : {api::Constraint::Kind::kRegex, api::Constraint::Kind::kGrammar, api::Constraint::Kind::kChoices, api::Constraint::Kind::kTags}) {
    request.constraint = api::Constraint{.kind = kind, .source = "a", .param = "guided_x"};
    const auto refused = request_body(request, kOptions);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::kUnsupported);
    EXPECT_EQ(refused.error().param, "guided_x");
  }
}

TEST(RequestBody, RefusesWhatCannotBeAsked) {
  api::GenerateRequest request = plain();
  request.prompt_logprobs = 1;
  EXPECT_EQ(request_body(request, kOptions).error().code, Code::kUnsupported);
  request = plain();
  std::get<api::ChatPrompt>(request.prompt).answer_prefix = "<call>";
  EXPECT_EQ(request_body(request, kOptions).error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace hanlin::remote
