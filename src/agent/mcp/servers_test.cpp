// The client against programs and sockets: a shell script over stdio, an HTTP server, and real servers written with the Python packages
// mcp and fastmcp (tests/tools/mcp_server.py), run by .venv's Python or the one that HANLIN_MCP_PYTHON names.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "agent/mcp/client.h"
#include "agent/sandbox/spawn.h"
#include "net/test_server.h"

namespace hanlin::agent::mcp {
namespace {

using net::http_ok;

std::shared_ptr<Client> stdio_client(std::vector<std::string> argv) {
  return std::make_shared<Client>(ClientOptions{.name = "program"}, [argv]() -> Result<std::unique_ptr<Transport>> { return make_stdio_transport({.argv = argv}); });
}

TEST(McpStdio, AProgramThatEndsSaysWhy) {
  const auto result = stdio_client({"/bin/sh", "-c", "echo no licence >&2; exit 3"})->tools({});
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("no licence"), std::string::npos) << result.error().message;
  EXPECT_EQ(stdio_client({"/no/such/server"})->tools({}).error().code, Code::kNotFound);
}

TEST(McpHttp, AnswersAsJsonAndAsEvents) {
  net::TestServer server([](const std::string& request) {
    if (request.starts_with("DELETE")) return http_ok("");
    const auto parsed = parse_json(request.substr(request.find("\r\n\r\n") + 4));
    const Json message = parsed.ok() ? *parsed : Json::object();
    if (!message.contains("id")) return http_ok("", "text/plain", "202 Accepted");
    Json reply{{"jsonrpc", "2.0"}, {"id", message["id"]}};
    if (message["method"] == "server/discover") return http_ok("no", "text/plain", "400 Bad Request");
    if (message["method"] == "initialize") {
      reply["result"] = {{"protocolVersion", "2025-03-26"}, {"capabilities", Json::object()}, {"serverInfo", {{"name", "s"}, {"version", "1"}}}};
      return http_ok(dump_json(reply), "application/json\r\nMcp-Session-Id: s1");
    }
    reply["result"] = {{"content", {{{"type", "text"}, {"text", "over events"}}}}};
    return http_ok("event: message\ndata: " + dump_json(reply) + "\n\n", "text/event-stream");
  });
  const auto client = std::make_shared<Client>(ClientOptions{.name = "web"}, [&] { return make_http_transport({.url = server.base() + "/mcp"}); });
  EXPECT_EQ(client->call("t", Json::object(), {}).value(), "over events");
  EXPECT_NE(server.requests().back().find("Mcp-Session-Id: s1\r\n"), std::string::npos);
  EXPECT_NE(server.requests().back().find("MCP-Protocol-Version: 2025-03-26\r\n"), std::string::npos);
}

// ---- real servers -------------------------------------------------------------------------------------------------

// A Python with both packages; empty: there is none.
const std::string& python_with_mcp() {
  static const std::string found = [] {
    const char* const named = std::getenv("HANLIN_MCP_PYTHON");
    const std::string python = named != nullptr ? named : std::filesystem::absolute(HANLIN_SOURCE_DIR "/.venv/bin/python").string();
    return std::system(("'" + python + "' -c 'import mcp.server.mcpserver, fastmcp' >/dev/null 2>&1").c_str()) == 0 ? python : std::string();
  }();
  return found;
}

// One of the scripts' servers, over one transport, spoken to in one era.
struct Real {
  const char* package;
  const char* transport;
  bool modern;
};
std::string name_of(const ::testing::TestParamInfo<Real>& info) {
  return std::string(info.param.package) + "_" + info.param.transport + (info.param.modern ? "_modern" : "_handshake");
}

class McpRealServers : public ::testing::TestWithParam<Real> {
 protected:
  void SetUp() override {
    if (python_with_mcp().empty()) GTEST_SKIP() << "no Python with the packages mcp and fastmcp (tools/setup.sh --tests makes .venv)";
    argv_ = {python_with_mcp(), HANLIN_SOURCE_DIR "/tests/tools/mcp_server.py", GetParam().package, GetParam().transport};
    if (std::string_view(GetParam().transport) != "stdio") start_http();
  }
  void TearDown() override {
    if (pid_ < 0) return;
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  // Starts the server and reads its address, the first line that it prints.
  void start_http() {
    auto pipes = ChildPipes::make();
    ASSERT_TRUE(pipes.ok());
    pipes_ = std::move(pipes).value();
    const auto pid = spawn({.argv = argv_}, pipes_);
    ASSERT_TRUE(pid.ok()) << pid.error().message;
    pid_ = *pid;
    for (char c = 0; c != '\n';) {
      pollfd fd{pipes_.out.get(), POLLIN, 0};
      ASSERT_EQ(poll(&fd, 1, 120000), 1) << "the server says nothing";
      ASSERT_EQ(read(pipes_.out.get(), &c, 1), 1) << "the server has ended";
      if (c != '\n') url_ += c;
    }
  }
  Result<std::unique_ptr<Transport>> transport() {
    if (url_.empty()) return make_stdio_transport({.argv = argv_});
    return make_http_transport({.url = url_});
  }
  SessionOptions session_options() const { return {.modern = GetParam().modern, .roots = {}, .probe_timeout = std::chrono::minutes(1), .connect_timeout = std::chrono::minutes(1)}; }
  std::shared_ptr<Client> client() {
    return std::make_shared<Client>(ClientOptions{.name = "real", .prefix = "r_", .session = session_options()}, [this] { return transport(); });
  }

  std::vector<std::string> argv_;
  std::string url_;
  ChildPipes pipes_;
  pid_t pid_ = -1;
};

TEST_P(McpRealServers, ListsAndCalls) {
  const auto client = this->client();
  const auto tools = client->tools({});
  ASSERT_TRUE(tools.ok()) << tools.error().message;
  ASSERT_EQ(tools->size(), 5u);
  EXPECT_EQ(tools->at(0)->tool().name, "r_add");
  EXPECT_EQ(tools->at(0)->tool().parameters.size(), 2u);
  EXPECT_EQ(client->version(), GetParam().modern ? kModernVersion : kHandshakeVersions[0]);
  EXPECT_EQ(tools->at(0)->run({{"a", 2}, {"b", 40}}, {}).value(), "42");
  EXPECT_FALSE(tools->at(0)->run({{"a", "x"}}, {}).ok()) << "the server checks arguments";
  const auto failed = client->call("fail", {{"reason", "no such city"}}, {});
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().message.find("no such city"), std::string::npos) << failed.error().message;
  EXPECT_FALSE(client->call("nothing", Json::object(), {}).ok());
  std::vector<double> seen;
  EXPECT_EQ(client->call("steps", {{"n", 3}}, {}, [&](double progress, double total, const std::string&) { seen.push_back(progress / total); }).value(), "done");
  if (std::string_view(GetParam().transport) == "json") return;  // one answer, and nothing before it
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen.back(), 1.0);
}

