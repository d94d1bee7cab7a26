// Bad requests: each gets its status, its field and a sentence, in OpenAI's shape.
#include "server/testing/server_fixture.h"

namespace hanlin::server::testing {
namespace {

using ErrorsTest = ServerTest;

const std::string kTool = R"("tools":[{"type":"function","function":{"name":"f"}}])";
struct BadBody {
  const char* path;
  std::string body;
  int status;
  const char* param;  // null: none
};

const std::string kMessages = R"("messages":[{"role":"user","content":"x"}])";
const std::string kDeep(200, '[');
const std::string kManyStops = [] {
  std::string list = "[\"a\"";
  for (int i = 0; i < 16; ++i) list += ",\"a\"";
  return list + "]";
}();

const BadBody kBadBodies[] = {
    {"/v1/chat/completions", "", 400, nullptr},
    {"/v1/chat/completions", "{", 400, nullptr},
    {"/v1/chat/completions", "[]", 400, nullptr},
    {"/v1/chat/completions", "{\"a\":" + kDeep, 400, nullptr},
    {"/v1/chat/completions", "{\"messages\":\"\xff\xfe\"}", 400, nullptr},
    {"/v1/chat/completions", R"({"temperature":NaN})", 400, nullptr},
    {"/v1/chat/completions", "{}", 400, "messages"},
    {"/v1/chat/completions", R"({"messages":[]})", 400, "messages"},
    {"/v1/chat/completions", R"({"messages":[3]})", 400, "messages[0]"},
    {"/v1/chat/completions", R"({"messages":[{"content":"x"}]})", 400, "messages[0].role"},
    {"/v1/chat/completions", R"({"messages":[{"role":"king","content":"x"}]})", 400, "messages[0].role"},
    {"/v1/chat/completions", R"({"messages":[{"role":"user"}]})", 400, "messages[0].content"},
    {"/v1/chat/completions", R"({"messages":[{"role":"user","content":5}]})", 400, "messages[0].content"},
    {"/v1/chat/completions", R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]})", 400, "messages[0].content[0].type"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"model":"nobody"})", 404, "model"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"model":7})", 400, "model"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"model":"vectors"})", 400, "model"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"temperature":-1})", 400, "temperature"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"temperature":"hot"})", 400, "temperature"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"top_p":0})", 400, "top_p"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"max_tokens":-5})", 400, "max_tokens"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"max_tokens":1.5})", 400, "max_tokens"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"max_tokens":99999999999999999999})", 400, "max_tokens"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"n":0})", 400, "n"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"n":1000000})", 400, "n"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"stream":"yes"})", 400, "stream"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"stream_options":{}})", 400, "stream_options"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"stop":)" + kManyStops + "}", 400, "stop"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"stop":[""]})", 400, "stop"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"stop":[1]})", 400, "stop"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"stop":")" + std::string(2000, 'x') + "\"}", 400, "stop"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"logit_bias":{"x":1}})", 400, "logit_bias"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"logit_bias":{"1":101}})", 400, "logit_bias"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"logit_bias":[]})", 400, "logit_bias"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"top_logprobs":3})", 400, "top_logprobs"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"logprobs":true,"top_logprobs":21})", 400, "top_logprobs"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"response_format":{"type":"yaml"}})", 400, "response_format"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"response_format":"json"})", 400, "response_format"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"response_format":{"type":"json_schema"}})", 400, "response_format"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"response_format":{"type":"json_schema","json_schema":{"schema":7}}})", 400, "response_format"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"guided_choice":[]})", 400, "guided_choice"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"guided_choice":[1]})", 400, "guided_choice"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"guided_regex":7})", 400, "guided_regex"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"guided_regex":"a","grammar":"root ::= [a]"})", 400, "grammar"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"tool_choice":"required"})", 400, "tool_choice"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"tool_choice":"auto"})", 400, "tool_choice"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"tool_choice":"always"})", 400, "tool_choice"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"tool_choice":{"type":"function","function":{}}})", 400, "tool_choice.function.name"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"tool_choice":{"type":"function","function":{"name":"g"}},)" + kTool + "}", 400, "tool_choice"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[]},)" + kTool + "}", 400, "tool_choice.tools"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"tools":{}})", 400, "tools"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"tools":[{}]})", 400, "tools[0].function"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"tools":[{"type":"custom","custom":{"name":"f"}}]})", 400, "tools[0].type"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"tools":[{"type":"function","function":{"name":"a b"}}]})", 400, "tools[0].function.name"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"tools":[{"type":"function","function":{"name":"f","parameters":[]}}]})", 400, "tools[0].function.parameters"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"tools":[{"function":{"name":"f"}},{"function":{"name":"f"}}]})", 400, "tools[1].function.name"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"functions":[{"name":""}]})", 400, "functions[0].name"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"functions":[{"name":"f"}],"function_call":{"name":"g"}})", 400, "function_call"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"functions":[{"name":"f"}],"function_call":7})", 400, "function_call"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"functions":[{"name":"f"}],)" + kTool + "}", 400, "functions"},
    {"/v1/chat/completions", "{" + kMessages + R"(,"timeout":0})", 400, "timeout"},
    {"/v1/completions", "{}", 400, "prompt"},
    {"/v1/completions", R"({"prompt":[]})", 400, "prompt"},
    {"/v1/completions", R"({"prompt":[-1]})", 400, "prompt"},
    {"/v1/completions", R"({"prompt":[1,"a"]})", 400, "prompt"},
    {"/v1/completions", R"({"prompt":[[]]})", 400, "prompt"},
    {"/v1/completions", R"({"prompt":"a","suffix":"b"})", 400, "suffix"},
    {"/v1/completions", R"({"prompt":"a","logprobs":true})", 400, "logprobs"},
    {"/v1/completions", R"({"prompt":"a","n":3,"best_of":2})", 400, "best_of"},
    {"/v1/completions", R"({"prompt":"a","best_of":2,"stream":true})", 400, "best_of"},
    {"/v1/embeddings", "{}", 400, "input"},
    {"/v1/embeddings", R"({"input":[]})", 400, "input"},
    {"/v1/embeddings", R"({"input":""})", 400, "input"},
    {"/v1/embeddings", R"({"input":[{}]})", 400, "input"},
    {"/v1/embeddings", R"({"input":"a","encoding_format":"hex"})", 400, "encoding_format"},
    {"/v1/embeddings", R"({"input":"a","dimensions":9})", 400, "dimensions"},
    {"/v1/embeddings", R"({"input":")" + std::string(65, 'a') + "\"}", 400, "input"},
    {"/v1/rerank", R"({"documents":["a"]})", 400, "query"},
    {"/v1/rerank", R"({"query":"a"})", 400, "documents"},
    {"/v1/rerank", R"({"query":"a","documents":[1]})", 400, "documents[0]"},
    {"/v1/rerank", R"({"query":"a","documents":["a"],"top_n":0})", 400, "top_n"},
    {"/tokenize", "{}", 400, "text"},
    {"/detokenize", "{}", 400, "tokens"},
    {"/detokenize", R"({"tokens":[999]})", 400, "tokens"},
    {"/api/v1/chat", "{}", 400, "message"},
    {"/api/v1/chat", R"({"message":""})", 400, "message"},
    {"/api/v1/chat", R"({"message":"a","max_tokens":0})", 400, "max_tokens"},
    {"/api/v1/generation", "{}", 400, "prompt"},
    {"/api/v1/embedding", "{}", 400, "text"},
    {"/api/v1/embedding", R"({"texts":[]})", 400, "texts"},
};

