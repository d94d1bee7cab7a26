#include "engine/frontend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/options.h"
#include "engine/test_tokenizer.h"

namespace hanlin::engine {
namespace {

constexpr int64_t kContext = 100;

Result<std::unique_ptr<Request>> prepare(api::GenerateRequest request) {
  static const Frontend frontend(test_tokenizer(), kContext, 264);
  return frontend.prepare(std::move(request), [](api::TokenEvent&&) {});
}
api::GenerateRequest request_of(std::vector<int32_t> ids) {
  api::GenerateRequest request;
  request.prompt = api::TokenPrompt{std::move(ids)};
  return request;
}
std::vector<int32_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

TEST(Frontend, MakesTokensOfTextAndChat) {
  api::GenerateRequest request;
  request.prompt = api::TextPrompt{"ab", true};
  EXPECT_EQ((*prepare(request))->prompt, (std::vector<int32_t>{kBos, 'a', 'b'}));
  request.prompt = api::TextPrompt{"ab<|im_end|>", false};
  EXPECT_EQ((*prepare(request))->prompt, (std::vector<int32_t>{'a', 'b', kEndOfTurn}));
  request.prompt = api::ChatPrompt{{api::Message{"user", "hi"}}};
  std::vector<int32_t> expected = bytes_of("user: hi");
  expected.push_back(kEndOfTurn);
  for (int32_t token : bytes_of("assistant: ")) expected.push_back(token);
  EXPECT_EQ((*prepare(request))->prompt, expected);
}

TEST(Frontend, AnAnswerMayFillTheContext) {
  EXPECT_EQ((*prepare(request_of(std::vector<int32_t>(40, 'a'))))->max_tokens, 60);
  api::GenerateRequest scoring = request_of(std::vector<int32_t>(100, 'a'));
  scoring.max_tokens = 0;
  EXPECT_EQ((*prepare(scoring))->max_tokens, 0);
}

TEST(Frontend, SaysByHowMuchAPromptDoesNotFit) {
  const auto result = prepare(request_of(std::vector<int32_t>(107, 'a')));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::kInvalidArgument);
  EXPECT_EQ(result.error().param, "prompt");
  EXPECT_NE(result.error().message.find("107 tokens"), std::string::npos) << result.error().message;
  EXPECT_NE(result.error().message.find("8 more than the context of 100"), std::string::npos) << result.error().message;

  api::GenerateRequest chat;
  chat.prompt = api::ChatPrompt{{api::Message{"user", std::string(200, 'x')}}};
  EXPECT_EQ(prepare(chat).error().param, "messages");

  api::GenerateRequest request = request_of(std::vector<int32_t>(40, 'a'));
  request.max_tokens = 70;
  const auto too_many = prepare(request);
  ASSERT_FALSE(too_many.ok());
  EXPECT_EQ(too_many.error().param, "max_tokens");
  EXPECT_NE(too_many.error().message.find("at most 60"), std::string::npos) << too_many.error().message;
  EXPECT_NE(too_many.error().message.find("10 too many"), std::string::npos) << too_many.error().message;
}

TEST(Frontend, RefusesPromptsThatAreNone) {
  EXPECT_EQ(prepare(request_of({})).error().param, "prompt");
  EXPECT_EQ(prepare(request_of({-1})).error().param, "prompt");
  EXPECT_EQ(prepare(request_of({264})).error().param, "prompt");
  api::GenerateRequest chat;
  chat.prompt = api::ChatPrompt{};
  EXPECT_EQ(prepare(chat).error().param, "messages");
  api::ChatPrompt with_tools{{api::Message{"user", "hi"}}};
  with_tools.tools_json = "{";
  chat.prompt = with_tools;
  EXPECT_EQ(prepare(chat).error().param, "tools");
}

TEST(Frontend, RefusesEverySamplingValueOutOfRangeByName) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  struct Case {
    const char* param;
    void (*set)(api::GenerateRequest&, float);
    std::vector<float> bad, good;
  };
  const Case cases[] = {
      {"temperature", [](auto& r, float v) { r.sampling.temperature = v; }, {-0.1f, nan, inf}, {0, 0.7f, 2}},
      {"top_p", [](auto& r, float v) { r.sampling.top_p = v; }, {0, -1, 1.1f, nan}, {0.1f, 1}},
      {"top_k", [](auto& r, float v) { r.sampling.top_k = static_cast<int>(v); }, {-1}, {0, 40, 1000000}},
      {"min_p", [](auto& r, float v) { r.sampling.min_p = v; }, {-0.1f, 1.1f, nan}, {0, 0.5f, 1}},
      {"typical_p", [](auto& r, float v) { r.sampling.typical_p = v; }, {0, 1.1f, nan}, {0.5f, 1}},
      {"repetition_penalty", [](auto& r, float v) { r.sampling.repetition_penalty = v; }, {0, -1, nan, inf}, {0.5f, 1.2f}},
      {"presence_penalty", [](auto& r, float v) { r.sampling.presence_penalty = v; }, {-2.1f, 2.1f, nan}, {-2, 2}},
      {"frequency_penalty", [](auto& r, float v) { r.sampling.frequency_penalty = v; }, {-2.1f, 2.1f, nan}, {-2, 2}},
      {"logit_bias", [](auto& r, float v) { r.sampling.logit_bias = {{5, v}}; }, {-101, 101, nan}, {-100, 100}},
      {"logit_bias", [](auto& r, float v) { r.sampling.logit_bias = {{static_cast<int32_t>(v), 1.0f}}; }, {-1, 264}, {0, 263}},
      {"max_tokens", [](auto& r, float v) { r.max_tokens = static_cast<int64_t>(v); }, {-1, 98}, {0, 97}},
      {"n", [](auto& r, float v) { r.n = static_cast<int>(v); }, {0, -1, 129}, {1, 128}},
      {"logprobs", [](auto& r, float v) { r.logprobs = static_cast<int>(v); }, {-2, 101}, {-1, 0, 20}},
      {"prompt_logprobs", [](auto& r, float v) { r.prompt_logprobs = static_cast<int>(v); }, {-2, 101}, {-1, 0, 20}},
      {"stop", [](auto& r, float v) { r.stop.assign(static_cast<size_t>(v), "x"); }, {33}, {0, 32}},
      {"stop", [](auto& r, float v) { r.stop = {std::string(static_cast<size_t>(v), 'x')}; }, {0, 1025}, {1, 1024}},
      {"stop_token_ids", [](auto& r, float v) { r.stop_token_ids = {static_cast<int32_t>(v)}; }, {-1, 264}, {0, 263}},
  };
  for (const Case& c : cases) {
    for (float value : c.bad) {
      api::GenerateRequest request = request_of({'a', 'b', 'c'});
      c.set(request, value);
      const auto result = prepare(std::move(request));
      ASSERT_FALSE(result.ok()) << c.param << " " << value;
      EXPECT_EQ(result.error().param, c.param) << value;
      EXPECT_EQ(result.error().code, Code::kInvalidArgument);
    }
    for (float value : c.good) {
      api::GenerateRequest request = request_of({'a', 'b', 'c'});
      c.set(request, value);
      const auto result = prepare(std::move(request));
      EXPECT_TRUE(result.ok()) << c.param << " " << value << ": " << result.error().message;
    }
  }
}

