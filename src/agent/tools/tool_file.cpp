#include "agent/tools/tool_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "agent/tools/arguments.h"
#include "agent/tools/file_tools.h"
#include "agent/tools/openapi.h"
#include "net/address_rules.h"

namespace hanlin::agent {
namespace {

namespace fs = std::filesystem;

constexpr uintmax_t kMaxFileBytes = 8 << 20;
constexpr std::string_view kMethods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"};

// Reads one tool; everything about it stands in the object or its "function".
class ToolReader {
 public:
  ToolReader(const JsonPlace& place, const std::string& folder, const ToolFileOptions& options) : place_(place), folder_(folder), options_(options) {}

  Result<std::shared_ptr<RunnableTool>> read() {
    if (!place_.value().is_object()) return place_.mismatch("an object that describes a tool");
    const bool is_openai = place_.has("function");
    const JsonPlace function = is_openai ? place_.at("function") : place_;
    if (is_openai) {
      HANLIN_TRY(place_.only({"type", "function", "permission", "http", "command", "result"}));
      if (place_.has("type") && place_.value()["type"] != "function") return place_.at("type").mismatch("\"function\"");
      HANLIN_TRY(function.only({"name", "description", "parameters", "strict"}));
    } else {
      HANLIN_TRY(place_.only({"name", "description", "parameters", "strict", "permission", "http", "command", "result"}));
    }
    HANLIN_TRY(read_head(function));
    const std::vector<std::string> ways = present({"http", "command", "result"});
    if (ways.size() > 1) return place_.mistake(fmt::format("expected one way to run the tool, got {}", fmt::join(ways, " and ")));
    if (ways.empty()) return make_manual_tool(std::move(head_));
    const JsonPlace way = place_.at(ways[0]);
    if (ways[0] == "http") return read_http(way);
    if (ways[0] == "command") return read_command(way);
    return make_fixed_tool(std::move(head_), way.value());
  }

 private:
  std::vector<std::string> present(std::initializer_list<const char*> keys) const {
    std::vector<std::string> found;
    for (const char* key : keys) {
      if (place_.has(key)) found.emplace_back(key);
    }
    return found;
  }