TEST_F(ErrorsTest, EveryBadBodyIsNamed) {
  start();
  Client client(port());  // one connection: a refusal does not end it
  for (const BadBody& bad : kBadBodies) {
    const ClientResponse response = client.post(bad.path, bad.body);
    SCOPED_TRACE(std::string(bad.path) + " " + bad.body.substr(0, 120) + " -> " + response.body);
    EXPECT_EQ(response.status, bad.status);
    const Json error = parse(response)["error"];
    EXPECT_TRUE(error["message"].is_string() && !error["message"].get<std::string>().empty());
    EXPECT_EQ(error["type"], "invalid_request_error");
    EXPECT_EQ(error["param"], bad.param ? Json(bad.param) : Json());
    EXPECT_TRUE(error.contains("code"));
  }
  EXPECT_EQ(generator_->counts().n_submitted, 0);
}

TEST_F(ErrorsTest, MessagesNameTheFieldOnce) {
  start();
  const auto message = [this](const char* path, const std::string& body) { return parse(post(path, body))["error"]["message"].get<std::string>(); };
  EXPECT_EQ(message("/v1/completions", R"({"prompt":[-1]})"), "prompt: expected token ids, whole numbers of at least 0, got the number -1");
  EXPECT_EQ(message("/v1/embeddings", R"({"input":[1,"a"]})"), "input: expected token ids, whole numbers of at least 0, got the string \"a\"");
  EXPECT_EQ(message("/v1/completions", R"({"prompt":"a","stream":true,"stream_options":{"include_usage":1}})"),
            "stream_options.include_usage: expected true or false, got the number 1");
}

