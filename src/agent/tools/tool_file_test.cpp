#include "agent/tools/tool_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "agent/tools/file_tools.h"
#include "net/test_server.h"

namespace hanlin::agent {
namespace {

namespace fs = std::filesystem;

class ToolFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "hanlin-tools-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    // What the sandbox shows must be readable for its user.
    fs::permissions(folder_, fs::perms::others_read | fs::perms::others_exec | fs::perms::group_read | fs::perms::group_exec, fs::perm_options::add);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string write(const std::string& text, const std::string& name = "t.json") {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }
  static const char* environment(const char* name) { return std::string_view(name) == "SECRET" ? "s3cret" : nullptr; }
  Result<std::vector<std::shared_ptr<RunnableTool>>> load(const std::string& text) { return load_tool_file(write(text), {.environment = environment}); }
  std::shared_ptr<RunnableTool> one(const std::string& text) {
    auto tools = load(text);
    EXPECT_TRUE(tools.ok()) << (tools.ok() ? "" : tools.error().message);
    return tools.ok() ? tools->at(0) : nullptr;
  }
  std::string error(const std::string& text) {
    const auto tools = load(text);
    return tools.ok() ? "no error" : tools.error().message.substr(tools.error().message.find('#') + 1);
  }
  fs::path folder_;
};

TEST_F(ToolFileTest, TheClassicExample) {
  const auto tools = load_tool_file(HANLIN_SOURCE_DIR "/tests/tools/weather.json");
  ASSERT_TRUE(tools.ok()) << tools.error().message;
  ASSERT_EQ(tools->size(), 2u);
  const auto &weather = tools->at(0), &email = tools->at(1);
  EXPECT_EQ(weather->run({{"location", "北京"}}, {}).value(), R"({"location":"北京","condition":"sunny","temperature":22,"unit":"celsius"})");
  EXPECT_EQ(weather->run({{"location", "Rome"}, {"unit", "fahrenheit"}}, {}).value(), R"({"location":"Rome","condition":"sunny","temperature":22,"unit":"fahrenheit"})");
  EXPECT_EQ(weather->permission(), Permission::kAllow);
  EXPECT_EQ(email->permission(), Permission::kAsk);
  EXPECT_EQ(email->run({{"to", "li@example.com"}, {"subject", "a"}, {"body", "b"}}, {}).value(), "The email to li@example.com has been sent.");
  EXPECT_FALSE(email->is_manual());
}

TEST_F(ToolFileTest, ResultsKeepTypesAndOtherBraces) {
  const auto tool = one(R"({"type": "function", "function": {"name": "f", "strict": true, "parameters": {"type": "object",
      "properties": {"n": {"type": "integer"}, "list": {"type": "array"}, "x": {}}}}, "result": {"n": "{n}", "text": "n={n} l={list} {y} {", "list": ["{list}"], "x": "{x}"}})");
  EXPECT_EQ(tool->run({{"n", 3}, {"list", {1, "a"}}}, {}).value(), R"({"n":3,"text":"n=3 l=[1,\"a\"] {y} {","list":[[1,"a"]],"x":null})");
  EXPECT_TRUE(tool->tool().strict);
}

TEST_F(ToolFileTest, WithoutAWayToRunAPersonIsAsked) {
  const auto tool = one(R"({"name": "open_door"})");
  EXPECT_TRUE(tool->is_manual());
  EXPECT_EQ(tool->permission(), Permission::kAsk);
  EXPECT_EQ(tool->run(Json::object(), {}).error().code, Code::kUnsupported);
}

