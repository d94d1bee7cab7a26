// The server, message by message and over streams; tests/e2e/test_mcp.py runs it with real clients.
#include "agent/mcp/server.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <sstream>
#include <thread>

#include "agent/mcp/session.h"

namespace hanlin::agent::mcp {
namespace {

// A tool made of a function.
class TestTool final : public RunnableTool {
 public:
  using Fn = std::function<Result<std::string>(const Json&, const ToolContext&)>;
  TestTool(std::string name, Fn fn, Permission permission = Permission::kAllow) : fn_(std::move(fn)), permission_(permission) {
    tool_ = {.name = std::move(name), .description = "a tool", .parameters_json = R"({"type":"object","properties":{"x":{"type":"integer"}}})"};
  }
  const Tool& tool() const override { return tool_; }
  Permission permission() const override { return permission_; }
  Result<std::string> run(const Json& arguments, const ToolContext& context) override { return fn_(arguments, context); }

 private:
  Tool tool_;
  const Fn fn_;
  const Permission permission_;
};

std::shared_ptr<RunnableTool> echo(const std::string& name = "echo", Permission permission = Permission::kAllow) {
  return std::make_shared<TestTool>(name, [](const Json& arguments, const ToolContext&) -> Result<std::string> { return dump_json(arguments); }, permission);
}
ToolBox box_of(std::vector<std::shared_ptr<RunnableTool>> tools) { return ToolBox(std::move(tools)); }

Json request(const char* method, Json params = Json(), Json id = 1) {
  Json message{{"jsonrpc", "2.0"}, {"id", std::move(id)}, {"method", method}};
  if (!params.is_null()) message["params"] = std::move(params);
  return message;
}
Json modern(Json params = Json::object(), const char* version = kModernVersion) {
  params["_meta"] = {{"io.modelcontextprotocol/protocolVersion", version}, {"io.modelcontextprotocol/clientCapabilities", Json::object()}};
  return params;
}
std::string result(Server& server, const Json& message) { return dump_json(server.handle(message)["result"]); }
int64_t code(Server& server, const Json& message) { return server.handle(message)["error"]["code"].get<int64_t>(); }

TEST(McpServer, HandshakeTakesTheClientsVersion) {
  Server server(box_of({echo()}), {.version = "9", .instructions = "Use echo."});
  for (const char* version : kHandshakeVersions) {
    EXPECT_EQ(result(server, request("initialize", {{"protocolVersion", version}, {"capabilities", Json::object()}, {"clientInfo", {{"name", "c"}, {"version", "1"}}}})),
              std::string(R"({"protocolVersion":")") + version + R"(","capabilities":{"tools":{}},"serverInfo":{"name":"hanlin","version":"9"},"instructions":"Use echo."})");
  }
  EXPECT_EQ(server.handle(request("initialize", {{"protocolVersion", "2030-01-01"}}))["result"]["protocolVersion"], kHandshakeVersions[0]);
  EXPECT_EQ(code(server, request("initialize", Json::object())), -32602);
  EXPECT_TRUE(server.handle({{"jsonrpc", "2.0"}, {"method", "notifications/initialized"}}).is_null());
  EXPECT_EQ(result(server, request("ping", Json(), "p")), "{}");
  EXPECT_EQ(result(server, request("tools/list")), R"({"tools":[{"name":"echo","description":"a tool","inputSchema":{"type":"object","properties":{"x":{"type":"integer"}}}}]})");
  EXPECT_EQ(result(server, request("tools/call", {{"name", "echo"}, {"arguments", {{"x", 1}}}})), R"({"content":[{"type":"text","text":"{\"x\":1}"}],"isError":false})");
}

TEST(McpServer, ModernRequestsStandAlone) {
  Server server(box_of({echo()}), {.version = "9"});
  EXPECT_EQ(result(server, request("server/discover", modern())),
            R"({"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":3600000,"cacheScope":"private","resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"hanlin","version":"9"}}})");
  const Json list = server.handle(request("tools/list", modern()))["result"];
  EXPECT_EQ(list["resultType"], "complete");
  EXPECT_EQ(list["cacheScope"], "private");
  EXPECT_TRUE(list["ttlMs"].is_number_integer());
  const Json called = server.handle(request("tools/call", modern({{"name", "echo"}})))["result"];
  EXPECT_EQ(called["resultType"], "complete");
  EXPECT_EQ(called["content"][0]["text"], "{}");
  const Json refused = server.handle(request("tools/list", modern(Json::object(), "2031-01-01")))["error"];
  EXPECT_EQ(refused["code"], -32022);
  EXPECT_EQ(dump_json(refused["data"]), R"({"supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"],"requested":"2031-01-01"})");
  // Each era has its own methods.
  EXPECT_EQ(code(server, request("initialize", modern({{"protocolVersion", "2025-11-25"}}))), -32601);
  EXPECT_EQ(code(server, request("ping", modern())), -32601);
  EXPECT_EQ(code(server, request("server/discover", Json::object())), -32601);
}

