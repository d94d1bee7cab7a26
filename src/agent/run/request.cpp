#include "agent/run/request.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"

namespace hanlin::agent {
namespace {

Error wrong(const std::string& param, const std::string& expected, const Json& got) {
  std::string text = dump_json(got);
  if (text.size() > 80) text = text.substr(0, 80) + "…";
  return {Code::kInvalidArgument, fmt::format("{}: expected {}, got {}", param, expected, text), param};
}

// The plain settings; lists and maps are read one by one.
void plain_fields(RunRequest& request, std::string& mode, FieldSet& fields) {
  fields.add("task", &request.task, "What is to be done");
  fields.add("model", &request.model, "Name of a served model; empty: the first that generates");
  fields.add("mode", &mode, "How steps are written").choices({"functions", "react"});
  fields.add("system", &request.system, "Further instructions");
  fields.add("previous", &request.previous, "A run whose conversation goes on");
  fields.add("temperature", &request.temperature, "0: always the likeliest token; higher: more surprising").range(0, 100);
}

// Sets `fields` from the keys that are theirs; calls `other` for all further ones.
template <typename Other>
Status read_fields(const Json& object, const std::string& path, FieldSet& fields, Other&& other) {
  for (const auto& [key, value] : object.items()) {
    const std::string param = path + key;
    if (Field* field = fields.find(key)) {
      if (auto status = field->set_json(value, Source::kFlag, param); !status.ok()) {
        return Error{Code::kInvalidArgument, status.error().message, param};
      }
      continue;
    }
    HANLIN_ASSIGN(const bool known, other(key, value));
    if (known) continue;
    std::vector<std::string> names;
    for (const Field& field : fields.fields()) names.push_back(field.name());
    const auto hint = nearest(key, names);
    return Error{Code::kInvalidArgument, fmt::format("{}: there is no such field{}", param, hint ? fmt::format("; did you mean {}{}?", path, *hint) : ""), param};
  }
  return {};
}

Result<std::vector<std::string>> read_names(const Json& list) {
  std::vector<std::string> names;
  if (!list.is_array()) return wrong("tools", "a list of tools' names", list);
  for (const Json& item : list) {
    if (!item.is_string()) return wrong(fmt::format("tools[{}]", names.size()), "the name of a tool", item);
    names.push_back(item.get<std::string>());
  }
  return names;
}

Result<std::map<std::string, Permission>> read_permissions(const Json& object) {
  std::map<std::string, Permission> permissions;
  if (!object.is_object()) return wrong("permissions", "an object with a permission for each tool", object);
  for (const auto& [name, value] : object.items()) {
    const auto permission = value.is_string() ? permission_by_name(value.get<std::string>()) : std::nullopt;
    if (!permission) return wrong("permissions." + name, "\"allow\", \"ask\" or \"deny\"", value);
    permissions[name] = *permission;
  }
  return permissions;
}

Result<std::vector<api::Message>> read_history(const Json& list) {
  std::vector<api::Message> messages;
  if (!list.is_array()) return wrong("history", "a list of messages", list);
  for (const Json& item : list) {
    const std::string path = fmt::format("history[{}]", messages.size());
    const bool complete = item.is_object() && item.contains("role") && item.contains("content") && item["role"].is_string() && item["content"].is_string();
    if (!complete || (item["role"] != "user" && item["role"] != "assistant")) {
      return wrong(path, R"({"role": "user" or "assistant", "content": a text})", item);
    }
    messages.push_back({.role = item["role"].get<std::string>(), .content = item["content"].get<std::string>()});
  }
  return messages;
}

}  // namespace

void MemorySettings::fields(FieldSet& fields, const std::string& prefix) {
  fields.add(prefix.empty() ? "kind" : prefix, &kind, "What is seen of an earlier conversation: all of it, the last turns, a summary, or turns like the task").choices({"all", "window", "summary", "retrieval"});
  fields.add(prefix + (prefix.empty() ? "turns" : "_turns"), &turns, "Last turns that are seen as they are").range(1, 10000);
  fields.add(prefix + (prefix.empty() ? "budget_tokens" : "_budget_tokens"), &budget_tokens, "With a summary: tokens of all that is sent").range(64, 1 << 24);
}

void RunLimits::fields(FieldSet& fields) {
  fields.add("max_steps", &max_steps, "Turns of the model; at the end one more for the answer").range(1, 1000);
  fields.add("max_seconds", &max_seconds, "Time for model and tools").range(0.001, 86400);
  fields.add("max_tokens", &max_tokens, "Tokens that the model may write in all").range(1, 1 << 24);
  fields.add("max_step_tokens", &max_step_tokens, "Tokens that it may write in one turn").range(1, 1 << 20);
  fields.add("max_turn_calls", &max_turn_calls, "Calls in one turn; there the turn ends").range(1, 1000);
  fields.add("max_calls_per_tool", &max_calls_per_tool, "Further calls of a tool are refused").range(1, 10000);
  fields.add("max_repeats", &max_repeats, "The same call this many times ends the run").range(2, 1000);
  fields.add("tool_seconds", &tool_seconds, "Time for one call").range(0.001, 86400);
  fields.add("approval_seconds", &approval_seconds, "How long to wait for a person's consent; then the call is denied").range(0.001, 7 * 86400);
  fields.add("max_result_bytes", &max_result_bytes, "Bytes of a result that the model reads").range(64, 1 << 24);
}

Result<RunRequest> read_run_request(const Json& object) {
  if (!object.is_object()) return Error{Code::kInvalidArgument, "run: expected an object with a task"};
  RunRequest request;
  std::string mode = "functions";
  FieldSet plain, limits, memory;
  plain_fields(request, mode, plain);
  request.limits.fields(limits);
  request.memory.fields(memory);
  HANLIN_TRY(read_fields(object, "", plain, [&](const std::string& key, const Json& value) -> Result<bool> {
    if (key == "limits" || key == "memory") {
      if (!value.is_object()) return wrong(key, "an object", value);
      HANLIN_TRY(read_fields(value, key + ".", key == "limits" ? limits : memory, [](const std::string&, const Json&) -> Result<bool> { return false; }));
    } else if (key == "tools") {
      if (value.is_null()) return true;
      HANLIN_ASSIGN(request.tools, read_names(value));
    } else if (key == "permissions") {
      HANLIN_ASSIGN(request.permissions, read_permissions(value));
    } else if (key == "history") {
      HANLIN_ASSIGN(request.history, read_history(value));
    } else if (key == "seed") {
      if (value.is_null()) return true;
      if (!value.is_number_integer() || (value.is_number_integer() && !value.is_number_unsigned() && value.get<int64_t>() < 0)) return wrong("seed", "an integer of at least 0", value);
      request.seed = value.get<uint64_t>();
    } else {
      return false;
    }
    return true;
  }));
  if (request.task.find_first_not_of(" \t\r\n") == std::string::npos) return Error{Code::kInvalidArgument, "task: expected a text that says what is to be done, got none", "task"};
  request.mode = mode == "react" ? RunMode::kReact : RunMode::kFunctions;
  return request;
}

Json run_request_json(const RunRequest& request) {
  RunRequest copy = request;
  std::string mode = request.mode == RunMode::kReact ? "react" : "functions";
  FieldSet plain, limits, memory;
  plain_fields(copy, mode, plain);
  copy.limits.fields(limits);
  copy.memory.fields(memory);
  Json object = plain.to_json();
  if (request.tools) object["tools"] = *request.tools;
  if (!request.permissions.empty()) {
    Json& permissions = object["permissions"] = Json::object();
    for (const auto& [name, permission] : request.permissions) permissions[name] = permission_name(permission);
  }
  if (!request.history.empty()) {
    Json& history = object["history"] = Json::array();
    for (const api::Message& message : request.history) history.push_back({{"role", message.role}, {"content", message.content}});
  }
  if (request.seed) object["seed"] = *request.seed;
  object["limits"] = limits.to_json();
  object["memory"] = memory.to_json();
  return object;
}

}  // namespace hanlin::agent