TEST_F(ToolFileTest, HttpPutsArgumentsWhereTheyBelong) {
  net::TestServer server([](const std::string& request) {
    if (request.starts_with("GET /missing")) return net::http_ok("no such city", "text/plain", "404 Not Found");
    if (request.starts_with("GET /long")) return net::http_ok(std::string(100000, 'x'));
    return net::http_ok("fine");
  });
  const auto tool = [&](const std::string& http, const std::string& properties = R"("city": {"type": "string"}, "n": {"type": "integer", "default": 7}, "tags": {"type": "array"})") {
    return one(R"({"name": "f", "parameters": {"type": "object", "properties": {)" + properties + R"(}}, "http": )" + http + "}");
  };
  const std::string base = server.base();
  const auto get = tool(R"({"url": ")" + base + R"(/v1/{city}/now?units=metric", "headers": {"Authorization": "Bearer ${SECRET}"}})");
  EXPECT_EQ(get->run({{"city", "São/Paulo?"}, {"tags", {"a b", "c&d"}}}, {}).value(), "fine");
  EXPECT_EQ(server.requests().back().find("GET /v1/S%C3%A3o%2FPaulo%3F/now?units=metric&tags=a%20b&tags=c%26d&n=7 HTTP/1.1\r\n"), 0u) << server.requests().back();
  EXPECT_NE(server.requests().back().find("Authorization: Bearer s3cret\r\n"), std::string::npos);
  for (const char* bad : {"..", ".", ""}) EXPECT_EQ(get->run({{"city", bad}}, {}).error().code, Code::kInvalidArgument) << bad;
  EXPECT_EQ(get->run(Json::object(), {}).error().param, "city");

  const auto post = tool(R"({"url": ")" + base + R"(/v1", "method": "POST", "query": ["n"]})");
  EXPECT_EQ(post->run({{"city", "北京"}, {"n", 2}, {"tags", Json::array()}}, {}).value(), "fine");
  EXPECT_EQ(server.requests().back().find("POST /v1?n=2 HTTP/1.1\r\n"), 0u);
  EXPECT_TRUE(server.requests().back().ends_with("\r\n\r\n{\"city\":\"北京\",\"tags\":[]}")) << server.requests().back();
  EXPECT_NE(server.requests().back().find("Content-Type: application/json\r\n"), std::string::npos);

  EXPECT_EQ(tool(R"({"url": ")" + base + R"(/missing"})", "")->run(Json::object(), {}).error().message, "f: HTTP 404: no such city");
  const std::string cut = tool(R"({"url": ")" + base + R"(/long"})", "")->run(Json::object(), {}).value();
  EXPECT_NE(cut.find("\n[cut here after 65536 bytes"), std::string::npos);
}

TEST_F(ToolFileTest, PrivateAddressesOnlyIfTheFileSaysSo) {
  EXPECT_FALSE(rules_for_named_server(hub::parse_url("http://127.0.0.1:80").value(), false).private_hosts.empty());
  EXPECT_FALSE(rules_for_named_server(hub::parse_url("http://[::1]:80").value(), false).private_hosts.empty());
  EXPECT_FALSE(rules_for_named_server(hub::parse_url("http://localhost").value(), false).private_hosts.empty());
  EXPECT_TRUE(rules_for_named_server(hub::parse_url("http://weather.example").value(), false).private_hosts.empty());
  EXPECT_FALSE(rules_for_named_server(hub::parse_url("http://weather.example").value(), true).private_hosts.empty());
}

TEST_F(ToolFileTest, CommandsGetArgumentsOnStdin) {
  write("import json, os, sys\na = json.load(sys.stdin)\nprint(a['x'] * 2, os.path.basename(sys.argv[1]))\n", "twice.py");
  const std::string tool = R"({"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}, "command": )";
  EXPECT_EQ(one(tool + R"({"argv": ["python3", "twice.py", "twice.py"]}})")->run({{"x", 21}}, {}).value(), "42 twice.py");
  EXPECT_EQ(one(tool + R"({"argv": ["sh", "-c", "cat"]}})")->run({{"x", 1}}, {}).value(), R"({"x":1})");
  const auto failed = one(tool + R"({"argv": ["sh", "-c", "echo partly; echo no such city >&2; exit 3"]}})")->run({{"x", 1}}, {});
  EXPECT_EQ(failed.error().message, "f: failed with exit status 3: no such city");
  EXPECT_EQ(one(tool + R"({"argv": ["/no/such/program"]}})")->run({{"x", 1}}, {}).error().code, Code::kNotFound);
  const auto slow = one(tool + R"({"argv": ["sleep", "1000"]}})");
  EXPECT_EQ(slow->run({{"x", 1}}, {.deadline = std::chrono::steady_clock::now()}).error().code, Code::kDeadlineExceeded);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(slow->run({{"x", 1}}, {.stop = stop.get_token()}).error().code, Code::kCancelled);
}

