// What each endpoint answers, in full and streamed, on scripted models.
#include <fmt/format.h>

#include <cstring>
#include <regex>

#include "server/testing/server_fixture.h"

namespace hanlin::server::testing {
namespace {

using EndpointsTest = ServerTest;
constexpr const char* kId = "X-Request-Id: abc\r\n";
constexpr const char* kHello = R"({"model":"talker","messages":[{"role":"user","content":"hi 你"}]})";

// Answers carry the time of day.
std::string without_time(const std::string& text) { return std::regex_replace(text, std::regex(R"("created":\d+)"), R"("created":0)"); }

std::string chat_chunk(const std::string& choice, const std::string& tail = "") {
  return R"(data: {"id":"chatcmpl-abc","object":"chat.completion.chunk","created":0,"model":"talker","system_fingerprint":"hanlin-0.1.0","choices":[)" + choice + "]" + tail + "}\n\n";
}
std::string delta(const std::string& delta, const std::string& finish = "null", int index = 0) {
  return fmt::format(R"({{"index":{},"delta":{},"logprobs":null,"finish_reason":{}}})", index, delta, finish);
}

TEST_F(EndpointsTest, ChatWhole) {
  start();
  const ClientResponse response = post("/v1/chat/completions", kHello, kId);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("content-type"), "application/json");
  EXPECT_EQ(response.headers.at("x-request-id"), "abc");
  EXPECT_EQ(without_time(response.body),
            R"({"id":"chatcmpl-abc","object":"chat.completion","created":0,"model":"talker","system_fingerprint":"hanlin-0.1.0",)"
            R"("choices":[{"index":0,"message":{"role":"assistant","content":"You said: hi 你","refusal":null},"logprobs":null,"finish_reason":"stop"}],)"
            R"("usage":{"prompt_tokens":24,"completion_tokens":4,"total_tokens":28,"prompt_tokens_details":{"cached_tokens":0}}})");
}

TEST_F(EndpointsTest, ChatStreamIsFramedAsOpenAiDoes) {
  start();
  const ClientResponse response = post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"a\nb"}],"stream":true})", kId);
  EXPECT_EQ(response.headers.at("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(without_time(response.body), chat_chunk(delta(R"({"role":"assistant","content":""})")) + chat_chunk(delta(R"({"content":"You"})")) +
                                             chat_chunk(delta(R"({"content":" said:"})")) + chat_chunk(delta(R"({"content":" a\nb"})")) +
                                             chat_chunk(delta("{}", "\"stop\"")) + "data: [DONE]\n\n");
}

TEST_F(EndpointsTest, ChatStreamWithUsage) {
  start();
  const ClientResponse response = post("/v1/chat/completions",
      R"({"messages":[{"role":"user","content":"a"}],"stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":1})", kId);
  const std::string null_usage = R"(,"usage":null)";
  EXPECT_EQ(without_time(response.body),
            chat_chunk(delta(R"({"role":"assistant","content":""})"), null_usage) + chat_chunk(delta(R"({"content":"You"})"), null_usage) +
                chat_chunk(delta("{}", "\"length\""), null_usage) +
                chat_chunk("", R"(,"usage":{"prompt_tokens":19,"completion_tokens":1,"total_tokens":20,"prompt_tokens_details":{"cached_tokens":0}})") +
                "data: [DONE]\n\n");
}

TEST_F(EndpointsTest, ChatLogprobsAndChoices) {
  start();
  const Json body = parse(post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],"n":2,"logprobs":true,"top_logprobs":2,"max_tokens":1})"));
  ASSERT_EQ(body["choices"].size(), 2u);
  EXPECT_EQ(body["choices"][1]["index"], 1);
  EXPECT_EQ(dump_json(body["choices"][1]["logprobs"]),
            R"({"content":[{"token":"You","logprob":-0.5,"bytes":[89,111,117],"top_logprobs":[{"token":"You","logprob":-0.5,"bytes":[89,111,117]},)"
            R"({"token":"alt1","logprob":-1.0,"bytes":[97,108,116,49]}]}],"refusal":null})");
}

