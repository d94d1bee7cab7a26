#include "server/endpoints/tool_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/json.h"

namespace hanlin::server {
namespace {

constexpr size_t kMaxTools = 128;

// What "tool_choice" asks for.
struct Choice {
  enum class Mode { kNone, kAuto, kRequired } mode = Mode::kAuto;
  std::string name = {};                                      // required: this one
  std::optional<std::vector<std::string>> allowed = {};  // only these
};

void fail(JsonFields& fields, const Error& error) {
  fields.fail(error.param, error.message.substr(std::min(error.message.size(), error.param.size() + 2)), error.code);
}

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

// {"name"} or {"function":{"name"}}.
std::string name_in(const Json& object) {
  const Json* function = member(object, "function");
  const Json* name = member(function ? *function : object, "name");
  return name && name->is_string() ? name->get<std::string>() : "";
}

std::optional<Choice::Mode> mode_of(const Json& value) {
  if (value == "none") return Choice::Mode::kNone;
  if (value == "auto") return Choice::Mode::kAuto;
  if (value == "required") return Choice::Mode::kRequired;
  return {};
}

// {"type":"allowed_tools","allowed_tools":{"mode","tools":[…]}}, or mode and tools without the inner object.
Choice read_allowed(const Json& object, JsonFields& fields) {
  Choice choice;
  const Json* inner = member(object, "allowed_tools");
  const Json& allowed = inner ? *inner : object;
  const std::string path = inner ? "tool_choice.allowed_tools" : "tool_choice";
  const Json* mode = member(allowed, "mode");
  if (mode && mode_of(*mode) && *mode != "none") choice.mode = *mode_of(*mode);
  else if (mode) fields.fail(path + ".mode", "expected \"auto\" or \"required\", got " + describe_json(*mode));
  choice.allowed.emplace();
  const Json* tools = member(allowed, "tools");
  if (!tools || !tools->is_array() || tools->empty()) {
    fields.fail(path + ".tools", "expected a list of at least one tool");
    return choice;
  }
  for (const Json& tool : *tools) choice.allowed->push_back(name_in(tool));
  return choice;
}

Choice read_tool_choice(const Json& value, JsonFields& fields) {
  Choice choice;
  if (value.is_string()) {
    if (const auto mode = mode_of(value)) choice.mode = *mode;
    else fields.fail("tool_choice", "expected \"none\", \"auto\" or \"required\", got " + describe_json(value));
    return choice;
  }
  const Json* type = member(value, "type");
  if (type && *type == "allowed_tools") return read_allowed(value, fields);
  if (!value.is_object() || (type && *type != "function")) {
    fields.fail("tool_choice", "expected \"none\", \"auto\", \"required\" or an object of the type \"function\" or \"allowed_tools\", got " +
                                   (type ? describe_json(*type) : describe_json(value)));
    return choice;
  }
  choice.mode = Choice::Mode::kRequired;
  choice.name = name_in(value);
  if (choice.name.empty()) fields.fail("tool_choice.function.name", "expected the name of a tool");
  return choice;
}

// The older form as the newer one: a function is a tool, and a call is always one call.
Json tools_of_functions(const Json& functions) {
  Json tools = Json::array();
  for (const Json& function : functions) tools.push_back({{"type", "function"}, {"function", function}});
  return tools;
}

void read_list(const Json& list, bool legacy, JsonFields& fields, agent::ToolSet* set) {
  const char* name = legacy ? "functions" : "tools";
  if (!list.is_array()) return fields.fail(name, "expected a list, got " + describe_json(list));
  if (list.size() > kMaxTools) return fields.fail(name, fmt::format("expected at most {}, got {}", kMaxTools, list.size()));
  for (size_t i = 0; i < list.size() && !legacy; ++i) {
    const Json* type = member(list[i], "type");
    if (!type || *type == "function") continue;
    return fields.fail(fmt::format("tools[{}].type", i), "only \"function\" is supported, got " + describe_json(*type), Code::kUnsupported);
  }
  Result<agent::ToolSet> read = agent::ToolSet::from_openai(legacy ? tools_of_functions(list) : list);
  if (read.ok()) {
    *set = std::move(read).value();
    return;
  }
  Error error = std::move(read).error();
  if (legacy) {  // "tools[0].function.name" → "functions[0].name"
    std::string param = error.param;
    if (param.starts_with("tools[")) param.replace(0, 5, "functions");
    if (const size_t at = param.find(".function"); at != std::string::npos) param.erase(at, 9);
    error.message.replace(0, error.param.size(), param);
    error.param = param;
  }
  fail(fields, error);
}

Choice read_function_call(const Json& value, JsonFields& fields) {
  Choice choice;
  if (value == "none" || value == "auto") {
    choice.mode = *mode_of(value);
  } else if (value.is_object() && !name_in(value).empty()) {
    choice.mode = Choice::Mode::kRequired;
    choice.name = name_in(value);
  } else {
    fields.fail("function_call", "expected \"none\", \"auto\" or an object with a name, got " + describe_json(value));
  }
  return choice;
}

}  // namespace

agent::TurnTools read_tool_fields(JsonFields& fields) {
  agent::TurnTools result;
  const Json* list = fields.find("tools");
  const Json* functions = fields.find("functions");
  const Json* choice_field = fields.find("tool_choice");
  const Json* call_field = fields.find("function_call");
  result.constrained = fields.boolean("constrain_calls", true);
  const bool parallel = fields.boolean("parallel_tool_calls", true);
  if (functions && list) fields.fail("functions", "expected either \"tools\" or \"functions\", got both");
  result.legacy = functions != nullptr;
  agent::ToolSet set;
  if (const Json* offered = list ? list : functions) read_list(*offered, result.legacy, fields, &set);

  Choice choice;
  const char* name_of_choice = result.legacy ? "function_call" : "tool_choice";
  if (choice_field && !result.legacy) choice = read_tool_choice(*choice_field, fields);
  if (call_field) {
    if (result.legacy) choice = read_function_call(*call_field, fields);
    else fields.fail("function_call", "expected only together with \"functions\"");
  }
  if (!fields.ok()) return result;
  const bool chosen = result.legacy ? call_field != nullptr : choice_field != nullptr;
  const bool needs_tools = choice.mode == Choice::Mode::kRequired || choice.allowed || (!list && !functions && choice.mode == Choice::Mode::kAuto);
  if (set.empty()) {
    if (chosen && needs_tools) fields.fail(name_of_choice, "expected only together with tools");
    return result;
  }
  std::vector<std::string> named = choice.allowed.value_or(std::vector<std::string>{});
  if (!choice.name.empty()) named.push_back(choice.name);
  for (const std::string& name : named) {
    if (!set.find(name)) fields.fail(name_of_choice, "there is no tool \"" + name.substr(0, 64) + "\" in the request");
  }
  if (choice.mode == Choice::Mode::kNone || !fields.ok()) return result;

  Json shown = list ? *list : tools_of_functions(*functions);
  if (choice.allowed) {
    set = set.only(*choice.allowed);
    Json kept = Json::array();
    for (Json& tool : shown) {
      if (set.find(name_in(tool))) kept.push_back(std::move(tool));
    }
    shown = std::move(kept);
  }
  result.tools_json = dump_json(shown);
  result.forced = {choice.mode == Choice::Mode::kRequired, choice.name};
  // Only the tool asked for counts as a call.
  result.tools = std::make_shared<const agent::ToolSet>(choice.name.empty() ? std::move(set) : set.only({choice.name}));
  if (!parallel || result.legacy || !choice.name.empty()) result.max_calls = 1;
  return result;
}

}  // namespace hanlin::server
