// The tools a request offers, as parsers and prompts need them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"

namespace hanlin::agent {

// What a parameter's JSON Schema says about its type, as far as texts without JSON types (XML parameters) need it.
enum class ParameterKind {
  kText,     // a string, or nothing is said
  kValue,    // anything but a string: number, boolean, array …
  kEither,   // a string is possible among others
};

struct ToolParameter {
  std::string name;
  ParameterKind kind = ParameterKind::kText;
};

struct Tool {
  std::string name;
  std::string description = {};
  std::string parameters_json = {};            // JSON Schema of the arguments; empty: none given
  std::vector<ToolParameter> parameters = {};  // in the order of the schema's properties
  size_t list_idx = 0;                         // where it stands in the request's list
  bool strict = false;                         // the caller wants arguments that follow the schema without exception
};

// The JSON Schema of its arguments; an empty object where there is none, or no object.
Json parameters_schema(const Tool& tool);

// Immutable after it is made; any thread.
class ToolSet {
 public:
  ToolSet() = default;
  explicit ToolSet(std::vector<Tool> tools) : tools_(std::move(tools)) {}
  // From OpenAI's "tools": [{"type":"function","function":{"name",…}}]. Error kInvalidArgument with param "tools[2]…".
  static Result<ToolSet> from_openai(const Json& tools);

  const std::vector<Tool>& tools() const { return tools_; }
  bool empty() const { return tools_.empty(); }
  const Tool* find(std::string_view name) const;
  // Only the tools of these names; names that are no tools are left out.
  ToolSet only(const std::vector<std::string>& names) const;

 private:
  std::vector<Tool> tools_;
};

// 1 to 64 letters, digits, "_" and "-": what OpenAI takes as a name.
bool is_tool_name(std::string_view name);

}  // namespace hanlin::agent
