#include "agent/tool_set.h"

#include <algorithm>

#include "base/json.h"

namespace hanlin::agent {
namespace {

Error mistake(const std::string& where, const std::string& message) {
  return {Code::kInvalidArgument, where + ": " + message, where};
}

ParameterKind kind_of_type(const std::string& type) { return type == "string" ? ParameterKind::kText : ParameterKind::kValue; }

ParameterKind kind_of(const Json& schema) {
  if (!schema.is_object()) return ParameterKind::kText;
  if (const auto type = schema.find("type"); type != schema.end()) {
    if (type->is_string()) return kind_of_type(type->get_ref<const std::string&>());
    if (type->is_array()) return ParameterKind::kEither;
  }
  if (const auto values = schema.find("enum"); values != schema.end() && values->is_array()) {
    const bool texts = std::all_of(values->begin(), values->end(), [](const Json& value) { return value.is_string(); });
    return texts ? ParameterKind::kText : ParameterKind::kEither;
  }
  for (const char* key : {"anyOf", "oneOf", "allOf", "$ref", "const"}) {
    if (schema.contains(key)) return ParameterKind::kEither;
  }
  return ParameterKind::kText;
}

Result<Tool> read_tool(const Json& item, const std::string& where) {
  if (!item.is_object()) return mistake(where, "expected an object with type and function");
  if (const auto type = item.find("type"); type != item.end() && *type != "function") {
    return mistake(where + ".type", "expected \"function\"");
  }
  const auto function = item.find("function");
  if (function == item.end() || !function->is_object()) {
    return mistake(where + ".function", "expected an object with a name");
  }
  const auto name = function->find("name");
  if (name == function->end() || !name->is_string()) return mistake(where + ".function.name", "expected a string");
  Tool tool{name->get<std::string>()};
  if (!is_tool_name(tool.name)) {
    return mistake(where + ".function.name", "expected 1 to 64 of the characters a-z, A-Z, 0-9, _ and -");
  }
  if (const auto text = function->find("description"); text != function->end() && !text->is_null()) {
    if (!text->is_string()) return mistake(where + ".function.description", "expected a string");
    tool.description = text->get<std::string>();
  }
  if (const auto strict = function->find("strict"); strict != function->end() && !strict->is_null() && !strict->is_boolean()) {
    return mistake(where + ".function.strict", "expected true or false");
  }
  tool.strict = function->value("strict", Json()) == true;
  const auto schema = function->find("parameters");
  if (schema == function->end() || schema->is_null()) return tool;
  if (!schema->is_object()) return mistake(where + ".function.parameters", "expected a JSON Schema object");
  tool.parameters_json = dump_json(*schema);
  if (const auto properties = schema->find("properties"); properties != schema->end()) {
    if (!properties->is_object()) return mistake(where + ".function.parameters.properties", "expected an object");
    for (const auto& [key, value] : properties->items()) tool.parameters.push_back({key, kind_of(value)});
  }
  return tool;
}

}  // namespace

Json parameters_schema(const Tool& tool) {
  Result<Json> schema = parse_json(tool.parameters_json.empty() ? "{}" : tool.parameters_json);
  return schema.ok() && schema->is_object() ? std::move(schema).value() : Json::object();
}

bool is_tool_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

Result<ToolSet> ToolSet::from_openai(const Json& tools) {
  if (!tools.is_array()) return mistake("tools", "expected a list");
  ToolSet set;
  for (size_t i = 0; i < tools.size(); ++i) {
    const std::string where = "tools[" + std::to_string(i) + "]";
    HANLIN_ASSIGN(Tool tool, read_tool(tools[i], where));
    tool.list_idx = i;
    if (set.find(tool.name)) return mistake(where + ".function.name", "\"" + tool.name + "\" is there twice");
    set.tools_.push_back(std::move(tool));
  }
  return set;
}

const Tool* ToolSet::find(std::string_view name) const {
  for (const Tool& tool : tools_) {
    if (tool.name == name) return &tool;
  }
  return nullptr;
}

ToolSet ToolSet::only(const std::vector<std::string>& names) const {
  ToolSet kept;
  for (const Tool& tool : tools_) {
    if (std::find(names.begin(), names.end(), tool.name) != names.end()) kept.tools_.push_back(tool);
  }
  return kept;
}

}  // namespace hanlin::agent
