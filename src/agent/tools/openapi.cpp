#include "agent/tools/openapi.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "agent/tools/arguments.h"
#include "agent/tools/file_tools.h"

namespace hanlin::agent {
namespace {

constexpr size_t kMaxDescription = 1000;
constexpr const char* kOperationMethods[] = {"get", "put", "post", "delete", "patch", "head"};

// One operation becomes one tool.
class Operation {
 public:
  Operation(const JsonPlace& document, const ToolFileOptions& options, const JsonPlace& path, const JsonPlace& operation, std::string template_path, std::string method)
      : document_(document), options_(options), path_(path), operation_(operation), template_path_(std::move(template_path)), method_(std::move(method)) {}

  Result<std::shared_ptr<RunnableTool>> read(const std::string& name) {
    for (char& c : spec_.method = method_) c = static_cast<char>(c - 'a' + 'A');
    HANLIN_TRY(read_server());
    HANLIN_TRY(read_headers());
    for (const JsonPlace& owner : {path_, operation_}) {
      if (owner.has("parameters")) HANLIN_TRY(read_parameters(owner.at("parameters")));
    }
    for (const HttpArgument& argument : spec_.arguments) schema_["properties"][argument.name] = property_of_[argument.name];
    HANLIN_TRY(check_path());
    if (operation_.has("requestBody")) HANLIN_TRY(read_body());
    if (!required_.empty()) schema_["required"] = required_;
    schema_["additionalProperties"] = false;
    if (!definitions_.empty()) schema_["$defs"] = definitions_;

    FileToolHead head{.defaults = schema_defaults(schema_), .max_bytes = options_.max_result_bytes};
    HANLIN_ASSIGN(const std::string description, this->description());
    auto tool = describe_tool(name, description, schema_);
    if (!tool.ok()) return operation_.mistake(tool.error().message);
    head.tool = std::move(tool).value();
    HANLIN_ASSIGN(head.permission, permission());
    return make_http_tool(std::move(head), std::move(spec_));
  }

 private:
  Result<std::string> description() const {
    HANLIN_ASSIGN(const std::string summary, operation_.text_or("summary", ""));
    HANLIN_ASSIGN(const std::string text, operation_.text_or("description", ""));
    const std::string joined = summary.empty() || text.starts_with(summary) ? text : text.empty() ? summary : summary + "\n" + text;
    return joined.size() > kMaxDescription ? cap_text(joined, kMaxDescription) : joined;
  }
  Result<Permission> permission() const {
    for (const JsonPlace& owner : {operation_, document_}) {
      if (owner.has("x-permission")) return read_permission(owner.at("x-permission"));
    }
    return method_ == "get" || method_ == "head" ? Permission::kAllow : Permission::kAsk;
  }

  Status read_server() {
    for (const JsonPlace& owner : {operation_, path_, document_}) {
      if (!owner.has("servers") || !owner.value()["servers"].is_array() || owner.value()["servers"].empty()) continue;
      const JsonPlace server = owner.at("servers").at(size_t{0});
      if (!server.has("url")) return server.mistake("expected a url");
      HANLIN_ASSIGN(std::string url, expand_environment(server.at("url"), options_.environment));
      if (server.has("variables") && server.value()["variables"].is_object()) {
        for (const auto& [name, variable] : server.value()["variables"].items()) {
          const std::string mark = "{" + name + "}";
          HANLIN_ASSIGN(const std::string value, server.at("variables").at(name).text_or("default", ""));
          for (size_t at = url.find(mark); at != std::string::npos; at = url.find(mark, at + value.size())) url.replace(at, mark.size(), value);
        }
      }
      auto parsed = hub::parse_url(url);
      if (!parsed.ok() || url.find_first_of("{?#") != std::string::npos) return server.at("url").mismatch("the whole address of a server, such as https://api.example.com/v1");
      HANLIN_ASSIGN(const bool private_network, server.boolean_or("x-private-network", false));
      spec_.rules = rules_for_named_server(*parsed, private_network);
      while (url.ends_with('/')) url.pop_back();
      spec_.url = url + template_path_;
      return {};
    }
    return document_.mistake("expected servers, a list whose first item has the url of the service");
  }

  Status read_headers() {
    if (!document_.has("x-headers")) return {};
    const JsonPlace headers = document_.at("x-headers");
    if (!headers.value().is_object()) return headers.mismatch("an object of texts");
    for (const auto& [name, value] : headers.value().items()) {
      HANLIN_ASSIGN(std::string text, expand_environment(headers.at(name), options_.environment));
      spec_.headers.emplace_back(name, std::move(text));
    }
    return {};
  }