TEST_F(EndpointsTest, ChatReadsEveryFieldOfTheRequest) {
  start();
  const ClientResponse response = post("/v1/chat/completions", R"({"model":"default","messages":[
      {"role":"developer","content":[{"type":"text","text":"be "},{"type":"text","text":"kind"}]},
      {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},
      {"role":"tool","tool_call_id":"c1","content":"4"}],
      "temperature":0.5,"top_p":0.9,"top_k":7,"min_p":0.1,"typical_p":0.8,"repetition_penalty":1.1,"presence_penalty":-1,"frequency_penalty":2,
      "logit_bias":{"5":-100},"seed":-1,"stop":["x","y"],"stop_token_ids":[3],"ignore_eos":true,"priority":4,"max_tokens":9,
      "tools":[{"type":"function","function":{"name":"f"}}],"chat_template_kwargs":{"enable_thinking":false},"user":"u","metadata":{},"store":false})");
  ASSERT_EQ(response.status, 200) << response.body;
  const api::GenerateRequest request = generator_->last_request();
  const auto& prompt = std::get<api::ChatPrompt>(request.prompt);
  EXPECT_EQ(prompt.messages[0].role, "developer");
  EXPECT_EQ(prompt.messages[0].content, "be kind");
  EXPECT_EQ(prompt.messages[1].tool_calls[0].name, "f");
  EXPECT_EQ(prompt.messages[2].tool_call_id, "c1");
  EXPECT_EQ(prompt.tools_json, R"([{"type":"function","function":{"name":"f"}}])");
  EXPECT_EQ(prompt.template_kwargs_json, R"({"enable_thinking":false})");
  EXPECT_FLOAT_EQ(request.sampling.temperature, 0.5f);
  EXPECT_FLOAT_EQ(request.sampling.top_p, 0.9f);
  EXPECT_EQ(request.sampling.top_k, 7);
  EXPECT_FLOAT_EQ(request.sampling.min_p, 0.1f);
  EXPECT_FLOAT_EQ(request.sampling.typical_p, 0.8f);
  EXPECT_FLOAT_EQ(request.sampling.repetition_penalty, 1.1f);
  EXPECT_FLOAT_EQ(request.sampling.presence_penalty, -1);
  EXPECT_FLOAT_EQ(request.sampling.frequency_penalty, 2);
  EXPECT_EQ(request.sampling.logit_bias, (std::vector<std::pair<int32_t, float>>{{5, -100.0f}}));
  EXPECT_EQ(request.sampling.seed, static_cast<uint64_t>(-1));
  EXPECT_EQ(request.stop, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(request.stop_token_ids, (std::vector<int32_t>{3}));
  EXPECT_TRUE(request.ignore_eos);
  EXPECT_EQ(request.priority, 4);
  EXPECT_EQ(request.max_tokens, 9);
  EXPECT_TRUE(request.deadline.has_value());
}

TEST_F(EndpointsTest, CompletionEchoScoresThePrompt) {
  start();
  const Json body = parse(post("/v1/completions", R"({"prompt":"a你","echo":true,"logprobs":1,"max_tokens":0})"));
  const Json& choice = body["choices"][0];
  EXPECT_EQ(choice["text"], "a你");
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_EQ(dump_json(choice["logprobs"]),
            R"({"tokens":["a","bytes:\\xe4","bytes:\\xbd","bytes:\\xa0"],"token_logprobs":[null,-0.5,-0.5,-0.5],)"
            R"("top_logprobs":[null,{"bytes:\\xe4":-0.5},{"bytes:\\xbd":-0.5},{"bytes:\\xa0":-0.5}],"text_offset":[0,1,2,2]})");
  EXPECT_EQ(body["usage"]["completion_tokens"], 0);
}

TEST_F(EndpointsTest, CompletionTakesFourFormsOfPrompt) {
  start();
  const auto texts = [&](const std::string& prompt) {
    std::string joined;
    const Json body = parse(post("/v1/completions", R"({"echo":true,"max_tokens":2,"prompt":)" + prompt + "}"));
    for (const Json& choice : body["choices"]) joined += fmt::format("{}={};", choice["index"].get<int>(), choice["text"].get<std::string>());
    return joined;
  };
  EXPECT_EQ(texts(R"("ab")"), "0=abYou said:;");
  EXPECT_EQ(texts(R"(["ab","c"])"), "0=abYou said:;1=cYou said:;");
  EXPECT_EQ(texts("[97,98]"), "0=abYou said:;");
  EXPECT_EQ(texts("[[97],[98,99]]"), "0=aYou said:;1=bcYou said:;");
}