TEST_F(ErrorsTest, UnknownModelHasOpenAisCode) {
  start();
  const Json error = parse(post("/v1/chat/completions", "{" + kMessages + R"(,"model":"nobody"})"))["error"];
  EXPECT_EQ(error["code"], "model_not_found");
  EXPECT_NE(error["message"].get<std::string>().find("nobody"), std::string::npos);
}

TEST_F(ErrorsTest, UnknownRouteAndMethod) {
  start();
  EXPECT_EQ(get("/v2/none").status, 404);
  EXPECT_EQ(parse(get("/v2/none"))["error"]["code"], "route_not_found");
  const ClientResponse wrong = get("/v1/chat/completions");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "POST, OPTIONS");
}

struct SubmitFailure {
  Code code;
  int status;
  bool retry_after;
};

TEST_F(ErrorsTest, RefusalsOfTheEngine) {
  auto failure = std::make_shared<Error>();
  start({}, [failure](const api::GenerateRequest&, const std::string&) { return api::Script{.submit_error = *failure}; });
  for (const auto& [code, status, retry_after] : {SubmitFailure{Code::kResourceExhausted, 429, true}, SubmitFailure{Code::kUnavailable, 503, true},
                                                  SubmitFailure{Code::kInvalidArgument, 400, false}, SubmitFailure{Code::kInternal, 500, false}}) {
    *failure = {code, "engine: said no"};
    for (const char* stream : {"false", "true"}) {
      const ClientResponse response = post("/v1/chat/completions", "{" + kMessages + ",\"stream\":" + stream + "}");
      EXPECT_EQ(response.status, status);
      EXPECT_EQ(response.headers.contains("retry-after"), retry_after);
      EXPECT_EQ(parse(response)["error"]["message"], "engine: said no");
    }
  }
}

TEST_F(ErrorsTest, OneRefusedPromptCancelsTheOthers) {
  start({}, [](const api::GenerateRequest&, const std::string& prompt) {
    api::Script script{.tokens = std::vector<std::string>(50, "x")};
    if (prompt == "bad") script.submit_error = Error{Code::kResourceExhausted, "queue: full"};
    return script;
  });
  generator_->allow_steps(0);
  EXPECT_EQ(post("/v1/completions", R"({"prompt":["a","b","bad"],"max_tokens":50})").status, 429);
  generator_->wait_until([](const auto& counts) { return counts.n_cancelled == 2; });
}

TEST_F(ErrorsTest, FailureAfterTheFirstTokenEndsTheStream) {
  start({}, [](const api::GenerateRequest&, const std::string&) {
    return api::Script{.tokens = {"a"}, .final_error = Error{Code::kInternal, "engine: broke"}};
  });
  generator_->allow_steps(0);
  Client client(port());
  client.send_post("/v1/chat/completions", "{" + kMessages + R"(,"stream":true})");
  generator_->allow_steps(1);
  client.read_until("\"content\":\"a\"");
  generator_->allow_steps(1);
  const std::string rest = client.read_until("0\r\n\r\n");
  EXPECT_NE(rest.find(R"(data: {"error":{"message":"engine: broke","type":"server_error","param":null,"code":null}})"), std::string::npos) << rest;
  EXPECT_EQ(rest.find("[DONE]"), std::string::npos);
  EXPECT_EQ(client.get("/health").status, 200);  // the connection goes on
}

TEST_F(ErrorsTest, FailureBeforeTheFirstTokenIsAPlainAnswer) {
  start({}, [](const api::GenerateRequest&, const std::string&) { return api::Script{.final_error = Error{Code::kDeadlineExceeded, "queue: too long"}}; });
  EXPECT_EQ(post("/v1/chat/completions", "{" + kMessages + R"(,"stream":true})").status, 504);
  EXPECT_EQ(post("/v1/chat/completions", "{" + kMessages + "}").status, 504);
}

TEST_F(ErrorsTest, AnExceptionIsA500AndTheServerLives) {
  start({}, [](const api::GenerateRequest&, const std::string&) -> api::Script { throw std::runtime_error("secret detail"); });
  const ClientResponse response = post("/v1/chat/completions", "{" + kMessages + "}");
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body.find("secret"), std::string::npos);
  EXPECT_EQ(get("/health").status, 200);
}

TEST_F(ErrorsTest, TheSessionGivesUpOnAModelThatNeverAnswers) {
  start({.request_timeout = std::chrono::milliseconds(20), .deadline_grace = std::chrono::milliseconds(20)});
  generator_->allow_steps(0);
  const ClientResponse response = post("/v1/chat/completions", "{" + kMessages + "}");
  EXPECT_EQ(response.status, 504);
  generator_->wait_until([](const auto& counts) { return counts.n_cancelled == 1; });
}

}  // namespace
}  // namespace hanlin::server::testing
