#include "app/tool_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "agent/tools/tool_file.h"
#include "base/json.h"

namespace hanlin::app {
namespace {

constexpr const char* kSection = "Tools";

// "fs=npx server /data" → {"fs", "npx server /data"}
Result<std::pair<std::string, std::string>> split_name(const std::string& flag, const std::string& text, const char* expected) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size() || !agent::is_tool_name(text.substr(0, equals))) {
    return Error{Code::kInvalidArgument, fmt::format("{}: expected {}, got \"{}\"", flag, expected, text)};
  }
  return std::pair{text.substr(0, equals), text.substr(equals + 1)};
}

// "~/x" below the home folder: no shell has seen what stands behind a "=" or in a file.
std::string at_home(const std::string& path) {
  const char* const home = std::getenv("HOME");
  return path.starts_with("~/") && home != nullptr ? home + path.substr(1) : path;
}
std::vector<std::string> at_home(std::vector<std::string> paths) {
  for (std::string& path : paths) path = at_home(path);
  return paths;
}

bool is_url(const std::string& text) { return text.starts_with("http://") || text.starts_with("https://"); }

using Pairs = std::vector<std::pair<std::string, std::string>>;
Result<Pairs> read_pairs(const agent::JsonPlace& owner, const char* key) {
  Pairs pairs;
  if (!owner.has(key)) return pairs;
  const agent::JsonPlace place = owner.at(key);
  if (!place.value().is_object()) return place.mismatch("an object of texts");
  for (const auto& [name, value] : place.value().items()) {
    HANLIN_ASSIGN(std::string text, agent::expand_environment(place.at(name), {}));
    pairs.emplace_back(name, std::move(text));
  }
  return pairs;
}

Result<McpServerSetting> read_mcp_server(const std::string& name, const agent::JsonPlace& place) {
  HANLIN_TRY(place.only({"command", "args", "env", "url", "headers", "type"}));
  if (!agent::is_tool_name(name)) return place.mistake("expected a name of letters, digits, _ and -");
  McpServerSetting server{.name = name};
  if (place.has("url") == place.has("command")) return place.mistake("expected either a command or a url");
  if (place.has("url")) {
    HANLIN_ASSIGN(server.url, agent::expand_environment(place.at("url"), {}));
    HANLIN_ASSIGN(server.headers, read_pairs(place, "headers"));
    return server;
  }
  HANLIN_ASSIGN(std::string command, place.at("command").text());
  server.argv.push_back(std::move(command));
  if (place.has("args")) {
    HANLIN_ASSIGN(const auto args, place.at("args").texts());
    server.argv.insert(server.argv.end(), args.begin(), args.end());
  }
  HANLIN_ASSIGN(server.environment, read_pairs(place, "env"));
  return server;
}

std::shared_ptr<agent::mcp::Client> client_of(const McpServerSetting& server) {
  const agent::mcp::ClientOptions options{.name = server.name, .prefix = server.name + "_"};
  return std::make_shared<agent::mcp::Client>(options, [server]() -> Result<std::unique_ptr<agent::mcp::Transport>> {
    if (!server.url.empty()) return agent::mcp::make_http_transport({.url = server.url, .headers = server.headers});
    return agent::mcp::make_stdio_transport({.argv = server.argv, .environment = server.environment});
  });
}

}  // namespace

void ToolSettings::add_to(FieldSet& fields) {
  fields.add("tools", &tools, "File that describes tools of yours, or an OpenAPI document; repeat for several").whole_items().section(kSection);
  fields.add("basic_tools", &basic_tools, "Offer calculator and clock").section(kSection);
  fields.add("time_zone", &time_zone, "Time zone of the clock, such as Asia/Shanghai").section(kSection);
  fields.add("read_roots", &read_roots, "Folder that read_file may read; repeat for several").whole_items().section(kSection);
  fields.add("http_hosts", &http_hosts, "Hosts that http_get may reach, with commas between: example.com, *.example.com, *").section(kSection);
  fields.add("http_private_hosts", &http_private_hosts, "Hosts that http_get may reach although their addresses are private: localhost:8080").section(kSection);
  fields.add("search", &search, "Where web_search searches: corpus=PATH, searxng=URL, serpapi, brave, json=URL with {query}; repeat for what comes next if it fails").whole_items().section(kSection);
  fields.add("sql", &sql, "Database for sql_query, read only: NAME=FILE (SQLite) or NAME=postgresql://…; repeat for several").whole_items().section(kSection);
  fields.add("run_python", &run_python, "Offer python: programs that the model writes, in the sandbox").section(kSection);
  fields.add("run_shell", &run_shell, "Offer shell: scripts that the model writes, in the sandbox").section(kSection);
  fields.add("sandbox", &sandbox, "How programs are shut in").choices({"native", "bubblewrap"}).section(kSection);
  fields.add("mcp", &mcp, "MCP server: NAME=PROGRAM ARGUMENT… or NAME=URL; its tools are called NAME_…; repeat for several").whole_items().section(kSection);
  fields.add("mcp_config", &mcp_config, "JSON file with mcpServers, as other MCP clients have it").section(kSection);
  fields.add("allow_tools", &allow_tools, "Tools that run without asking, with commas between").section(kSection);
  fields.add("ask_tools", &ask_tools, "Tools whose every call a person must allow").section(kSection);
  fields.add("deny_tools", &deny_tools, "Tools that never run").section(kSection);
}

