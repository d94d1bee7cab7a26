// The client against programs and sockets: a shell script over stdio, an HTTP server, and servers of the Python package mcp
// where HANLIN_MCP_PYTHON names a Python that has it.
#include <gtest/gtest.h>

#include <cstdlib>

#include "agent/mcp/client.h"
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

TEST(McpStdio, RealPythonServer) {
  const char* python = std::getenv("HANLIN_MCP_PYTHON");
  if (python == nullptr) GTEST_SKIP() << "HANLIN_MCP_PYTHON is not set: no Python with the package mcp";
  const std::string script =
      "from mcp.server.mcpserver import MCPServer\n"
      "s = MCPServer('test')\n"
      "@s.tool()\n"
      "def add(a: int, b: int) -> str:\n"
      "  'Adds'\n"
      "  return str(a + b)\n"
      "s.run()\n";
  const auto client = stdio_client({python, "-c", script});
  const auto tools = client->tools({});
  ASSERT_TRUE(tools.ok()) << tools.error().message;
  ASSERT_EQ(tools->size(), 1u);
  EXPECT_EQ(tools->at(0)->run({{"a", 2}, {"b", 40}}, {}).value(), "42");
  EXPECT_FALSE(tools->at(0)->run({{"a", "x"}}, {}).ok());
  EXPECT_EQ(client->version(), kModernVersion);
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

}  // namespace
}  // namespace hanlin::agent::mcp
