#include "text/chat_template/checks.h"

#include "text/chat_template/call_args.h"
#include "text/chat_template/filters.h"
#include "text/chat_template/methods.h"
#include "text/chat_template/operators.h"
#include "text/chat_template/printing.h"

namespace hanlin::jinja {
namespace {

template <Kind... kinds>
bool is_kind(Runtime&, const Value& value, const CallArgs& args) {
  Params("test", args, {});
  return (value.is(kinds) || ...);
}

template <bool wanted>
bool is_bool(Runtime&, const Value& value, const CallArgs&) { return value.is(Kind::kBool) && value.as_bool() == wanted; }

bool is_defined(Runtime&, const Value& value, const CallArgs&) { return !value.is_undefined(); }

bool is_callable(Runtime&, const Value& value, const CallArgs&) {
  return value.is_undefined() || (value.is(Kind::kObject) && value.custom().is_callable());
}

bool is_escaped(Runtime&, const Value& value, const CallArgs&) { return value.is_string() && value.text().is_markup; }

bool is_sequence(Runtime&, const Value& value, const CallArgs&) {
  return value.is_sequence() || value.is_string() || value.is(Kind::kDict) || value.is(Kind::kRange) || value.is_undefined();
}

bool is_iterable_value(Runtime&, const Value& value, const CallArgs&) { return is_iterable(value); }

bool remainder_is(Runtime& rt, const Value& value, const Value& divisor, int64_t wanted) {
  return equals(rt, binary(rt, BinaryOp::kModulo, value, divisor), Value::integer(wanted));
}

template <int64_t rest>
bool parity(Runtime& rt, const Value& value, const CallArgs& args) {
  Params("test", args, {});
  return remainder_is(rt, value, Value::integer(2), rest);
}

bool is_divisible(Runtime& rt, const Value& value, const CallArgs& args) {
  const Params p("divisibleby", args, {"num"}, 1);
  return remainder_is(rt, value, p[0], 0);
}

bool is_in(Runtime& rt, const Value& value, const CallArgs& args) {
  const Params p("in", args, {"seq"}, 1);
  return contains(rt, p[0], value);
}

template <CompareOp op>
bool compares(Runtime& rt, const Value& value, const CallArgs& args) {
  const Params p("test", args, {"other"}, 1);
  return compare(rt, op, value, p[0]);
}

bool is_same(Runtime& rt, const Value& value, const CallArgs& args) {
  const Params p("sameas", args, {"other"}, 1);
  if (value.kind() != p[0].kind()) return false;
  const bool by_identity = value.pointer() != nullptr && !value.is_string();
  return by_identity ? value.pointer() == p[0].pointer() : equals(rt, value, p[0]);
}

bool has_case(Runtime& rt, const Value& value, std::string_view method) {
  return is_true(find_method(Kind::kString, method)->call(rt, soft_str(rt, value), {}));
}
bool is_lower_text(Runtime& rt, const Value& value, const CallArgs&) { return has_case(rt, value, "islower"); }
bool is_upper_text(Runtime& rt, const Value& value, const CallArgs&) { return has_case(rt, value, "isupper"); }

bool is_filter(Runtime&, const Value& value, const CallArgs&) { return value.is_string() && find_filter(value.str()) != nullptr; }
bool is_test(Runtime&, const Value& value, const CallArgs&) { return value.is_string() && find_check(value.str()) != nullptr; }

constexpr Check kChecks[] = {
    {"!=", compares<CompareOp::kNotEqual>},
    {"<", compares<CompareOp::kLess>},
    {"<=", compares<CompareOp::kLessEqual>},
    {"==", compares<CompareOp::kEqual>},
    {">", compares<CompareOp::kGreater>},
    {">=", compares<CompareOp::kGreaterEqual>},
    {"boolean", is_kind<Kind::kBool>},
    {"callable", is_callable},
    {"defined", is_defined},
    {"divisibleby", is_divisible},
    {"eq", compares<CompareOp::kEqual>},
    {"equalto", compares<CompareOp::kEqual>},
    {"escaped", is_escaped},
    {"even", parity<0>},
    {"false", is_bool<false>},
    {"filter", is_filter},
    {"float", is_kind<Kind::kFloat>},
    {"ge", compares<CompareOp::kGreaterEqual>},
    {"greaterthan", compares<CompareOp::kGreater>},
    {"gt", compares<CompareOp::kGreater>},
    {"in", is_in},
    {"integer", is_kind<Kind::kInt>},
    {"iterable", is_iterable_value},
    {"le", compares<CompareOp::kLessEqual>},
    {"lessthan", compares<CompareOp::kLess>},
    {"lower", is_lower_text},
    {"lt", compares<CompareOp::kLess>},
    {"mapping", is_kind<Kind::kDict>},
    {"ne", compares<CompareOp::kNotEqual>},
    {"none", is_kind<Kind::kNone>},
    {"number", is_kind<Kind::kInt, Kind::kFloat, Kind::kBool>},
    {"odd", parity<1>},
    {"sameas", is_same},
    {"sequence", is_sequence},
    {"string", is_kind<Kind::kString>},
    {"test", is_test},
    {"true", is_bool<true>},
    {"undefined", is_kind<Kind::kUndefined>},
    {"upper", is_upper_text},
};

}  // namespace

const Check* find_check(std::string_view name) {
  for (const Check& check : kChecks) {
    if (check.name == name) return &check;
  }
  return nullptr;
}

}  // namespace hanlin::jinja
