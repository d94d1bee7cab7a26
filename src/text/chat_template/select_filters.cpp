// map, select, reject, selectattr, rejectattr: generators that work while they are walked, as in Jinja.
#include <fmt/format.h>

#include <memory>

#include "text/chat_template/checks.h"
#include "text/chat_template/filter_support.h"
#include "text/chat_template/filters.h"
#include "text/chat_template/operators.h"

namespace hanlin::jinja {
namespace {

std::string name_argument(const Value& value, const char* kind) {
  if (!value.is_string()) fail(fmt::format("No {} named '{}' found.", kind, type_name(value)));
  return std::string(value.str());
}

CallArgs without_first(const CallArgs& args, size_t n) {
  CallArgs rest;
  rest.positional.assign(args.positional.begin() + static_cast<std::ptrdiff_t>(n), args.positional.end());
  rest.named = args.named;
  return rest;
}

int depth_of(const Value& input, const CallArgs& args) {
  int depth = input.depth();
  for (const Value& value : args.positional) depth = std::max(depth, value.depth());
  for (const auto& [name, value] : args.named) depth = std::max(depth, value.depth());
  return depth;
}

// A generator that passes on what `step` makes of each item of `input`; `step` returns false to leave one out.
template <typename Step>
Value generate(Runtime& rt, const Value& input, const CallArgs& args, Step step) {
  if (!is_true(input)) return iterate_over(rt, {});
  const auto cursor = std::make_shared<Cursor>(rt, input);
  return make_iterator(rt, depth_of(input, args), [&rt, cursor, step](Value* out) {
    for (Value item; cursor->next(&item);) {
      if (step(rt, item, out)) return true;
    }
    return false;
  });
}

Value map_attribute(Runtime& rt, const Value& input, const CallArgs& args) {
  const Value* attribute = nullptr;
  std::optional<Value> missing;
  for (const auto& [name, value] : args.named) {
    if (name == "attribute") attribute = &value;
    else if (name != "default") fail(fmt::format("Unexpected keyword argument '{}'", name));
    else if (!value.is_none()) missing = value;
  }
  if (attribute == nullptr) fail("map requires a filter argument");
  return generate(rt, input, args, [path = AttributePath(rt, *attribute), missing](Runtime& r, const Value& item, Value* out) {
    *out = path.read(r, item, missing);
    return true;
  });
}

Value map(Runtime& rt, const Value& input, const CallArgs& args) {
  if (args.positional.empty()) return map_attribute(rt, input, args);
  const std::string name = name_argument(args.positional[0], "filter");
  const Filter* filter = find_filter(name);
  return generate(rt, input, args, [filter, name, rest = without_first(args, 1)](Runtime& r, const Value& item, Value* out) {
    if (filter == nullptr) fail(fmt::format("No filter named '{}' found.", name));
    *out = filter->apply(r, item, rest);
    return true;
  });
}

template <bool keeps, bool by_attribute>
Value select(Runtime& rt, const Value& input, const CallArgs& args) {
  constexpr size_t kName = by_attribute ? 1 : 0;
  if (by_attribute && args.positional.empty()) fail("Missing parameter for attribute name");
  const AttributePath path(rt, by_attribute ? args.positional[0] : Value::none());
  const bool has_test = args.positional.size() > kName;
  const std::string name = has_test ? name_argument(args.positional[kName], "test") : std::string();
  const Check* check = has_test ? find_check(name) : nullptr;
  const CallArgs rest = has_test ? without_first(args, kName + 1) : CallArgs{};
  return generate(rt, input, args, [path, has_test, name, check, rest](Runtime& r, const Value& item, Value* out) {
    const Value subject = path.read(r, item);
    if (has_test && check == nullptr) fail(fmt::format("No test named '{}' found.", name));
    const bool holds = has_test ? check->holds(r, subject, rest) : is_true(subject);
    *out = item;
    return holds == keeps;
  });
}

constexpr Filter kSelectFilters[] = {
    {"map", map},
    {"reject", select<false, false>},
    {"rejectattr", select<false, true>},
    {"select", select<true, false>},
    {"selectattr", select<true, true>},
};

}  // namespace

std::span<const Filter> select_filters() { return kSelectFilters; }

}  // namespace hanlin::jinja
