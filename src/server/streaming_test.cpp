// Streams under pressure: clients that vanish, stall, come in crowds, or wait long for the first token.
#include <csignal>
#include <thread>

#include "server/testing/server_fixture.h"

namespace hanlin::server::testing {
namespace {

using StreamingTest = ServerTest;
constexpr const char* kStream = R"({"messages":[{"role":"user","content":"x"}],"stream":true})";
constexpr const char* kWhole = R"({"messages":[{"role":"user","content":"x"}]})";

api::ScriptFn many_tokens(size_t n_tokens, size_t n_bytes) {
  return [=](const api::GenerateRequest&, const std::string&) { return api::Script{.tokens = std::vector<std::string>(n_tokens, std::string(n_bytes, 'z'))}; };
}

size_t count(const std::string& text, std::string_view what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++n;
  return n;
}

TEST_F(StreamingTest, TokensArriveWhileTheAnswerIsBeingMade) {
  start();
  generator_->allow_steps(0);
  Client client(port());
  client.send_post("/v1/chat/completions", kStream);
  generator_->allow_steps(1);
  EXPECT_NE(client.read_until("\"content\":\"You\"").find("200 OK"), std::string::npos);
  generator_->allow_steps(1);
  EXPECT_EQ(client.read_until("\"content\":\" said:\"").find("[DONE]"), std::string::npos);
  generator_->run_freely();
  EXPECT_NE(client.read_until("0\r\n\r\n").find("data: [DONE]\n\n"), std::string::npos);
}

TEST_F(StreamingTest, ClientGoneInAStreamCancels) {
  start({}, many_tokens(1000, 1));
  generator_->allow_steps(0);
  Client client(port());
  client.send_post("/v1/chat/completions", kStream);
  generator_->allow_steps(1);
  client.read_until("\"content\":\"z\"");
  client.close();  // no further step: it must be noticed although nothing is written
  generator_->wait_until([](const auto& counts) { return counts.n_cancelled == 1; });
  EXPECT_EQ(generator_->counts().n_tokens, 1);
}

TEST_F(StreamingTest, ClientGoneBeforeTheAnswerCancels) {
  start({}, many_tokens(1000, 1));
  generator_->allow_steps(0);
  Client client(port());
  client.send_post("/v1/chat/completions", kWhole);
  generator_->wait_until([](const auto& counts) { return counts.n_submitted == 1; });
  client.close();
  generator_->wait_until([](const auto& counts) { return counts.n_cancelled == 1; });
  // The answer's status is only ever seen in the numbers.
  while (get("/metrics").body.find("status=\"499\"} 1") == std::string::npos) std::this_thread::yield();
}

TEST_F(StreamingTest, SlowReaderPausesItsGenerationAndLosesNothing) {
  constexpr size_t kTokens = 20'000;
  start({}, many_tokens(kTokens, 1000));
  Client slow(port(), 4096);
  generator_->allow_steps(0);
  slow.send_post("/v1/chat/completions", kStream);
  drip([](const auto& counts) { return counts.n_pauses > 0; });
  EXPECT_LT(generator_->counts().n_tokens, static_cast<int64_t>(kTokens));
  generator_->run_freely();
  // Others are not held up by it.
  EXPECT_EQ(post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"x"}],"max_tokens":3})").status, 200);
  const ClientResponse response = slow.read_response();
  EXPECT_EQ(count(response.body, "\"content\":\"z"), kTokens);
  EXPECT_TRUE(response.body.ends_with("data: [DONE]\n\n"));
  EXPECT_EQ(generator_->counts().n_pauses, generator_->counts().n_resumes);
}