TEST_F(ToolFileTest, CommandsInTheSandboxSeeTheirFolderOnly) {
  if (const Status sandbox = check_sandbox(SandboxKind::kNative); !sandbox.ok()) GTEST_SKIP() << sandbox.error().message;
  write("import json, sys\nprint(json.load(sys.stdin)['x'] * 2)\ntry: open('/etc/passwd'); print('out')\nexcept OSError: print('in')\n", "twice.py");
  const auto tool = one(R"({"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}, "command": {"argv": ["python3", "twice.py"], "sandbox": true}})");
  EXPECT_EQ(tool->run({{"x", 21}}, {}).value(), "42\nin");
  EXPECT_EQ(error(R"({"name": "f", "command": {"argv": ["no-such-program"], "sandbox": true}})"), "/command: command no-such-program: there is no such program in /usr/local/bin, /usr/bin or /bin, which the sandbox shows");
}

TEST_F(ToolFileTest, MistakesNameTheirPlace) {
  EXPECT_EQ(load_tool_file("/no/such/file.json").error().code, Code::kNotFound);
  EXPECT_EQ(load("{").error().code, Code::kCorrupt);
  EXPECT_EQ(error("[1]"), "/0: expected an object that describes a tool, got 1");
  EXPECT_EQ(error("[{}]"), "/0: expected a name");
  EXPECT_EQ(error(R"([{"name": "a b"}])"), "/0/name: expected 1 to 64 of the characters a-z, A-Z, 0-9, _ and -, got \"a b\"");
  EXPECT_EQ(error(R"([{"name": "a"}, {"name": "a"}])"), "/1: the name \"a\" is there twice");
  EXPECT_EQ(error(R"({"name": "a", "parameters": 3})"), "/parameters: expected a JSON Schema of an object, got 3");
  EXPECT_EQ(error(R"({"name": "a", "permision": "ask"})"), "/permision: there is no such key; expected one of name, description, parameters, strict, permission, http, command, result");
  EXPECT_EQ(error(R"({"name": "a", "permission": "maybe"})"), "/permission: expected one of allow, ask, deny, got \"maybe\"");
  EXPECT_EQ(error(R"({"name": "a", "result": 1, "command": {"argv": ["x"]}})"), ": expected one way to run the tool, got command and result");
  EXPECT_EQ(error(R"({"name": "a", "command": {}})"), "/command: expected argv, the program and its arguments");
  EXPECT_EQ(error(R"({"name": "a", "command": {"argv": ["x"], "timeout_s": 0}})"), "/command/timeout_s: expected an integer from 1 to 3600, got 0");
  EXPECT_EQ(error(R"({"name": "a", "http": {"url": "ftp://x"}})"), "/http/url: expected http:// or https:// and a server, got \"ftp://x\"");
  EXPECT_EQ(error(R"({"name": "a", "http": {"url": "http://x/{b}"}})"), "/http/url: expected an argument of the tool, got \"b\"");
  EXPECT_EQ(error(R"({"name": "a", "parameters": {"type": "object", "properties": {"b": {}}}, "http": {"url": "http://{b}/"}})"),
            "/http/url: a {placeholder} may stand in the path or query, not in the server's name");
  EXPECT_EQ(error(R"({"name": "a", "http": {"url": "http://x", "method": "BREW"}})"), "/http/method: expected one of GET, POST, PUT, PATCH, DELETE, HEAD, got \"BREW\"");
  EXPECT_EQ(error(R"({"name": "a", "http": {"url": "http://x", "headers": {"A/B": "${NONE}"}}})"), "/http/headers/A~1B: the environment has no variable NONE");
  EXPECT_EQ(error(R"({"name": "a", "http": {"url": "http://x", "query": ["z"]}})"), "/http/query/0: expected an argument of the tool, got \"z\"");
}

}  // namespace
}  // namespace hanlin::agent
