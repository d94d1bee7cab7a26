#include "agent/tools/arguments.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/json.h"

namespace hanlin::agent {
namespace {

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

// What came, short enough for a message.
std::string shown(const Json& value) {
  std::string text = dump_json(value);
  if (text.size() > 80) text = text.substr(0, 77) + "...";
  return text;
}

}  // namespace

Argument::Argument(std::string name, Storage storage, std::string description)
    : name_(std::move(name)), description_(std::move(description)), storage_(storage) {}

Argument& Argument::required() {
  required_ = true;
  return *this;
}

Argument& Argument::range(int64_t min, int64_t max) {
  min_ = min, max_ = max, bounded_ = true;
  return *this;
}

Argument& Argument::choices(std::vector<std::string> choices) {
  choices_ = std::move(choices);
  return *this;
}

Json Argument::schema() const {
  Json schema = Json::object();
  const auto bounds = [&](const char* min, const char* max) {
    if (bounded_) schema[min] = min_, schema[max] = max_;
  };
  std::visit(Overloaded{[&](bool*) { schema["type"] = "boolean"; },
                        [&](int64_t*) { schema["type"] = "integer", bounds("minimum", "maximum"); },
                        [&](double*) { schema["type"] = "number", bounds("minimum", "maximum"); },
                        [&](std::string*) { schema["type"] = "string"; },
                        [&](std::vector<std::string>*) {
                          schema["type"] = "array";
                          schema["items"] = Json{{"type", "string"}};
                          bounds("minItems", "maxItems");
                        }},
             storage_);
  if (!choices_.empty()) schema["enum"] = choices_;
  if (!description_.empty()) schema["description"] = description_;
  if (required_) return schema;
  std::visit(Overloaded{[&](const std::string* text) { if (!text->empty()) schema["default"] = *text; },
                        [&](const std::vector<std::string>* list) { if (!list->empty()) schema["default"] = *list; },
                        [&](const auto* value) { schema["default"] = *value; }},
             storage_);
  return schema;
}

std::string Argument::expected() const {
  if (!choices_.empty()) return fmt::format("one of {}", fmt::join(choices_, ", "));
  const std::string bounds = bounded_ ? fmt::format(" from {} to {}", min_, max_) : "";
  return std::visit(Overloaded{[](bool*) -> std::string { return "true or false"; },
                               [&](int64_t*) { return "an integer" + bounds; },
                               [&](double*) { return "a number" + bounds; },
                               [&](std::string*) { return bounded_ ? fmt::format("a text of {} to {} bytes", min_, max_) : "a text"; },
                               [&](std::vector<std::string>*) {
                                 return bounded_ ? fmt::format("a list of {} to {} texts", min_, max_) : "a list of texts";
                               }},
                    storage_);
}

Error Argument::mismatch(const Json& got) const {
  return Error{Code::kInvalidArgument, fmt::format("argument {}: expected {}, got {}", name_, expected(), shown(got)), name_};
}

Status Argument::read(const Json& value) const {
  bool fits = false;
  std::visit(Overloaded{[&](bool* out) { if ((fits = value.is_boolean())) *out = value.get<bool>(); },
                        [&](int64_t* out) {
                          // 5.0 is an integer to JSON Schema.
                          const bool whole = value.is_number_float() && std::abs(value.get<double>()) < 9e15 &&
                                             value.get<double>() == std::floor(value.get<double>());
                          if (!value.is_number_integer() && !whole) return;
                          if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX}) return;
                          const int64_t number = whole ? static_cast<int64_t>(value.get<double>()) : value.get<int64_t>();
                          if ((fits = !bounded_ || (number >= min_ && number <= max_))) *out = number;
                        },
                        [&](double* out) { if ((fits = value.is_number() && in_range(value.get<double>()))) *out = value.get<double>(); },
                        [&](std::string* out) {
                          if (!value.is_string()) return;
                          const std::string& text = value.get_ref<const std::string&>();
                          fits = in_range(static_cast<double>(text.size())) &&
                                 (choices_.empty() || std::find(choices_.begin(), choices_.end(), text) != choices_.end());
                          if (fits) *out = text;
                        },
                        [&](std::vector<std::string>* out) {
                          fits = value.is_array() && in_range(static_cast<double>(value.size())) &&
                                 std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_string(); });
                          if (fits) *out = value.get<std::vector<std::string>>();
                        }},
             storage_);
  if (!fits) return mismatch(value);
  return {};
}

Argument& ArgumentList::add(std::string name, Argument::Storage storage, std::string description) {
  return arguments_.emplace_back(std::move(name), storage, std::move(description));
}

Json ArgumentList::schema() const {
  Json properties = Json::object(), required = Json::array();
  for (const Argument& argument : arguments_) {
    properties[argument.name()] = argument.schema();
    if (argument.is_required()) required.push_back(argument.name());
  }
  Json schema{{"type", "object"}, {"properties", properties}};
  if (!required.empty()) schema["required"] = required;
  schema["additionalProperties"] = false;
  return schema;
}

Tool ArgumentList::describe(std::string name, std::string description) const {
  return describe_tool(std::move(name), std::move(description), schema()).value();
}

Status ArgumentList::read(const Json& arguments) const {
  if (!arguments.is_object()) return Error{Code::kInvalidArgument, "arguments: expected an object, got " + shown(arguments)};
  for (const auto& [name, value] : arguments.items()) {
    const bool known = std::any_of(arguments_.begin(), arguments_.end(), [&](const Argument& a) { return a.name() == name; });
    if (!known) {
      std::vector<std::string> names;
      for (const Argument& argument : arguments_) names.push_back(argument.name());
      return Error{Code::kInvalidArgument, fmt::format("argument {}: there is none; expected {}", name, fmt::join(names, ", ")), name};
    }
  }
  for (const Argument& argument : arguments_) {
    const auto found = arguments.find(argument.name());
    if (found != arguments.end() && !(found->is_null() && !argument.is_required())) HANLIN_TRY(argument.read(*found));
    else if (argument.is_required()) return Error{Code::kInvalidArgument, fmt::format("argument {}: is required", argument.name()), argument.name()};
  }
  return {};
}

Result<Tool> describe_tool(std::string name, std::string description, const Json& schema) {
  const Json function{{"name", std::move(name)}, {"description", std::move(description)}, {"parameters", schema}};
  HANLIN_ASSIGN(const ToolSet set, ToolSet::from_openai(Json::array({Json{{"type", "function"}, {"function", function}}})));
  return set.tools().front();
}

Status check_time(const ToolContext& context, std::string_view where) {
  if (context.stop.stop_requested()) return Error{Code::kCancelled, fmt::format("{}: the run was cancelled", where)};
  if (std::chrono::steady_clock::now() >= context.deadline) {
    return Error{Code::kDeadlineExceeded, fmt::format("{}: took longer than it may; ask for less", where)};
  }
  return {};
}

ToolContext with_limit(const ToolContext& context, std::chrono::milliseconds limit) {
  ToolContext result = context;
  result.deadline = std::min(context.deadline, std::chrono::steady_clock::now() + limit);
  return result;
}

}  // namespace hanlin::agent