  Status read_head(const JsonPlace& function) {
    if (!function.has("name")) return function.mistake("expected a name");
    HANLIN_ASSIGN(const std::string name, function.at("name").text());
    if (!is_tool_name(name)) return function.at("name").mismatch("1 to 64 of the characters a-z, A-Z, 0-9, _ and -");
    HANLIN_ASSIGN(const std::string description, function.text_or("description", ""));
    const Json schema = function.has("parameters") ? function.value()["parameters"] : Json{{"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
    auto tool = describe_tool(name, description, schema);
    if (!tool.ok()) return function.has("parameters") ? function.at("parameters").mismatch("a JSON Schema of an object") : function.mistake(tool.error().message);
    head_.tool = std::move(tool).value();
    if (function.has("strict")) {
      HANLIN_ASSIGN(head_.tool.strict, function.at("strict").boolean());
    }
    head_.defaults = schema_defaults(schema);
    head_.max_bytes = options_.max_result_bytes;
    if (place_.has("permission")) {
      HANLIN_ASSIGN(head_.permission, read_permission(place_.at("permission")));
    }
    return {};
  }

  // The tool's argument `name`, which `place` mentions.
  Status check_declared(const JsonPlace& place, const std::string& name) const {
    const auto& parameters = head_.tool.parameters;
    const bool known = std::any_of(parameters.begin(), parameters.end(), [&](const ToolParameter& parameter) { return parameter.name == name; });
    return known ? Status() : place.mistake(fmt::format("expected an argument of the tool, got \"{}\"", name));
  }

  Result<std::shared_ptr<RunnableTool>> read_http(const JsonPlace& http) {
    HANLIN_TRY(http.only({"url", "method", "headers", "query", "timeout_s", "private_network"}));
    HttpToolSpec spec;
    HANLIN_ASSIGN(spec.method, http.text_or("method", "GET"));
    if (std::find(std::begin(kMethods), std::end(kMethods), spec.method) == std::end(kMethods)) return http.at("method").mismatch(fmt::format("one of {}", fmt::join(kMethods, ", ")));
    spec.rest = spec.method == "GET" || spec.method == "HEAD" || spec.method == "DELETE" ? ArgumentPlace::kQuery : ArgumentPlace::kBody;
    if (!http.has("url")) return http.mistake("expected a url");
    HANLIN_TRY(read_url(http, &spec));
    if (http.has("headers")) {
      const JsonPlace headers = http.at("headers");
      if (!headers.value().is_object()) return headers.mismatch("an object of texts");
      for (const auto& [name, value] : headers.value().items()) {
        HANLIN_ASSIGN(std::string text, expand_environment(headers.at(name), options_.environment));
        spec.headers.emplace_back(name, std::move(text));
      }
    }
    if (http.has("query")) {
      HANLIN_ASSIGN(const auto names, http.at("query").texts());
      for (size_t i = 0; i < names.size(); ++i) {
        HANLIN_TRY(check_declared(http.at("query").at(i), names[i]));
        spec.arguments.push_back({names[i], ArgumentPlace::kQuery, names[i]});
      }
    }
    if (http.has("timeout_s")) {
      HANLIN_ASSIGN(const int64_t seconds, http.at("timeout_s").integer(1, 3600));
      spec.timeout = std::chrono::seconds(seconds);
    }
    return make_http_tool(std::move(head_), std::move(spec));
  }

  Status read_url(const JsonPlace& http, HttpToolSpec* spec) const {
    const JsonPlace place = http.at("url");
    HANLIN_ASSIGN(spec->url, expand_environment(place, options_.environment));
    for (size_t at = spec->url.find('{'); at != std::string::npos; at = spec->url.find('{', at + 1)) {
      const size_t close = spec->url.find('}', at);
      if (close == std::string::npos) return place.mistake("expected a } after {");
      const std::string name = spec->url.substr(at + 1, close - at - 1);
      HANLIN_TRY(check_declared(place, name));
      spec->arguments.push_back({name, ArgumentPlace::kPath, name});
    }
    const size_t host_at = spec->url.find("://");
    const size_t host_end = host_at == std::string::npos ? 0 : spec->url.find_first_of("/?#", host_at + 3);
    if (spec->url.find('{') < host_end) return place.mistake("a {placeholder} may stand in the path or query, not in the server's name");
    auto url = hub::parse_url(spec->url.substr(0, host_end));
    if (!url.ok()) return place.mismatch("http:// or https:// and a server");
    HANLIN_ASSIGN(const bool private_network, http.boolean_or("private_network", false));
    spec->rules = rules_for_named_server(*url, private_network);
    return {};
  }

  Result<std::shared_ptr<RunnableTool>> read_command(const JsonPlace& command) {
    HANLIN_TRY(command.only({"argv", "timeout_s", "sandbox"}));
    CommandToolSpec spec{.argv = {}, .folder = folder_, .sandbox_kind = options_.sandbox, .sandbox_limits = options_.sandbox_limits};
    if (!command.has("argv")) return command.mistake("expected argv, the program and its arguments");
    HANLIN_ASSIGN(spec.argv, command.at("argv").texts());
    if (spec.argv.empty() || spec.argv[0].empty()) return command.at("argv").mismatch("a program and its arguments");
    if (command.has("timeout_s")) {
      HANLIN_ASSIGN(const int64_t seconds, command.at("timeout_s").integer(1, 3600));
      spec.timeout = std::chrono::seconds(seconds);
    }
    HANLIN_ASSIGN(spec.sandbox, command.boolean_or("sandbox", false));
    auto tool = make_command_tool(std::move(head_), std::move(spec));
    if (!tool.ok()) return command.mistake(tool.error().message);
    return tool;
  }

  const JsonPlace place_;
  const std::string& folder_;
  const ToolFileOptions& options_;
  FileToolHead head_;
};

Result<std::string> read_whole(const std::string& path) {
  std::error_code ec;
  const uintmax_t size = fs::file_size(path, ec);
  if (ec) return Error{ec == std::errc::no_such_file_or_directory ? Code::kNotFound : Code::kIo, fmt::format("{}: {}", path, ec.message())};
  if (size > kMaxFileBytes) return Error{Code::kResourceExhausted, fmt::format("{}: expected at most {} bytes of tools, got {}", path, kMaxFileBytes, size)};
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  if (!in.good() && !in.eof()) return Error{Code::kIo, fmt::format("{}: {}", path, std::strerror(errno))};
  return text;
}

}  // namespace

Result<std::vector<std::shared_ptr<RunnableTool>>> load_tool_file(const std::string& path, const ToolFileOptions& options) {
  HANLIN_ASSIGN(const std::string text, read_whole(path));
  auto document = parse_json(text);
  if (!document.ok()) return std::move(document).error().with_context(path);
  const JsonPlace root(path, *document);
  if (root.has("openapi")) return openapi_tools(root, options);
  if (root.has("swagger")) return Error{Code::kUnsupported, path + "#/swagger: expected OpenAPI 3; convert the document first"};

  const std::string folder = fs::absolute(path).parent_path().string();
  std::vector<std::shared_ptr<RunnableTool>> tools;
  std::set<std::string> names;
  const auto add = [&](const JsonPlace& place) -> Status {
    HANLIN_ASSIGN(auto tool, ToolReader(place, folder, options).read());
    if (!names.insert(tool->tool().name).second) return place.mistake(fmt::format("the name \"{}\" is there twice", tool->tool().name));
    tools.push_back(std::move(tool));
    return {};
  };
  if (!document->is_array()) HANLIN_TRY(add(root));
  else for (size_t i = 0; i < document->size(); ++i) HANLIN_TRY(add(root.at(i)));
  return tools;
}

Result<std::string> expand_environment(const JsonPlace& place, const EnvironmentFn& environment) {
  HANLIN_ASSIGN(const std::string text, place.text());
  std::string expanded;
  for (size_t at = 0; at < text.size();) {
    if (text.compare(at, 2, "${") != 0) {
      expanded += text[at++];
      continue;
    }
    const size_t close = text.find('}', at);
    if (close == std::string::npos) return place.mistake("expected a } after ${");
    const std::string name = text.substr(at + 2, close - at - 2);
    const char* const value = environment ? environment(name.c_str()) : std::getenv(name.c_str());
    if (value == nullptr) return place.mistake(fmt::format("the environment has no variable {}", name));
    expanded += value;
    at = close + 1;
  }
  return expanded;
}

Result<Permission> read_permission(const JsonPlace& place) {
  const auto permission = place.value().is_string() ? permission_by_name(place.value().get_ref<const std::string&>()) : std::nullopt;
  if (permission) return *permission;
  return place.mismatch("one of allow, ask, deny");
}

Json schema_defaults(const Json& schema) {
  Json defaults = Json::object();
  if (!schema.is_object() || !schema.contains("properties") || !schema["properties"].is_object()) return defaults;
  for (const auto& [name, property] : schema["properties"].items()) {
    if (property.is_object() && property.contains("default")) defaults[name] = property["default"];
  }
  return defaults;
}

}  // namespace hanlin::agent