TEST(McpServer, ListsPageByPageWithoutDeniedTools) {
  std::vector<std::shared_ptr<RunnableTool>> tools;
  for (int i = 0; i < 7; ++i) tools.push_back(echo("t" + std::to_string(i), i == 3 ? Permission::kDeny : i == 4 ? Permission::kAsk : Permission::kAllow));
  Server server(box_of(tools), {.page_size = 3});
  std::string names;
  Json params = Json::object();
  for (int n_pages = 1;; ++n_pages) {
    const Json page = server.handle(request("tools/list", params))["result"];
    for (const Json& tool : page["tools"]) names += tool["name"].get<std::string>() + " ";
    if (!page.contains("nextCursor")) {
      EXPECT_EQ(n_pages, 2);
      break;
    }
    params["cursor"] = page["nextCursor"];
  }
  EXPECT_EQ(names, "t0 t1 t2 t4 t5 t6 ");
  for (const Json& bad : {Json("0"), Json("7"), Json("x"), Json("-1"), Json(3), Json("")}) EXPECT_EQ(code(server, request("tools/list", {{"cursor", bad}})), -32602) << dump_json(bad);
  EXPECT_EQ(code(server, request("tools/call", {{"name", "t3"}})), -32602);
}

TEST(McpServer, FailuresOfToolsAreResultsForTheModel) {
  const auto failing = std::make_shared<TestTool>("fail", [](const Json&, const ToolContext&) -> Result<std::string> { return Error{Code::kNotFound, "no such city"}; });
  Server server(box_of({failing, echo()}), {.check = [](const Tool& tool, const Json& arguments) -> Status {
    if (tool.name == "echo" && !arguments.contains("x")) return Error{Code::kInvalidArgument, "x is required"};
    return {};
  }});
  EXPECT_EQ(result(server, request("tools/call", {{"name", "fail"}})), R"({"content":[{"type":"text","text":"no such city"}],"isError":true})");
  EXPECT_EQ(result(server, request("tools/call", {{"name", "echo"}})), R"({"content":[{"type":"text","text":"x is required"}],"isError":true})");
}

TEST(McpServer, WhatIsWrongIsAnErrorOfTheProtocol) {
  Server server(box_of({echo()}));
  EXPECT_EQ(code(server, request("tools/call", {{"name", "none"}})), -32602);
  EXPECT_EQ(code(server, request("tools/call", {{"name", 3}})), -32602);
  EXPECT_EQ(code(server, request("tools/call", {{"name", "echo"}, {"arguments", {1}}})), -32602);
  EXPECT_EQ(code(server, request("resources/list")), -32601);
  EXPECT_EQ(code(server, request("tools/list", {1})), -32602);
  for (const Json& bad : {Json(3), Json("x"), Json(), Json::array(), Json::object(), Json{{"jsonrpc", "2.0"}, {"id", nullptr}, {"method", "ping"}}, Json{{"jsonrpc", "2.0"}, {"id", 1.5}, {"method", "ping"}}}) {
    const Json reply = server.handle(bad);
    EXPECT_EQ(reply["error"]["code"], -32600) << dump_json(bad);
    EXPECT_FALSE(reply.contains("id"));
  }
  EXPECT_TRUE(server.handle({{"jsonrpc", "2.0"}, {"id", 5}, {"result", Json::object()}}).is_null()) << "a reply to nothing";
  EXPECT_TRUE(server.handle({{"jsonrpc", "2.0"}, {"method", "notifications/unknown"}}).is_null());
  EXPECT_EQ(dump_json(server.handle({request("ping", Json(), 1), {{"jsonrpc", "2.0"}, {"method", "notifications/initialized"}}, request("nope", Json(), 2)})),
            R"([{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"Method not found: nope"}}])");
}