TEST_P(McpRealServers, CancelledCallsEndAndOthersGoOn) {
  const auto client = this->client();
  ASSERT_TRUE(client->tools({}).ok());
  EXPECT_EQ(client->call("wait", Json::object(), {.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(200)}).error().code, Code::kDeadlineExceeded);
  std::stop_source stop;
  std::thread stopper([&] { stop.request_stop(); });
  EXPECT_EQ(client->call("wait", Json::object(), {.stop = stop.get_token()}).error().code, Code::kCancelled);
  stopper.join();
  EXPECT_EQ(client->call("add", {{"a", 1}, {"b", 2}}, {}).value(), "3");
}

TEST_P(McpRealServers, ChangesOfTheListAreHeard) {
  auto made = transport();
  ASSERT_TRUE(made.ok());
  Session session(std::move(made).value(), session_options());
  const Status connected = session.connect({});
  ASSERT_TRUE(connected.ok()) << connected.error().message;
  const Json capabilities = session.capabilities();
  const bool promised = capabilities.contains("tools") && capabilities["tools"].value("listChanged", Json()) == true;
  if (GetParam().modern && !promised) GTEST_SKIP() << "this server does not tell of changes: " << dump_json(capabilities);
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  bool heard = false;
  // Where the stream of changes opens beside the calls, a first change may come before it: then there is a next one.
  while (!heard && std::chrono::steady_clock::now() < end) {
    ASSERT_TRUE(session.request("tools/call", {{"name", "grow"}, {"arguments", Json::object()}}, {}).ok());
    for (int i = 0; i < 50 && !(heard = session.take_tools_changed()); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(heard);
}

INSTANTIATE_TEST_SUITE_P(Python, McpRealServers,
                         ::testing::Values(Real{"mcp", "stdio", true}, Real{"mcp", "stdio", false}, Real{"mcp", "http", true}, Real{"mcp", "http", false}, Real{"mcp", "json", false},
                                           Real{"fastmcp", "stdio", true}, Real{"fastmcp", "http", false}),
                         name_of);

}  // namespace
}  // namespace hanlin::agent::mcp