  // What a schema means on its own; its definitions are shared by the tool's arguments.
  Result<Json> schema_at(const JsonPlace& place) {
    HANLIN_ASSIGN(Json schema, standalone_schema(place, document_));
    if (schema.is_object() && schema.contains("$defs")) {
      for (const auto& [name, definition] : schema["$defs"].items()) definitions_[name] = definition;
      schema.erase("$defs");
    }
    return schema;
  }
  static void add_description(const JsonPlace& place, Json* schema) {
    if (place.has("description") && place.value()["description"].is_string() && schema->is_object() && !schema->contains("description")) {
      (*schema)["description"] = place.value()["description"];
    }
  }

  Status read_parameters(const JsonPlace& list) {
    if (!list.value().is_array()) return list.mismatch("a list of parameters");
    for (size_t i = 0; i < list.value().size(); ++i) {
      HANLIN_ASSIGN(const JsonPlace parameter, follow_reference(list.at(i), document_));
      HANLIN_TRY(read_parameter(parameter));
    }
    return {};
  }
  Status read_parameter(const JsonPlace& parameter) {
    if (!parameter.has("name") || !parameter.has("in")) return parameter.mistake("expected name and in");
    HANLIN_ASSIGN(const std::string name, parameter.at("name").text());
    HANLIN_ASSIGN(const std::string in, parameter.at("in").text());
    HANLIN_ASSIGN(const bool is_required, parameter.boolean_or("required", false));
    HttpArgument argument{name, ArgumentPlace::kQuery, name};
    if (in == "path") argument.place = ArgumentPlace::kPath;
    else if (in == "header") {
      argument.place = ArgumentPlace::kHeader;
      for (const char* own : {"Accept", "Content-Type", "Authorization"}) {  // OpenAPI: such parameters are ignored
        if (name == own) return {};
      }
    } else if (in == "cookie") {
      if (is_required) return Error{Code::kUnsupported, parameter.where() + ": a required cookie is something that Hanlin does not send"};
      return {};
    } else if (in != "query") return parameter.at("in").mismatch("one of path, query, header, cookie");
    HANLIN_ASSIGN(const std::string style, parameter.text_or("style", ""));
    if (style == "deepObject" || style == "matrix" || style == "label") return Error{Code::kUnsupported, fmt::format("{}/style: Hanlin does not write parameters in the style {}", parameter.where(), style)};
    HANLIN_ASSIGN(argument.explode, parameter.boolean_or("explode", in == "query"));
    Json schema = Json::object();
    if (parameter.has("schema")) {
      HANLIN_ASSIGN(schema, schema_at(parameter.at("schema")));
    }
    add_description(parameter, &schema);

    // An operation's parameter stands instead of the path's; one name in two places is told apart by the place.
    const auto same = std::find_if(spec_.arguments.begin(), spec_.arguments.end(), [&](const HttpArgument& a) { return a.name_there == name && a.place == argument.place; });
    if (same != spec_.arguments.end()) {
      property_of_[same->name] = schema;
      set_required(same->name, is_required);
      return {};
    }
    if (property_of_.contains(argument.name)) argument.name = in + "_" + name;
    property_of_[argument.name] = schema;
    set_required(argument.name, is_required || in == "path");
    spec_.arguments.push_back(argument);
    return {};
  }
  void set_required(const std::string& name, bool is_required) {
    required_.erase(std::remove(required_.begin(), required_.end(), name), required_.end());
    if (is_required) required_.push_back(name);
  }

  // Every {name} of the path is a parameter.
  Status check_path() const {
    for (size_t at = template_path_.find('{'); at != std::string::npos; at = template_path_.find('{', at + 1)) {
      const size_t close = template_path_.find('}', at);
      const std::string name = close == std::string::npos ? "" : template_path_.substr(at + 1, close - at - 1);
      const bool known = std::any_of(spec_.arguments.begin(), spec_.arguments.end(), [&](const HttpArgument& a) { return a.place == ArgumentPlace::kPath && a.name_there == name; });
      if (!known) return operation_.mistake(fmt::format("the path's {{{}}} is no parameter with \"in\": \"path\"", name));
    }
    return {};
  }

