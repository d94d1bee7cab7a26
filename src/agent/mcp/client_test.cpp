// The client against a server inside the test: eras, recorded sessions, lists, requests of the server, errors.
#include "agent/mcp/client.h"

#include <gtest/gtest.h>

#include <fstream>

#include "agent/mcp/fake_server.h"

namespace hanlin::agent::mcp {
namespace {

Json initialize_result(const char* version) { return {{"protocolVersion", version}, {"capabilities", {{"tools", Json::object()}}}, {"serverInfo", {{"name", "s"}, {"version", "1"}}}}; }
Json discover_result() {
  return {{"resultType", "complete"}, {"supportedVersions", {kModernVersion}}, {"capabilities", {{"tools", Json::object()}}}, {"ttlMs", 0}, {"cacheScope", "private"}};
}

// A server of the old era, or of the new one, with `tools/…` left to the test.
std::vector<Json> old_server(const Json& message, const std::function<std::vector<Json>(const Json&)>& rest) {
  const std::string method = message.value("method", "");
  if (!message.contains("id") || method.empty()) return {};
  if (method == "initialize") return {reply_to(message, initialize_result("2025-06-18"))};
  if (method == "server/discover") return {error_to(message, -32601)};
  return rest(message);
}
std::vector<Json> new_server(const Json& message, const std::function<std::vector<Json>(const Json&)>& rest) {
  const std::string method = message.value("method", "");
  if (!message.contains("id") || method.empty()) return {};
  if (method == "server/discover") return {reply_to(message, discover_result())};
  return rest(message);
}

std::shared_ptr<Client> client_of(FakeServer& server, ClientOptions options = {}) {
  options.name = "fake";
  return std::make_shared<Client>(std::move(options), [&server]() -> Result<std::unique_ptr<Transport>> { return std::unique_ptr<Transport>(new FakeTransport(&server)); });
}

TEST(McpEras, OldServersGetInitialize) {
  FakeServer server{.answer = [](const Json& message) {
    return old_server(message, [](const Json& m) { return std::vector<Json>{reply_to(m, {{"content", {{{"type", "text"}, {"text", "hi"}}}}})}; });
  }};
  const auto client = client_of(server);
  EXPECT_EQ(client->call("echo", Json::object(), {}).value(), "hi");
  EXPECT_EQ(client->version(), "2025-06-18");
  EXPECT_EQ(server.version, "2025-06-18");
  EXPECT_EQ(server.of_method("notifications/initialized").size(), 1u);
  EXPECT_FALSE(server.of_method("tools/call").at(0)["params"].contains("_meta"));
}

TEST(McpEras, ModernServersGetMetaWithEveryRequest) {
  FakeServer server{.answer = [](const Json& message) {
    return new_server(message, [](const Json& m) { return std::vector<Json>{reply_to(m, {{"resultType", "complete"}, {"content", Json::array()}, {"structuredContent", {{"a", 1}}}})}; });
  }};
  const auto client = client_of(server);
  EXPECT_EQ(client->call("echo", Json::object(), {}).value(), R"({"a":1})");
  EXPECT_EQ(client->version(), kModernVersion);
  EXPECT_TRUE(server.of_method("initialize").empty());
  const Json meta = server.of_method("tools/call").at(0)["params"]["_meta"];
  EXPECT_EQ(meta["io.modelcontextprotocol/protocolVersion"], kModernVersion);
  EXPECT_TRUE(meta["io.modelcontextprotocol/clientCapabilities"].is_object());
  EXPECT_EQ(meta["io.modelcontextprotocol/clientInfo"]["name"], "hanlin");
}

TEST(McpEras, WhatIsNoSignOfAModernServerMeansInitialize) {
  const std::vector<std::pair<std::string, std::function<std::vector<Json>(const Json&)>>> probes{
      {"silence", [](const Json&) { return std::vector<Json>{}; }},
      {"-32602", [](const Json& m) { return std::vector<Json>{error_to(m, -32602)}; }},
      {"old versions only", [](const Json& m) { return std::vector<Json>{error_to(m, -32022, {{"supported", {"2025-06-18"}}, {"requested", "x"}})}; }},
      {"discover names no modern one", [](const Json& m) { return std::vector<Json>{reply_to(m, {{"supportedVersions", {"2025-06-18"}}})}; }},
      {"nonsense", [](const Json& m) { return std::vector<Json>{reply_to(m, 7)}; }}};
  for (const auto& [what, probe] : probes) {
    FakeServer server{.answer = [&probe = probe](const Json& message) {
      if (message.value("method", "") == "server/discover") return probe(message);
      return old_server(message, [](const Json& m) { return std::vector<Json>{reply_to(m, {{"tools", Json::array()}})}; });
    }};
    const auto client = client_of(server, {.session = {.probe_timeout = std::chrono::milliseconds(60)}});
    const auto tools = client->tools({});
    EXPECT_TRUE(tools.ok()) << what << ": " << (tools.ok() ? "" : tools.error().message);
    EXPECT_EQ(client->version(), "2025-06-18") << what;
  }
}

TEST(McpEras, NoCommonVersionIsAnError) {
  FakeServer future{.answer = [](const Json& m) { return std::vector<Json>{error_to(m, -32022, {{"supported", {"2030-01-01"}}, {"requested", kModernVersion}})}; }};
  EXPECT_EQ(client_of(future)->tools({}).error().code, Code::kUnsupported);
  EXPECT_TRUE(future.of_method("initialize").empty());
  FakeServer strange{.answer = [](const Json& message) {
    if (message.value("method", "") == "initialize") return std::vector<Json>{reply_to(message, initialize_result("1999-01-01"))};
    return old_server(message, [](const Json&) { return std::vector<Json>{}; });
  }};
  EXPECT_EQ(client_of(strange)->tools({}).error().code, Code::kUnsupported);
}

TEST(McpEras, ASlowServerThatSettledOnTheModernEra) {
  int n_probes = 0;
  FakeServer server{.answer = [&](const Json& message) -> std::vector<Json> {
    const std::string method = message.value("method", "");
    if (method == "server/discover" && ++n_probes == 1) return {};
    if (method == "initialize") return {error_to(message, -32022, {{"supported", {kModernVersion}}, {"requested", "2025-11-25"}})};
    return new_server(message, [](const Json& m) { return std::vector<Json>{reply_to(m, {{"tools", Json::array()}, {"ttlMs", 0}})}; });
  }};
  const auto client = client_of(server, {.session = {.probe_timeout = std::chrono::milliseconds(60)}});
  EXPECT_TRUE(client->tools({}).ok());
  EXPECT_EQ(client->version(), kModernVersion);
}

TEST(McpEras, AServerThatDiesOfTheProbeIsStartedAgain) {
  FakeServer server;
  server.answer = [&server](const Json& message) -> std::vector<Json> {
    if (message.value("method", "") == "server/discover" && server.n_starts == 1) return {Json()};
    return old_server(message, [](const Json& m) { return std::vector<Json>{reply_to(m, {{"tools", Json::array()}})}; });
  };
  EXPECT_TRUE(client_of(server)->tools({}).ok());
  EXPECT_EQ(server.n_starts, 2);
}

TEST(McpTools, ListsAllPagesWithPrefixAndCachesThem) {
  bool endless = false;
  FakeServer server{.answer = [&](const Json& message) {
    return old_server(message, [&](const Json& m) -> std::vector<Json> {
      const std::string cursor = m["params"].value("cursor", "");
      const Json schema{{"type", "object"}, {"properties", {{"x", {{"type", "integer"}}}}}};
      if (cursor.empty()) return {reply_to(m, {{"tools", {{{"name", "read.file"}, {"description", "Reads"}, {"inputSchema", schema}}, {{"name", "bad"}, {"inputSchema", 3}}}}, {"nextCursor", "2"}})};
      Json last{{"tools", {{{"name", "write"}, {"inputSchema", schema}}, {{"name", "read_file"}, {"inputSchema", schema}}}}};
      if (endless) last["nextCursor"] = "2";
      return {reply_to(m, last)};
    });
  }};
  const auto client = client_of(server, {.prefix = "fs_"});
  const auto tools = client->tools({}).value();
  ASSERT_EQ(tools.size(), 2u) << "no bad schema, no second fs_read_file";
  EXPECT_EQ(tools[0]->tool().name, "fs_read_file");
  EXPECT_EQ(tools[1]->tool().name, "fs_write");
  EXPECT_EQ(tools[0]->permission(), Permission::kAsk);
  EXPECT_EQ(tools[0]->tool().parameters.at(0).name, "x");
  EXPECT_EQ(server.of_method("tools/list").size(), 2u);
  EXPECT_TRUE(client->tools({}).ok());
  EXPECT_EQ(server.of_method("tools/list").size(), 2u) << "the list is kept";
  server.sink({{"jsonrpc", "2.0"}, {"method", "notifications/tools/list_changed"}});
  EXPECT_TRUE(client->tools({}).ok());
  EXPECT_EQ(server.of_method("tools/list").size(), 4u) << "until it changes";
  endless = true;
  server.sink({{"jsonrpc", "2.0"}, {"method", "notifications/tools/list_changed"}});
  EXPECT_EQ(client->tools({}).error().code, Code::kCorrupt);
  EXPECT_EQ(tool_name("p_", "a b/天"), "p_a_b____");
  EXPECT_EQ(tool_name("", std::string(100, 'x')).size(), 64u);
}

TEST(McpCalls, AnswersTheServersRequestsAndMatchesIdsPerDirection) {
  FakeServer server;
  server.answer = [&](const Json& message) {
    return old_server(message, [&](const Json& m) -> std::vector<Json> {
      const auto ask = [](const char* method, Json id) { return Json{{"jsonrpc", "2.0"}, {"id", std::move(id)}, {"method", method}}; };
      // The same number as the client's own request, and a text.
      return {ask("roots/list", m["id"]), ask("ping", "abc"), ask("sampling/createMessage", 0), reply_to(m, {{"content", {{{"type", "text"}, {"text", "done"}}}}})};
    });
  };
  const auto client = client_of(server, {.session = {.roots = {"/data"}}});
  EXPECT_EQ(client->call("t", Json::object(), {}).value(), "done");
  const Json id = server.of_method("tools/call").at(0)["id"];
  std::map<std::string, Json> replies;
  for (const Json& message : server.received) {
    if (!message.contains("method")) replies[dump_json(message["id"])] = message;
  }
  EXPECT_EQ(dump_json(replies[dump_json(id)]["result"]), R"({"roots":[{"uri":"file:///data"}]})");
  EXPECT_EQ(dump_json(replies["\"abc\""]["result"]), "{}");
  EXPECT_EQ(replies["0"]["error"]["code"], -32601);
  EXPECT_TRUE(server.of_method("initialize").at(0)["params"]["capabilities"].contains("roots"));
}

TEST(McpCalls, ProgressErrorsAndCancel) {
  FakeServer server{.answer = [](const Json& message) {
    return old_server(message, [](const Json& m) -> std::vector<Json> {
      const std::string name = m["params"]["name"].get<std::string>();
      if (name == "silent") return {};
      if (name == "rpc") return {error_to(m, -32602)};
      if (name == "failed") return {reply_to(m, {{"content", {{{"type", "text"}, {"text", "no such city"}}}}, {"isError", true}})};
      const Json progress{{"progressToken", m["params"]["_meta"]["progressToken"]}, {"progress", 1}, {"total", 2}};
      return {{{"jsonrpc", "2.0"}, {"method", "notifications/progress"}, {"params", progress}}, reply_to(m, {{"content", {{{"type", "text"}, {"text", std::string(100, 'x')}}}}})};
    });
  }};
  const auto client = client_of(server, {.max_result_bytes = 20});
  double seen = 0;
  EXPECT_EQ(client->call("work", Json::object(), {}, [&](double progress, double total, const std::string&) { seen = progress / total; }).value(),
            "xxxxxxxxxxxxxxxxxxxx\n[cut here: 80 more bytes]");
  EXPECT_EQ(seen, 0.5);
  EXPECT_EQ(client->call("rpc", Json::object(), {}).error().message, "MCP server fake: MCP error -32602: no");
  EXPECT_EQ(client->call("failed", Json::object(), {}).error().message, "no such city");
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(client->call("silent", Json::object(), {.stop = stop.get_token()}).error().code, Code::kCancelled);
  EXPECT_EQ(client->call("silent", Json::object(), {.deadline = std::chrono::steady_clock::now()}).error().code, Code::kDeadlineExceeded);
  const auto calls = server.of_method("tools/call"), cancels = server.of_method("notifications/cancelled");
  ASSERT_EQ(cancels.size(), 2u);
  EXPECT_EQ(cancels[1]["params"]["requestId"], calls.back()["id"]);
}

TEST(McpCalls, ModernServersMayAskForInputFirst) {
  FakeServer server{.answer = [](const Json& message) {
    return new_server(message, [](const Json& m) -> std::vector<Json> {
      const Json& params = m["params"];
      if (params["name"] == "ask a person") return {reply_to(m, {{"resultType", "input_required"}, {"inputRequests", {{"q", {{"method", "elicitation/create"}}}}}})};
      if (params["name"] == "for ever") return {reply_to(m, {{"resultType", "input_required"}, {"requestState", "again"}})};
      if (!params.contains("inputResponses")) return {reply_to(m, {{"resultType", "input_required"}, {"requestState", "s1"}, {"inputRequests", {{"r", {{"method", "roots/list"}}}}}})};
      return {reply_to(m, {{"resultType", "complete"}, {"content", {{{"type", "text"}, {"text", dump_json(params["inputResponses"]) + params["requestState"].get<std::string>()}}}}})};
    });
  }};
  const auto client = client_of(server, {.session = {.roots = {"/d"}}});
  EXPECT_EQ(client->call("t", Json::object(), {}).value(), R"({"r":{"roots":[{"uri":"file:///d"}]}}s1)");
  EXPECT_EQ(client->call("ask a person", Json::object(), {}).error().code, Code::kUnsupported);
  EXPECT_EQ(client->call("for ever", Json::object(), {}).error().code, Code::kUnavailable);
}

TEST(McpCalls, ComesBackAfterTheServerEndedButNotAtOnce) {
  FakeServer server{.answer = [](const Json& message) {
    return old_server(message, [](const Json& m) -> std::vector<Json> {
      if (m["params"]["name"] == "die") return {Json()};
      return {reply_to(m, {{"content", {{{"type", "text"}, {"text", "alive"}}}}})};
    });
  }};
  const auto patient = client_of(server, {.first_retry = std::chrono::hours(1), .longest_retry = std::chrono::hours(2)});
  EXPECT_EQ(patient->call("die", Json::object(), {}).error().code, Code::kUnavailable);
  const auto refused = patient->call("live", Json::object(), {});
  EXPECT_NE(refused.error().message.find("next try in"), std::string::npos);
  EXPECT_EQ(server.n_starts, 1);
  const auto eager = client_of(server, {.first_retry = std::chrono::milliseconds(0), .longest_retry = std::chrono::milliseconds(0)});
  EXPECT_FALSE(eager->call("die", Json::object(), {}).ok());
  EXPECT_EQ(eager->call("live", Json::object(), {}).value(), "alive");
  EXPECT_EQ(server.n_starts, 3);
}

// Every message of the recording that the server sent in answer to one of the client's, given when the client sends its like.
class Recording {
 public:
  explicit Recording(const std::string& name) {
    std::ifstream in(std::string(HANLIN_SOURCE_DIR "/../shared/cases/mcp/transcripts/") + name);
    for (std::string line; std::getline(in, line);) lines.push_back(parse_json(line).value());
  }
  // What followed the client's message of this method and, for calls, this tool; ids are the ones of `message`.
  std::vector<Json> answer(const Json& message) {
    const std::string method = message.value("method", "");
    if (method == "server/discover") return {error_to(message, -32601)};
    const auto same = [&](const Json& sent) {
      return sent.value("method", "") == method && (method != "tools/call" || sent["params"].value("name", "") == message["params"].value("name", ""));
    };
    for (size_t i = 0; i < lines.size(); ++i) {
      if (lines[i]["dir"] != "c2s" || !same(lines[i]["msg"]) || !message.contains("id")) continue;
      const Json recorded_id = lines[i]["msg"]["id"];
      std::vector<Json> found;
      for (size_t k = i + 1; k < lines.size(); ++k) {
        Json reply = lines[k]["msg"];
        if (lines[k]["dir"] != "s2c") continue;
        const bool last = !reply.contains("method") && reply.contains("id") && reply["id"] == recorded_id;
        if (last) reply["id"] = message["id"];
        if (reply.contains("params") && reply["params"].contains("progressToken")) reply["params"]["progressToken"] = message["params"]["_meta"]["progressToken"];
        found.push_back(reply);
        if (last) return found;
      }
    }
    return {};
  }
  std::vector<Json> lines;
};

TEST(McpTranscripts, EverythingServer) {
  Recording recording("everything_2025-11-25.jsonl");
  if (recording.lines.empty()) GTEST_SKIP() << "../shared/cases/mcp is absent";
  FakeServer server{.answer = [&](const Json& message) { return recording.answer(message); }};
  const auto client = client_of(server, {.prefix = "e_"});
  const auto tools = client->tools({}).value();
  EXPECT_GE(tools.size(), 10u);
  EXPECT_EQ(client->version(), "2025-11-25");
  EXPECT_EQ(client->call("echo", {{"message", "hello 世界"}}, {}).value(), "Echo: hello 世界");
  EXPECT_EQ(client->call("get-sum", {{"a", 2}, {"b", 40}}, {}).value(), "The sum of 2 and 40 is 42.");
  EXPECT_NE(client->call("nope", Json::object(), {}).error().message.find("Tool nope not found"), std::string::npos);
  EXPECT_NE(client->call("get-tiny-image", Json::object(), {}).value().find("[image image/png, "), std::string::npos);
  EXPECT_EQ(client->call("get-structured-content", Json::object(), {}).value(), R"({"temperature":33,"conditions":"Cloudy","humidity":82})");
  EXPECT_NE(client->call("get-resource-links", Json::object(), {}).value().find("[link Text Resource 2: demo://resource/dynamic/text/2]"), std::string::npos);
  EXPECT_NE(client->call("get-resource-reference", Json::object(), {}).value().find("Resource 1: This is a plaintext resource"), std::string::npos);
  int n_steps = 0;
  EXPECT_TRUE(client->call("trigger-long-running-operation", Json::object(), {}, [&](double, double, const std::string&) { ++n_steps; }).ok());
  EXPECT_EQ(n_steps, 3);
}

TEST(McpTranscripts, ServerThatAsksBack) {
  Recording recording("everything_sampling_roots.jsonl");
  if (recording.lines.empty()) GTEST_SKIP() << "../shared/cases/mcp is absent";
  FakeServer server{.answer = [&](const Json& message) { return recording.answer(message); }};
  const auto client = client_of(server, {.session = {.roots = {"/sandbox"}}});
  EXPECT_NE(client->call("get-roots-list", Json::object(), {}).value().find("Current MCP Roots"), std::string::npos);
  EXPECT_TRUE(client->call("trigger-sampling-request", Json::object(), {}).ok());
  int n_refused = 0, n_roots = 0;
  for (const Json& message : server.received) {
    if (message.contains("error") && message["id"] == 0) n_refused += message["error"]["code"] == -32601;
    if (message.contains("result") && message["id"] == 1) n_roots += message["result"]["roots"][0]["uri"] == "file:///sandbox";
  }
  EXPECT_EQ(n_refused, 1);
  EXPECT_EQ(n_roots, 1);
}

}  // namespace
}  // namespace hanlin::agent::mcp