Result<agent::ToolOptions> tool_options(const ToolSettings& settings) {
  agent::ToolOptions options{.basic = settings.basic_tools,
                             .time_zone = settings.time_zone,
                             .read_roots = at_home(settings.read_roots),
                             .http_hosts = settings.http_hosts,
                             .http_private_hosts = settings.http_private_hosts,
                             .python = settings.run_python,
                             .shell = settings.run_shell,
                             .sandbox = settings.sandbox == "bubblewrap" ? agent::SandboxKind::kBubblewrap : agent::SandboxKind::kNative,
                             .tool_files = at_home(settings.tools)};
  for (const std::string& text : settings.search) {
    auto backend = agent::parse_search_backend(text);
    if (!backend.ok()) return std::move(backend).error().with_context("--search");
    backend->path = at_home(backend->path);
    options.search.push_back(std::move(backend).value());
  }
  for (const std::string& text : settings.sql) {
    auto database = agent::parse_sql_database(text);
    if (!database.ok()) return std::move(database).error().with_context("--sql");
    database->target = at_home(database->target);
    options.databases.push_back(std::move(database).value());
  }
  return options;
}

agent::Permissions tool_permissions(const ToolSettings& settings) {
  agent::Permissions permissions;
  for (const std::string& name : settings.allow_tools) permissions.emplace_back(name, agent::Permission::kAllow);
  for (const std::string& name : settings.ask_tools) permissions.emplace_back(name, agent::Permission::kAsk);
  for (const std::string& name : settings.deny_tools) permissions.emplace_back(name, agent::Permission::kDeny);
  return permissions;
}

Result<McpServerSetting> parse_mcp_server(const std::string& text) {
  HANLIN_ASSIGN(const auto parts, split_name("--mcp", text, "NAME=PROGRAM ARGUMENT… or NAME=URL"));
  McpServerSetting server{.name = parts.first};
  if (is_url(parts.second)) {
    server.url = parts.second;
    return server;
  }
  for (size_t at = 0; at < parts.second.size();) {
    const size_t end = std::min(parts.second.find(' ', at), parts.second.size());
    if (end > at) server.argv.push_back(parts.second.substr(at, end - at));
    at = end + 1;
  }
  if (server.argv.empty()) return Error{Code::kInvalidArgument, fmt::format("--mcp: expected a program after {}=", server.name)};
  return server;
}

Result<std::vector<McpServerSetting>> read_mcp_config(const std::string& path) {
  std::ifstream in(at_home(path), std::ios::binary);
  if (!in) return Error{Code::kNotFound, fmt::format("--mcp-config: {} cannot be read", path)};
  auto document = parse_json(std::string((std::istreambuf_iterator<char>(in)), {}));
  if (!document.ok()) return std::move(document).error().with_context(path);
  const agent::JsonPlace root(path, *document);
  if (!root.has("mcpServers") || !document->at("mcpServers").is_object()) return root.mistake("expected an object with mcpServers");
  std::vector<McpServerSetting> servers;
  const agent::JsonPlace list = root.at("mcpServers");
  for (const auto& [name, value] : list.value().items()) {
    HANLIN_ASSIGN(auto server, read_mcp_server(name, list.at(name)));
    servers.push_back(std::move(server));
  }
  return servers;
}

Result<agent::ToolBox> open_tools(const ToolSettings& settings, const agent::ToolContext& context) {
  HANLIN_ASSIGN(const agent::ToolOptions options, tool_options(settings));
  HANLIN_ASSIGN(const agent::ToolBox own, agent::make_tools(options));
  std::vector<McpServerSetting> servers;
  for (const std::string& text : settings.mcp) {
    HANLIN_ASSIGN(auto server, parse_mcp_server(text));
    servers.push_back(std::move(server));
  }
  if (!settings.mcp_config.empty()) {
    HANLIN_ASSIGN(const auto listed, read_mcp_config(settings.mcp_config));
    servers.insert(servers.end(), listed.begin(), listed.end());
  }
  std::vector<std::shared_ptr<agent::RunnableTool>> tools = own.tools();
  for (const McpServerSetting& server : servers) {
    HANLIN_ASSIGN(const auto theirs, client_of(server)->tools(context));
    tools.insert(tools.end(), theirs.begin(), theirs.end());
  }
  return agent::with_permissions(agent::ToolBox(std::move(tools)), tool_permissions(settings));
}

}  // namespace hanlin::app
