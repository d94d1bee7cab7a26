// HTTP itself: malformed, oversized, slow and unusual requests, connections, browsers, keys, logs.
#include "base/log.h"
#include "server/http.h"
#include "server/testing/server_fixture.h"

namespace hanlin::server::testing {
namespace {

using HttpTest = ServerTest;
constexpr const char* kChat = R"({"messages":[{"role":"user","content":"x"}]})";

struct RawCase {
  const char* what;
  std::string bytes;
  int status;  // 0: closed without an answer
};

const RawCase kRawCases[] = {
    {"not HTTP", "hello\r\n\r\n", 400},
    {"binary", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15), 400},
    {"no version", "GET /health\r\n\r\n", 400},
    {"wrong version", "GET /health HTTP/9.9\r\nHost: x\r\n\r\n", 400},
    {"space in target", "GET /he alth HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"relative target", "GET health HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"broken escape", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"control character", "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"no host", "GET /health HTTP/1.1\r\n\r\n", 400},
    {"two hosts", "GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
    {"header without colon", "GET /health HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", 400},
    {"space before colon", "GET /health HTTP/1.1\r\nHost : x\r\n\r\n", 400},
    {"negative length", "POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
    {"length not a number", "POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n", 400},
    {"two lengths", "POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400},
    {"length and chunks", "POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {"chunk size not a number", "POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400},
    {"chunk size overflows", "POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n\r\n", 400},
    {"long header", "GET /health HTTP/1.1\r\nHost: x\r\nA: " + std::string(70'000, 'a') + "\r\n\r\n", 431},
    {"long target", "GET /" + std::string(70'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
    {"unknown expectation", "POST /tokenize HTTP/1.1\r\nHost: x\r\nExpect: 200-maybe\r\nContent-Length: 2\r\n\r\n{}", 417},
    {"unknown method", "BREW /health HTTP/1.1\r\nHost: x\r\n\r\n", 405},
    {"promised body too long", "POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n", 413},
    {"promised body absurd", "POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n", 413},
};

TEST_F(HttpTest, MalformedRequestsGetAnAnswerAndTheServerLives) {
  start();
  for (const RawCase& raw : kRawCases) {
    SCOPED_TRACE(raw.what);
    Client client(port());
    client.send(raw.bytes);
    client.shutdown_send();
    const ClientResponse response = client.read_response();
    EXPECT_EQ(response.status, raw.status) << response.body;
    if (response.status != 0) { EXPECT_TRUE(parse(response)["error"]["message"].is_string()); }
  }
  EXPECT_EQ(get("/health").status, 200);
}

TEST_F(HttpTest, EveryTruncationOfARequestIsSurvived) {
  start();
  const std::string request = "POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n{\"prompt\":\"hi\"}\r\n0\r\n\r\n";
  for (size_t n = 0; n < request.size(); ++n) {
    Client client(port());
    client.send(std::string_view(request).substr(0, n));
    client.shutdown_send();
    const int status = client.read_response().status;
    EXPECT_TRUE(status == 0 || status == 400) << n << ": " << status;
  }
  Client client(port());
  client.send(request);
  EXPECT_EQ(client.read_response().status, 200);
}

TEST_F(HttpTest, AClientThatStopsSendingInTheMiddleIsTold) {
  start();
  Client client(port());
  client.send("POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{");
  client.shutdown_send();
  const ClientResponse response = client.read_response();
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(parse(response)["error"]["code"], "malformed_http");
  EXPECT_TRUE(client.at_end());
}

TEST_F(HttpTest, HugeBodiesAreRefusedWhileTheyAreSent) {
  start();
  const std::string chunk(1 << 20, 'x');
  {
    Client client(port());  // a client that sends all before it reads
    client.send("POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n");
    for (int i = 0; i < 100; ++i) client.send(chunk);
    const ClientResponse response = client.read_response();
    EXPECT_EQ(response.status, 413);
    EXPECT_EQ(parse(response)["error"]["code"], "body_too_large");
  }
  {
    Client client(port());
    client.send("POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 100; ++i) client.send("100000\r\n" + chunk + "\r\n");
    EXPECT_EQ(client.read_response().status, 413);
  }
  EXPECT_EQ(post("/tokenize", "{\"prompt\":\"" + std::string(4 << 20, 'a') + "\"}").status, 200);
}

TEST_F(HttpTest, ExpectContinue) {
  start();
  Client client(port());
  client.send("POST /tokenize HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 15\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("{\"prompt\":\"hi\"}");
  EXPECT_EQ(client.read_response().status, 200);
}

TEST_F(HttpTest, KeepAliveAndPipelining) {
  start();
  Client client(port());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.get("/health").status, 200);
  client.send_post("/v1/chat/completions", kChat);
  client.send_post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"second"}],"stream":true})");
  client.send("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(parse(client.read_response())["choices"][0]["message"]["content"], "You said: x");
  EXPECT_NE(client.read_response().body.find("second"), std::string::npos);
  const ClientResponse last = client.read_response();
  EXPECT_EQ(last.body, R"({"status":"healthy","models_loaded":true})");
  EXPECT_EQ(last.headers.at("connection"), "close");
  EXPECT_TRUE(client.at_end());
}

TEST_F(HttpTest, Http10AndHead) {
  start();
  Client old(port());
  old.send("GET /health HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.read_response().status, 200);
  EXPECT_TRUE(old.at_end());
  Client client(port());
  client.send("HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n");
  const ClientResponse head = client.read_response(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), "41");
  EXPECT_EQ(client.get("/health").body.size(), 41u);  // no stray body came in between
}

TEST_F(HttpTest, SlowSendersAreCutOff) {
  start({.idle_timeout = std::chrono::milliseconds(50), .header_timeout = std::chrono::milliseconds(30), .body_timeout = std::chrono::milliseconds(30)});
  Client silent(port());
  EXPECT_TRUE(silent.at_end());
  Client slow_header(port());
  slow_header.send("GET /health HTT");
  EXPECT_EQ(slow_header.read_response().status, 408);
  EXPECT_TRUE(slow_header.at_end());
  Client slow_body(port());
  slow_body.send("POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{");
  EXPECT_EQ(slow_body.read_response().status, 408);
  EXPECT_TRUE(slow_body.at_end());
}

TEST_F(HttpTest, TooManyConnectionsAreToldSo) {
  start({.max_connections = 2});
  Client first(port()), second(port());
  EXPECT_EQ(first.get("/health").status, 200);
  EXPECT_EQ(second.get("/health").status, 200);
  Client third(port());
  const ClientResponse refused = third.read_response();
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(refused.headers.contains("retry-after"));
  EXPECT_EQ(first.get("/health").status, 200);
}

TEST_F(HttpTest, CallsBeyondTheQueueAreRefused) {
  start({.n_submit_threads = 1, .max_queued_calls = 0});
  EXPECT_EQ(post("/tokenize", R"({"prompt":"hi"})").status, 429);
}

TEST_F(HttpTest, Cors) {
  start({.cors_origins = {"https://app.example"}});
  EXPECT_FALSE(get("/health").headers.contains("access-control-allow-origin"));
  EXPECT_FALSE(get("/health", "Origin: https://evil.example\r\n").headers.contains("access-control-allow-origin"));
  EXPECT_EQ(get("/health", "Origin: https://app.example\r\n").headers.at("access-control-allow-origin"), "https://app.example");
  Client client(port());
  client.send("OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: x\r\nOrigin: https://app.example\r\n"
              "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,x-stainless-os\r\n\r\n");
  const ClientResponse preflight = client.read_response();
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.headers.at("access-control-allow-methods"), "POST, OPTIONS");
  EXPECT_EQ(preflight.headers.at("access-control-allow-headers"), "authorization,x-stainless-os");
  EXPECT_EQ(preflight.headers.at("vary"), "Origin");
}

TEST_F(HttpTest, ApiKeys) {
  start({.api_keys = {"sk-one", "sk-two"}});
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_EQ(get("/").status, 200);
  const ClientResponse none = get("/v1/models");
  EXPECT_EQ(none.status, 401);
  EXPECT_EQ(parse(none)["error"]["code"], "invalid_api_key");
  EXPECT_EQ(get("/v1/models", "Authorization: Bearer sk-on\r\n").status, 401);
  EXPECT_EQ(get("/v1/models", "Authorization: Bearer \r\n").status, 401);
  EXPECT_EQ(get("/v1/models", "Authorization: bearer sk-two\r\n").status, 200);
  EXPECT_EQ(get("/v1/models", "x-api-key: sk-one\r\n").status, 200);
}

TEST_F(HttpTest, RequestIdsComeBackOrAreMade) {
  start();
  EXPECT_EQ(get("/health", "X-Request-Id: my-id_1\r\n").headers.at("x-request-id"), "my-id_1");
  const std::string first = get("/health", "X-Request-Id: " + std::string(200, 'a') + "\r\n").headers.at("x-request-id");
  const std::string second = get("/health").headers.at("x-request-id");
  EXPECT_TRUE(first.starts_with("req-"));
  EXPECT_NE(first, second);
}

TEST_F(HttpTest, OneLogLineARequestWithoutItsText) {
  log_requests_ = true;
  start();
  ::testing::internal::CaptureStderr();
  post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"my secret"}]})", "X-Request-Id: logged\r\n");
  server_->stop();
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("id=logged"), std::string::npos) << log;
  EXPECT_NE(log.find("route=/v1/chat/completions status=200"), std::string::npos) << log;
  EXPECT_NE(log.find("completion_tokens="), std::string::npos) << log;
  EXPECT_EQ(log.find("secret"), std::string::npos) << log;
}

TEST_F(HttpTest, ThePortInUseIsAnError) {
  start();
  ServerOptions options;
  options.port = port();
  auto second = Server::start(options, std::make_shared<api::ModelSet>());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Code::kIo);
  options.host = "not an address";
  EXPECT_EQ(Server::start(options, std::make_shared<api::ModelSet>()).error().code, Code::kInvalidArgument);
}

TEST(SplitTarget, PathsAndQueries) {
  using Split = std::pair<std::string, std::string>;
  EXPECT_EQ(split_target("/a%20b?x=%20"), (Split{"/a b", "x=%20"}));
  EXPECT_EQ(split_target("http://host:1/a?b"), (Split{"/a", "b"}));
  EXPECT_EQ(split_target("http://host"), (Split{"/", ""}));
  EXPECT_FALSE(split_target(""));
  EXPECT_FALSE(split_target("/%4"));
  EXPECT_FALSE(split_target("/%0a"));
}

}  // namespace
}  // namespace hanlin::server::testing