// A call that waits until it is told to stop, and says when it has begun.
struct Waiting {
  std::mutex mutex;
  std::condition_variable changed;
  int n_begun = 0;
  std::shared_ptr<RunnableTool> tool() {
    return std::make_shared<TestTool>("wait", [this](const Json&, const ToolContext& context) -> Result<std::string> {
      {
        const std::lock_guard lock(mutex);
        ++n_begun;
        changed.notify_all();
      }
      std::condition_variable_any never;
      std::unique_lock lock(mutex);
      never.wait(lock, context.stop, [] { return false; });
      return Error{Code::kCancelled, "stopped"};
    });
  }
  void until_begun(int n) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return n_begun >= n; });
  }
};

TEST(McpServer, CancelledCallsStopAndGetNoReply) {
  Waiting waiting;
  Server server(box_of({waiting.tool(), echo()}));
  Json reply = "none yet";
  std::thread call([&] { reply = server.handle(request("tools/call", {{"name", "wait"}}, "a")); });
  waiting.until_begun(1);
  EXPECT_EQ(code(server, request("tools/call", {{"name", "echo"}}, "a")), -32600) << "the id is taken";
  EXPECT_TRUE(server.handle(request("tools/call", {{"name", "echo"}}, 1)).contains("result")) << "others go on";
  EXPECT_TRUE(server.handle({{"jsonrpc", "2.0"}, {"method", "notifications/cancelled"}, {"params", {{"requestId", "a"}}}}).is_null());
  call.join();
  EXPECT_TRUE(reply.is_null());
  // Cancelled while it still waited for its turn.
  server.handle({{"jsonrpc", "2.0"}, {"method", "notifications/cancelled"}, {"params", {{"requestId", 7}}}});
  EXPECT_TRUE(server.handle(request("tools/call", {{"name", "wait"}}, 7)).is_null());
}

TEST(McpStdioServer, AnswersLinesUntilTheInputEnds) {
  Server server(box_of({echo()}));
  std::istringstream in(dump_json(request("ping", Json(), 1)) + "\n\n \r\nno json\n" + dump_json(request("tools/call", {{"name", "echo"}, {"arguments", {{"text", "a\nb 天"}}}}, 2)) + "\n" +
                        R"({"jsonrpc":"2.0","method":"notifications/initialized"})" + "\n" + dump_json(request("nope", Json(), 3)));
  std::ostringstream out;
  ASSERT_TRUE(serve_stdio(server, in, out).ok());
  std::map<std::string, Json> replies;
  std::istringstream lines(out.str());
  for (std::string line; std::getline(lines, line);) {
    const Json reply = parse_json(line).value();
    replies[reply.contains("id") ? dump_json(reply["id"]) : "-"] = reply;
  }
  EXPECT_EQ(replies["-"]["error"]["code"], -32700);
  EXPECT_EQ(dump_json(replies["1"]["result"]), "{}");
  EXPECT_EQ(replies["2"]["result"]["content"][0]["text"], R"({"text":"a\nb 天"})");
  EXPECT_EQ(replies["3"]["error"]["code"], -32601);
}

TEST(McpStdioServer, TheEndOfTheInputStopsCallsAndLongLinesEndIt) {
  Waiting waiting;
  Server server(box_of({waiting.tool()}), {.grace = std::chrono::milliseconds(0), .max_message_bytes = 200});
  std::istringstream in(dump_json(request("tools/call", {{"name", "wait"}})) + "\n"), endless(std::string(1000, 'x'));
  std::ostringstream out;
  EXPECT_TRUE(serve_stdio(server, in, out).ok()) << "and it returns";
  EXPECT_EQ(serve_stdio(server, endless, out).error().code, Code::kResourceExhausted);
}

}  // namespace
}  // namespace hanlin::agent::mcp