  Status read_body() {
    HANLIN_ASSIGN(const JsonPlace body, follow_reference(operation_.at("requestBody"), document_));
    HANLIN_ASSIGN(const bool is_required, body.boolean_or("required", false));
    if (!body.has("content") || !body.value()["content"].is_object()) return body.mistake("expected content");
    std::string type;
    for (const auto& [name, media] : body.value()["content"].items()) {
      if (name.starts_with("application/json") || name.find("+json") != std::string::npos) {
        type = name;
        break;
      }
    }
    if (type.empty()) return Error{Code::kUnsupported, body.at("content").where() + ": Hanlin sends only JSON bodies, and this operation takes none"};
    const JsonPlace media = body.at("content").at(type);
    spec_.headers.emplace_back("Content-Type", type);
    Json schema = Json::object();
    if (media.has("schema")) {
      HANLIN_ASSIGN(schema, schema_at(media.at("schema")));
    }
    if (is_plain_object(schema)) {
      for (const auto& [name, property] : schema["properties"].items()) {
        schema_["properties"][name] = property;
        spec_.arguments.push_back({name, ArgumentPlace::kBody, name});
      }
      // Without a required body, its properties are only required together; the server will say so.
      if (is_required && schema.contains("required") && schema["required"].is_array()) {
        for (const Json& name : schema["required"]) {
          if (name.is_string() && schema["properties"].contains(name.get<std::string>())) required_.push_back(name.get<std::string>());
        }
      }
      if (is_required) spec_.rest = ArgumentPlace::kBody;
      return {};
    }
    spec_.whole_body = property_of_.contains("body") ? "request_body" : "body";
    add_description(body, &schema);
    schema_["properties"][spec_.whole_body] = schema;
    spec_.arguments.push_back({spec_.whole_body, ArgumentPlace::kBody, spec_.whole_body});
    if (is_required) required_.push_back(spec_.whole_body);
    return {};
  }
  // An object whose properties can stand beside the parameters and lose nothing.
  bool is_plain_object(const Json& schema) const {
    if (!schema.is_object() || schema.value("type", Json()) != "object" || !schema.contains("properties") || !schema["properties"].is_object()) return false;
    for (const auto& [key, value] : schema.items()) {
      if (key == "additionalProperties" ? value != false && value != true : key != "type" && key != "properties" && key != "required" && key != "title" && key != "description") return false;
    }
    return std::none_of(schema["properties"].items().begin(), schema["properties"].items().end(), [&](const auto& item) { return property_of_.contains(item.key()); });
  }

  const JsonPlace document_;
  const ToolFileOptions& options_;
  const JsonPlace path_, operation_;
  const std::string template_path_, method_;
  HttpToolSpec spec_;
  Json property_of_ = Json::object();  // argument → schema
  std::vector<std::string> required_;
  Json schema_{{"type", "object"}, {"properties", Json::object()}};
  Json definitions_ = Json::object();
};

std::string name_of(const std::string& operation_id) {
  std::string name = operation_id.substr(0, 64);
  for (char& c : name) {
    if (!is_tool_name(std::string_view(&c, 1))) c = '_';
  }
  return name;
}

}  // namespace

Result<std::vector<std::shared_ptr<RunnableTool>>> openapi_tools(const JsonPlace& document, const ToolFileOptions& options) {
  HANLIN_ASSIGN(const std::string version, document.at("openapi").text());
  if (!version.starts_with("3.")) return document.at("openapi").mismatch("version 3");
  if (!document.has("paths") || !document.value()["paths"].is_object()) return document.mistake("expected paths");
  std::vector<std::shared_ptr<RunnableTool>> tools;
  std::set<std::string> names;
  for (const auto& [path, item] : document.value()["paths"].items()) {
    if (!path.starts_with('/')) continue;
    HANLIN_ASSIGN(const JsonPlace place, follow_reference(document.at("paths").at(path), document));
    for (const char* method : kOperationMethods) {
      if (!place.has(method) || !place.at(method).has("operationId")) continue;
      const JsonPlace operation = place.at(method);
      HANLIN_ASSIGN(const std::string id, operation.at("operationId").text());
      const std::string name = name_of(id);
      if (!is_tool_name(name)) return operation.at("operationId").mismatch("a name");
      if (!names.insert(name).second) return operation.at("operationId").mistake(fmt::format("the name \"{}\" is there twice", name));
      HANLIN_ASSIGN(auto tool, Operation(document, options, place, operation, path, method).read(name));
      tools.push_back(std::move(tool));
    }
  }
  if (tools.empty()) return document.at("paths").mistake("expected at least one operation with an operationId");
  return tools;
}

}  // namespace hanlin::agent