TEST(ChatPrompter, HandsToolsCallsAndExtraVariablesToTheTemplate) {
  const auto tokenizer = make_test_tokenizer(
      "{{ bos_token }}{% if tools %}[{{ tools[0].function.name }}]{% endif %}{% for m in messages %}{{ m.role }}"
      "{% for c in m.tool_calls or [] %}({{ c.function.name }} {{ c.function.arguments | tojson }}){% endfor %}"
      "{{ m.content }}{{ m.tool_call_id or '' }};{% endfor %}{{ mood }}");
  const ChatPrompter prompter(tokenizer);
  ASSERT_TRUE(prompter.has_template());
  api::Message call{"assistant", ""};
  call.tool_calls = {{"id1", "sum", R"({"a": 1})"}};
  api::Message answer{"tool", "2"};
  answer.tool_call_id = "id1";
  api::ChatPrompt prompt{{call, answer}};
  prompt.tools_json = R"([{"type":"function","function":{"name":"sum"}}])";
  prompt.template_kwargs_json = R"({"mood":"calm"})";
  const auto text = prompter.render(prompt);
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(*text, "<|bos|>[sum]assistant(sum {\"a\": 1});tool2id1;calm");
}

TEST(ChatPrompter, PutsTheAnswersBeginningBehindThePrompt) {
  api::ChatPrompt prompt{{api::Message{"user", "hi"}}};
  prompt.answer_prefix = "{\"name\": \"";
  const auto text = ChatPrompter(test_tokenizer()).render(prompt);
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(*text, "user: hi<|im_end|>assistant: {\"name\": \"");
}

TEST(ChatPrompter, TemplatesThatJoinArgumentsGetThemAsText) {
  const auto tokenizer = make_test_tokenizer("{% for m in messages %}{% for c in m.tool_calls %}{{ 'args:' + c.function.arguments }}{% endfor %}{% endfor %}");
  api::Message call{"assistant", ""};
  call.tool_calls = {{"id1", "sum", R"({"a": 1})"}};
  const auto text = ChatPrompter(tokenizer).render({{call}});
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(*text, R"(args:{"a": 1})");
}

TEST(ChatPrompter, SaysWhyItCannotRender) {
  const api::ChatPrompt prompt{{api::Message{"user", "hi"}}};
  const auto none = ChatPrompter(make_test_tokenizer("")).render(prompt);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, Code::kUnsupported);
  const auto broken = ChatPrompter(make_test_tokenizer("{% if %}")).render(prompt);
  ASSERT_FALSE(broken.ok());
  EXPECT_NE(broken.error().message.find("cannot be used"), std::string::npos) << broken.error().message;
  const auto raised = ChatPrompter(make_test_tokenizer("{{ raise_exception('roles must alternate') }}")).render(prompt);
  ASSERT_FALSE(raised.ok());
  EXPECT_EQ(raised.error().code, Code::kInvalidArgument);
  EXPECT_EQ(raised.error().param, "messages");
  EXPECT_NE(raised.error().message.find("roles must alternate"), std::string::npos) << raised.error().message;
}

}  // namespace
}  // namespace hanlin::engine
