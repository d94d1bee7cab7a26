// One list of fields describes a tool's arguments: it makes the JSON Schema that the model is told and reads the call.
//
//   struct GreetArgs {
//     std::string name;
//     int64_t times = 1;
//     void fields(ArgumentList& list) {
//       list.add("name", &name, "Whom to greet").required();
//       list.add("times", &times, "How often").range(1, 10);
//     }
//   };
//   class Greet final : public TypedTool<GreetArgs> {
//    public:
//     Greet() : TypedTool("greet", "Greets somebody") {}
//     Result<std::string> call(const GreetArgs& args, const ToolContext& context) override;
//   };
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "agent/runnable_tool.h"
#include "base/json_fwd.h"
#include "base/result.h"

namespace hanlin::agent {

// One argument: its description and the caller's variable, whose value at add() is the default.
class Argument {
 public:
  using Storage = std::variant<bool*, int64_t*, double*, std::string*, std::vector<std::string>*>;
  Argument(std::string name, Storage storage, std::string description);
  Argument& required();
  // Bounds, both included: of a number, or of the number of items of a list or of bytes of a text.
  Argument& range(int64_t min, int64_t max);
  // The only texts allowed.
  Argument& choices(std::vector<std::string> choices);

  const std::string& name() const { return name_; }
  bool is_required() const { return required_; }
  Json schema() const;
  // Stores `value`. kInvalidArgument: "argument <name>: expected …, got …".
  Status read(const Json& value) const;

 private:
  Error mismatch(const Json& got) const;
  std::string expected() const;
  bool in_range(double value) const { return !bounded_ || (value >= static_cast<double>(min_) && value <= static_cast<double>(max_)); }

  std::string name_, description_;
  Storage storage_;
  std::vector<std::string> choices_;
  int64_t min_ = 0, max_ = 0;
  bool bounded_ = false, required_ = false;
};

// The arguments of one tool, bound to one struct. Not thread-safe; each call makes its own.
class ArgumentList {
 public:
  // The reference returned is valid until the next add().
  Argument& add(std::string name, Argument::Storage storage, std::string description);
  // {"type": "object", "properties": …, "required": […], "additionalProperties": false}
  Json schema() const;
  // The tool with this schema; the name must be one of a tool.
  Tool describe(std::string name, std::string description) const;
  // Reads an object. kInvalidArgument: a missing or unknown argument, a wrong type, a value out of bounds.
  Status read(const Json& arguments) const;

 private:
  std::vector<Argument> arguments_;
};

// The description of a tool with this JSON Schema, as models are told. kInvalidArgument: no name of a tool, or no schema.
Result<Tool> describe_tool(std::string name, std::string description, const Json& schema);

// A tool whose arguments are the struct Args, default-constructible and with a member `void fields(ArgumentList&)`.
// Subclasses write call(), which is called from any thread.
template <typename Args>
class TypedTool : public RunnableTool {
 public:
  TypedTool(std::string name, std::string description) {
    Args args;
    ArgumentList list;
    args.fields(list);
    tool_ = list.describe(std::move(name), std::move(description));
  }
  const Tool& tool() const final { return tool_; }
  Result<std::string> run(const Json& arguments, const ToolContext& context) final {
    Args args;
    ArgumentList list;
    args.fields(list);
    HANLIN_TRY(list.read(arguments));
    return call(args, context);
  }

 protected:
  virtual Result<std::string> call(const Args& args, const ToolContext& context) = 0;

 private:
  Tool tool_;
};

// Error kCancelled or kDeadlineExceeded once the run was stopped or its time is over; otherwise success.
Status check_time(const ToolContext& context, std::string_view where);

// The context with its deadline at most `limit` from now.
ToolContext with_limit(const ToolContext& context, std::chrono::milliseconds limit);

}  // namespace hanlin::agent
