// Methods of dict, list, tuple, range and numbers, and the lookup over all types.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/chat_template/call_args.h"
#include "text/chat_template/methods.h"
#include "text/chat_template/operators.h"
#include "text/chat_template/printing.h"

namespace hanlin::jinja {
namespace {

Value refuse(Runtime&, const Value&, const CallArgs&) { fail("access to this method is unsafe"); }

Value dict_get(Runtime& rt, const Value& self, const CallArgs& args) {
  const Params p("get", args, {"key", "default"}, 1);
  check_hashable(p[0]);
  if (const Value* found = find_key(rt, self.dict(), p[0])) return *found;
  return p.has(1) ? p[1] : Value::none();
}

template <View::Part part>
Value dict_view(Runtime& rt, const Value& self, const CallArgs& args) {
  Params("dict method", args, {});
  return make_view(rt, self, part);
}

Value copy(Runtime&, const Value& self, const CallArgs& args) {  // nothing can change either of them
  Params("copy", args, {});
  return self;
}

Value sequence_count(Runtime& rt, const Value& self, const CallArgs& args) {
  const Params p("count", args, {"value"}, 1);
  int64_t n = 0;
  Cursor cursor(rt, self);
  for (Value item; cursor.next(&item);) n += equals(rt, item, p[0]) ? 1 : 0;
  return Value::integer(n);
}

Value sequence_index(Runtime& rt, const Value& self, const CallArgs& args) {
  const Params p("index", args, {"value", "start", "stop"}, 1);
  const int64_t n = length(rt, self);
  const auto position = [n](int64_t i) { return i < 0 ? std::max<int64_t>(i + n, 0) : i; };
  const int64_t start = position(p.integer(1, 0)), stop = position(p.integer(2, n));
  Cursor cursor(rt, self);
  Value item;
  for (int64_t i = 0; cursor.next(&item); ++i) {
    if (i >= start && i < stop && equals(rt, item, p[0])) return Value::integer(i);
  }
  fail(fmt::format("{} is not in {}", to_repr(rt, p[0]), type_name(self)));
}

Value bit_length(Runtime&, const Value& self, const CallArgs& args) {
  Params("bit_length", args, {});
  const int64_t i = self.as_int();
  uint64_t magnitude = i < 0 ? uint64_t{0} - static_cast<uint64_t>(i) : static_cast<uint64_t>(i);
  int64_t n = 0;
  for (; magnitude != 0; magnitude >>= 1) ++n;
  return Value::integer(n);
}

Value is_integer(Runtime&, const Value& self, const CallArgs& args) {
  Params("is_integer", args, {});
  return Value::boolean(std::isfinite(self.as_real()) && std::floor(self.as_real()) == self.as_real());
}

constexpr Method kDictMethods[] = {
    {"get", dict_get},
    {"items", dict_view<View::Part::kItems>},
    {"keys", dict_view<View::Part::kKeys>},
    {"values", dict_view<View::Part::kValues>},
    {"copy", copy},
    {"clear", refuse, true},
    {"pop", refuse, true},
    {"popitem", refuse, true},
    {"setdefault", refuse, true},
    {"update", refuse, true},
};
constexpr Method kListMethods[] = {
    {"count", sequence_count}, {"index", sequence_index}, {"copy", copy},           {"append", refuse, true},
    {"clear", refuse, true},   {"extend", refuse, true},  {"insert", refuse, true}, {"pop", refuse, true},
    {"remove", refuse, true},  {"reverse", refuse, true}, {"sort", refuse, true},
};
constexpr Method kTupleMethods[] = {{"count", sequence_count}, {"index", sequence_index}};
constexpr Method kIntMethods[] = {{"bit_length", bit_length}};
constexpr Method kFloatMethods[] = {{"is_integer", is_integer}};

std::span<const Method> methods_of(Kind kind) {
  switch (kind) {
    case Kind::kString: return string_methods();
    case Kind::kDict: return kDictMethods;
    case Kind::kList: return kListMethods;
    case Kind::kTuple:
    case Kind::kRange: return kTupleMethods;
    case Kind::kBool:
    case Kind::kInt: return kIntMethods;
    case Kind::kFloat: return kFloatMethods;
    default: return {};
  }
}

}  // namespace

const Method* find_method(Kind kind, std::string_view name) {
  for (const Method& method : methods_of(kind)) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

}  // namespace hanlin::jinja