TEST_F(EndpointsTest, CompletionNumbersChoicesAcrossPromptsAndAddsUsageUp) {
  start();
  const Json body = parse(post("/v1/completions", R"({"prompt":["a","b"],"n":2,"max_tokens":1})"));
  ASSERT_EQ(body["choices"].size(), 4u);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(body["choices"][static_cast<size_t>(i)]["index"], i);
  EXPECT_EQ(body["usage"]["prompt_tokens"], 2);
  EXPECT_EQ(body["usage"]["completion_tokens"], 4);
}

TEST_F(EndpointsTest, CompletionBestOfReturnsFewerThanItGenerates) {
  start();
  const Json body = parse(post("/v1/completions", R"({"prompt":"a","best_of":3,"max_tokens":2})"));
  EXPECT_EQ(generator_->last_request().n, 3);
  EXPECT_EQ(generator_->last_request().logprobs, 0);
  ASSERT_EQ(body["choices"].size(), 1u);
  EXPECT_TRUE(body["choices"][0]["logprobs"].is_null());
}

TEST_F(EndpointsTest, CompletionStream) {
  start();
  const ClientResponse response = post("/v1/completions", R"({"prompt":"a","max_tokens":1,"echo":true,"logprobs":0,"stream":true})", kId);
  const std::string head = R"(data: {"id":"cmpl-abc","object":"text_completion","created":0,"model":"talker","system_fingerprint":"hanlin-0.1.0","choices":[)";
  EXPECT_EQ(without_time(response.body),
            head + R"({"text":"aYou","index":0,"logprobs":{"tokens":["a","You"],"token_logprobs":[null,-0.5],"top_logprobs":[null,{"You":-0.5}],"text_offset":[0,1]},"finish_reason":null}]})" "\n\n" +
                head + R"({"text":"","index":0,"logprobs":null,"finish_reason":"length"}]})" "\n\ndata: [DONE]\n\n");
}