TEST_F(StreamingTest, ReaderThatStallsForeverIsDropped) {
  start({.write_timeout = std::chrono::milliseconds(50)}, many_tokens(100'000, 1000));
  Client stalled(port(), 4096);
  generator_->allow_steps(0);
  stalled.send_post("/v1/chat/completions", kStream);
  drip([](const auto& counts) { return counts.n_cancelled == 1; });
}

TEST_F(StreamingTest, SixtyFourStreamsAtOnce) {
  start({}, many_tokens(200, 3));
  std::vector<std::thread> clients;
  std::atomic<int> n_right{0};
  for (int i = 0; i < 64; ++i) {
    clients.emplace_back([&, i] {
      Client client(port());
      if (i % 8 == 0) {  // some vanish
        client.send_post("/v1/chat/completions", kStream);
        client.read_until("\"content\":\"zzz\"");
        return;
      }
      const ClientResponse response = client.post("/v1/chat/completions", kStream);
      n_right += response.status == 200 && count(response.body, "\"content\":\"zzz\"") == 200 && response.body.ends_with("data: [DONE]\n\n");
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(n_right.load(), 56);
  EXPECT_TRUE(server_->wait_idle(std::chrono::seconds(30)));
}

TEST_F(StreamingTest, SilentStreamsCarryComments) {
  start({.keep_alive_interval = std::chrono::milliseconds(10)});
  generator_->allow_steps(0);
  Client client(port());
  client.send_post("/v1/chat/completions", kStream);
  EXPECT_NE(client.read_until(": keep-alive\n\n").find("200 OK"), std::string::npos);
  client.read_until(": keep-alive\n\n");
  generator_->run_freely();
  EXPECT_NE(client.read_until("0\r\n\r\n").find("data: [DONE]"), std::string::npos);
}

TEST_F(StreamingTest, StreamOverHttp10EndsWithTheConnection) {
  start();
  Client client(port());
  const std::string body = kStream;
  client.send("POST /v1/chat/completions HTTP/1.0\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  const ClientResponse response = client.read_response();
  EXPECT_FALSE(response.headers.contains("transfer-encoding"));
  EXPECT_TRUE(response.body.starts_with("data: {"));
  EXPECT_TRUE(response.body.ends_with("data: [DONE]\n\n"));
}

TEST_F(StreamingTest, DrainLetsRunningRequestsFinish) {
  start();
  generator_->allow_steps(0);
  Client idle(port());
  EXPECT_EQ(idle.get("/health/ready").status, 200);
  Client running(port());
  running.send_post("/v1/chat/completions", kStream);
  generator_->allow_steps(1);
  running.read_until("\"content\":\"You\"");
  server_->begin_drain();
  EXPECT_TRUE(idle.at_end());
  EXPECT_EQ(get("/health/ready").status, 503);
  EXPECT_EQ(get("/health/live").status, 200);
  const ClientResponse refused = post("/v1/chat/completions", kWhole);
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(refused.headers.contains("retry-after"));
  EXPECT_FALSE(server_->wait_idle(std::chrono::milliseconds(1)));
  generator_->run_freely();
  EXPECT_NE(running.read_until("0\r\n\r\n").find("data: [DONE]"), std::string::npos);
  EXPECT_TRUE(running.at_end());
  EXPECT_TRUE(server_->wait_idle(std::chrono::seconds(30)));
}

TEST_F(StreamingTest, StopEndsEverythingAtOnce) {
  start();
  generator_->allow_steps(0);
  Client streaming(port()), whole(port()), half_sent(port());
  streaming.send_post("/v1/chat/completions", kStream);
  whole.send_post("/v1/chat/completions", kWhole);
  half_sent.send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{");
  generator_->wait_until([](const auto& counts) { return counts.n_submitted == 2; });
  server_->stop();
  EXPECT_TRUE(streaming.at_end());
  EXPECT_TRUE(whole.at_end());
  EXPECT_TRUE(half_sent.at_end());
  generator_->wait_until([](const auto& counts) { return counts.n_cancelled == 2; });
}

// run_until_signal() on a thread of its own, with its handler in place when the constructor returns.
class SignalledRun {
 public:
  explicit SignalledRun(Server& server) : thread_([this, &server] { exit_status_ = run_until_signal(server, std::chrono::seconds(60)); }) {
    struct sigaction action {};
    do {
      std::this_thread::yield();
      sigaction(SIGTERM, nullptr, &action);
    } while (action.sa_handler == SIG_DFL);
  }
  // To that thread: ThreadSanitizer cannot see what orders the handler's set-up before a signal to another one.
  void signal() { pthread_kill(thread_.native_handle(), SIGTERM); }
  int join() {
    thread_.join();
    return exit_status_;
  }

 private:
  int exit_status_ = -1;
  std::thread thread_;
};

TEST_F(StreamingTest, FirstSignalDrainsThenStops) {
  start();
  generator_->allow_steps(0);
  SignalledRun run(*server_);
  Client client(port());
  client.send_post("/v1/chat/completions", kStream);
  generator_->allow_steps(1);
  client.read_until("\"content\":\"You\"");
  run.signal();
  while (get("/health/ready").status != 503) std::this_thread::yield();
  generator_->run_freely();
  EXPECT_NE(client.read_until("0\r\n\r\n").find("data: [DONE]"), std::string::npos);
  EXPECT_EQ(run.join(), 0);
}

TEST_F(StreamingTest, SecondSignalStopsAtOnce) {
  start();
  generator_->allow_steps(0);
  SignalledRun run(*server_);
  Client client(port());
  client.send_post("/v1/chat/completions", kStream);
  generator_->wait_until([](const auto& counts) { return counts.n_submitted == 1; });
  run.signal();
  while (get("/health/ready").status != 503) std::this_thread::yield();
  run.signal();
  EXPECT_EQ(run.join(), 1);
  EXPECT_TRUE(client.at_end());
}

TEST_F(StreamingTest, GeneratorThatStopsByItselfIsAnError) {
  start({}, [](const api::GenerateRequest&, const std::string&) { return api::Script{.finish = api::FinishReason::kCancelled}; });
  EXPECT_EQ(post("/v1/chat/completions", kWhole).status, 503);
}

}  // namespace
}  // namespace hanlin::server::testing
