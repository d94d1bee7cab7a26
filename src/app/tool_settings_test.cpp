#include "app/tool_settings.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace hanlin::app {
namespace {

// The settings as a command line gives them.
ToolSettings settings_of(const std::vector<std::pair<std::string, std::string>>& flags) {
  ToolSettings settings;
  FieldSet fields;
  settings.add_to(fields);
  for (const auto& [name, value] : flags) {
    const Status set = fields.find(name)->set_texts({value}, Source::kFlag, "--" + name);
    EXPECT_TRUE(set.ok()) << (set.ok() ? "" : set.error().message);
  }
  return settings;
}

TEST(ToolSettings, FlagsBecomeOptions) {
  const ToolSettings settings = settings_of({{"read_roots", "/tmp"}, {"http_hosts", "a.org,b.org"}, {"search", "json=http://x/{query}#/a,/b,/c,/d"}, {"sql", "shop=shop.db"}, {"deny_tools", "calculator"}});
  const agent::ToolOptions options = tool_options(settings).value();
  EXPECT_EQ(options.read_roots, std::vector<std::string>{"/tmp"});
  EXPECT_EQ(options.http_hosts, (std::vector<std::string>{"a.org", "b.org"}));
  ASSERT_EQ(options.search.size(), 1u);
  EXPECT_EQ(options.search[0].snippet, "/d");
  EXPECT_EQ(options.databases.at(0).target, "shop.db");
  EXPECT_EQ(tool_permissions(settings), (agent::Permissions{{"calculator", agent::Permission::kDeny}}));
  setenv("HOME", "/home/li", 1);
  const agent::ToolOptions home = tool_options(settings_of({{"read_roots", "~/a"}, {"search", "corpus=~/b"}, {"sql", "c=~/c.db"}, {"tools", "~/d.json"}})).value();
  EXPECT_EQ(home.read_roots[0] + home.search[0].path + home.databases[0].target + home.tool_files[0], "/home/li/a/home/li/b/home/li/c.db/home/li/d.json");
  EXPECT_EQ(tool_options(settings_of({{"search", "google"}})).error().message.find("--search: expected"), 0u);
  EXPECT_EQ(tool_options(settings_of({{"sql", "x"}})).error().message.find("--sql: expected"), 0u);
}

TEST(ToolSettings, OpensToolsWithTheirPermissions) {
  ToolSettings settings;
  settings.tools = {HANLIN_SOURCE_DIR "/tests/tools/weather.json"};
  settings.allow_tools = {"send_email"};
  const agent::ToolBox box = open_tools(settings).value();
  EXPECT_EQ(box.tools()[0]->tool().name, "get_weather");
  EXPECT_EQ(box.find("send_email")->permission(), agent::Permission::kAllow);
  EXPECT_NE(box.find("clock"), nullptr);
  settings.basic_tools = false;
  EXPECT_EQ(open_tools(settings)->tools().size(), 2u);
  settings.ask_tools = {"send_email"};
  EXPECT_EQ(open_tools(settings).error().message, "permission of the tool send_email: given twice");
  settings.ask_tools = {"send_mail"};
  EXPECT_EQ(open_tools(settings).error().message, "permission of the tool send_mail: there is no such tool");
}

TEST(ToolSettings, ReadsMcpServers) {
  const McpServerSetting program = parse_mcp_server("fs=npx  -y server /data").value();
  EXPECT_EQ(program.name, "fs");
  EXPECT_EQ(program.argv, (std::vector<std::string>{"npx", "-y", "server", "/data"}));
  EXPECT_EQ(parse_mcp_server("web=https://host/mcp?a=b").value().url, "https://host/mcp?a=b");
  for (const char* bad : {"", "x", "=npx", "a b=npx", "fs=", "fs= "}) EXPECT_FALSE(parse_mcp_server(bad).ok()) << bad;

  setenv("HANLIN_TEST_TOKEN", "t0ken", 1);
  const auto folder = std::filesystem::temp_directory_path() / ("hanlin-mcp-config-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "mcp.json").string();
  const auto read = [&](const char* text) {
    std::ofstream(path) << text;
    return read_mcp_config(path);
  };
  const auto servers = read(R"({"mcpServers": {"fs": {"command": "npx", "args": ["server"], "env": {"KEY": "${HANLIN_TEST_TOKEN}"}},
                                              "web": {"type": "http", "url": "https://host/mcp", "headers": {"Authorization": "Bearer ${HANLIN_TEST_TOKEN}"}}}})").value();
  ASSERT_EQ(servers.size(), 2u);
  EXPECT_EQ(servers[0].argv, (std::vector<std::string>{"npx", "server"}));
  EXPECT_EQ(servers[0].environment.at(0).second, "t0ken");
  EXPECT_EQ(servers[1].headers.at(0).second, "Bearer t0ken");
  const auto error = [&](const char* text) { return read(text).error().message.substr(path.size()); };
  EXPECT_EQ(error("{}"), "#: expected an object with mcpServers");
  EXPECT_EQ(error(R"({"mcpServers": {"a": {}}})"), "#/mcpServers/a: expected either a command or a url");
  EXPECT_EQ(error(R"({"mcpServers": {"a": {"command": 1}}})"), "#/mcpServers/a/command: expected a text, got 1");
  EXPECT_EQ(error(R"({"mcpServers": {"a": {"cmd": "x"}}})"), "#/mcpServers/a/cmd: there is no such key; expected one of command, args, env, url, headers, type");
  EXPECT_EQ(read_mcp_config("/no/such/file").error().code, Code::kNotFound);
  std::filesystem::remove_all(folder);
}

TEST(ToolSettings, AnMcpServerThatDoesNotStartIsNamed) {
  ToolSettings settings;
  settings.mcp = {"gone=/no/such/server"};
  EXPECT_NE(open_tools(settings).error().message.find("MCP server gone"), std::string::npos);
}

}  // namespace
}  // namespace hanlin::app