TEST_F(EndpointsTest, EmbeddingsAsFloatsAndBase64) {
  start();
  const Json floats = parse(post("/v1/embeddings", R"({"input":["abc",[97]],"model":"vectors"})"));
  EXPECT_EQ(floats["object"], "list");
  EXPECT_EQ(floats["usage"]["prompt_tokens"], 4);
  ASSERT_EQ(floats["data"].size(), 2u);
  EXPECT_EQ(floats["data"][1]["index"], 1);
  const auto expected = floats["data"][0]["embedding"].get<std::vector<float>>();
  ASSERT_EQ(expected.size(), 8u);
  EXPECT_NEAR(expected[1], 0.57735f, 1e-5);
  const Json coded = parse(post("/v1/embeddings", R"({"input":[[97]],"encoding_format":"base64"})"));
  // 97 % 8 = 1: the second of eight floats is 1.
  EXPECT_EQ(coded["data"][0]["embedding"], "AAAAAAAAgD8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
  EXPECT_EQ(parse(post("/v1/embeddings", R"({"input":"a","dimensions":3})"))["data"][0]["embedding"].size(), 3u);
}

TEST_F(EndpointsTest, RerankOrdersAndCuts) {
  start();
  const Json body = parse(post("/v1/rerank", R"({"query":"red fox","documents":["a dog",{"text":"red fox"},"red car"],"top_n":2,"return_documents":true})"));
  EXPECT_EQ(dump_json(body["results"]),
            R"([{"index":1,"relevance_score":1.0,"document":{"text":"red fox"}},{"index":2,"relevance_score":0.5,"document":{"text":"red car"}}])");
}

TEST_F(EndpointsTest, Models) {
  start();
  const Json list = parse(get("/v1/models"));
  EXPECT_EQ(list["object"], "list");
  EXPECT_EQ(list["data"][0]["id"], "talker");
  EXPECT_EQ(list["data"][0]["created"], 1'700'000'000);
  EXPECT_EQ(parse(get("/v1/models/default"))["id"], "talker");
  EXPECT_EQ(parse(get("/v1/models/vec%74ors"))["dimensions"], 8);
  const ClientResponse missing = get("/v1/models/org/none");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(parse(missing)["error"]["code"], "model_not_found");
}

TEST_F(EndpointsTest, TokenizeAndBack) {
  start();
  EXPECT_EQ(post("/tokenize", R"({"prompt":"hi","return_token_strs":true})").body, R"({"count":2,"max_model_len":100000,"tokens":[104,105],"token_strs":["h","i"]})");
  EXPECT_EQ(parse(post("/tokenize", R"({"messages":[{"role":"user","content":"x"}]})"))["count"], 19);
  EXPECT_EQ(post("/detokenize", R"({"tokens":[104,105]})").body, R"({"prompt":"hi"})");
}

TEST_F(EndpointsTest, ServiceApi) {
  start();
  const Json chat = parse(post("/api/v1/chat", R"({"message":"yo"})"));
  EXPECT_EQ(chat["response"], "You said: yo");
  EXPECT_EQ(chat["tokens_used"], 23);
  EXPECT_EQ(generator_->last_request().max_tokens, 256);
  EXPECT_FLOAT_EQ(generator_->last_request().sampling.temperature, 0.7f);
  EXPECT_EQ(parse(post("/api/v1/generation", R"({"prompt":"yo","max_tokens":1})"))["response"], "You");
  EXPECT_EQ(parse(post("/api/v1/embedding", R"({"text":"a"})"))["embedding"].size(), 8u);
  EXPECT_EQ(parse(post("/api/v1/embedding", R"({"texts":["a","b"]})"))["embeddings"].size(), 2u);
  EXPECT_TRUE(post("/api/v1/chat", R"({"message":"yo","stream":true})").body.starts_with("data: {\"delta\":\"You\"}\n\n"));
}

TEST_F(EndpointsTest, Health) {
  start();
  EXPECT_EQ(get("/health").body, R"({"status":"healthy","models_loaded":true})");
  EXPECT_EQ(get("/health/live").status, 200);
  EXPECT_EQ(get("/health/ready").status, 200);
}

TEST_F(EndpointsTest, MetricsCountRequestsUnderBoundedLabels) {
  start();
  post("/v1/chat/completions", kHello);
  post("/v1/chat/completions", "{");
  get("/v1/models/a");
  get("/v1/models/b");
  get("/no/such/route");
  const std::string text = get("/metrics").body;
  for (const char* line : {"nlp_requests_total{endpoint=\"/v1/chat/completions\",status=\"200\"} 1\n", "nlp_requests_total{endpoint=\"/v1/chat/completions\",status=\"400\"} 1\n",
                           "nlp_requests_total{endpoint=\"/v1/models/{model}\",status=\"404\"} 2\n", "nlp_requests_total{endpoint=\"other\",status=\"404\"} 1\n",
                           "nlp_request_duration_seconds_count{endpoint=\"/v1/chat/completions\"} 2\n", "nlp_model_memory_bytes{model=\"talker\"} 1048576\n",
                           "hanlin_time_to_first_token_seconds_count{model=\"talker\"} 1\n", "hanlin_time_per_output_token_seconds_count{model=\"talker\"} 1\n",
                           "hanlin_generated_tokens_total{model=\"talker\"} 4\n", "hanlin_kv_blocks_total{model=\"talker\"} 64\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST_F(EndpointsTest, OpenApiDescribesEveryRouteAndResolves) {
  start();
  const Json document = parse(get("/openapi.json"));
  EXPECT_EQ(document["openapi"], "3.1.0");
  EXPECT_TRUE(document["paths"]["/v1/chat/completions"].contains("post"));
  const std::string text = dump_json(document);
  const std::regex reference(R"re("\$ref":"#/components/schemas/(\w+)")re");
  for (std::sregex_iterator it(text.begin(), text.end(), reference), end; it != end; ++it) {
    EXPECT_TRUE(document["components"]["schemas"].contains((*it)[1].str())) << (*it)[1];
  }
}

TEST_F(EndpointsTest, PagesAreServedWithTheirFilesOnly) {
  start();
  const ClientResponse page = get("/");
  EXPECT_EQ(page.headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_NE(page.headers.at("content-security-policy").find("script-src 'self'"), std::string::npos);
  EXPECT_EQ(page.body.find("https://"), std::string::npos);
  const std::regex local_file(R"re((?:src|href)="(/ui/[^"]+)")re");
  int n_files = 0;
  for (std::sregex_iterator it(page.body.begin(), page.body.end(), local_file), end; it != end; ++it, ++n_files) EXPECT_EQ(get((*it)[1]).status, 200) << (*it)[1];
  EXPECT_GE(n_files, 3);
  EXPECT_EQ(get("/", "If-None-Match: " + page.headers.at("etag") + "\r\n").status, 304);
  EXPECT_EQ(get("/docs").status, 200);
  EXPECT_EQ(get("/ui/../server.h").status, 404);
}

}  // namespace
}  // namespace hanlin::server::testing
