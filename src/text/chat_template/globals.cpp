// Functions every template can call.
#include <fmt/format.h>

#include <ctime>

#include "text/chat_template/call_args.h"
#include "text/chat_template/interpreter.h"
#include "text/chat_template/operators.h"
#include "text/chat_template/printing.h"

namespace hanlin::jinja {
namespace {

Value range(Runtime& rt, const CallArgs& args) {
  const Params p("range", args, {"start", "stop", "step"}, 1);
  if (!args.named.empty()) fail("range() takes no keyword arguments");
  const int64_t first = p.integer(0, 0);
  if (!p.has(1)) return make_range(rt, 0, first, 1);
  return make_range(rt, first, p.integer(1, 0), p.integer(2, 1));
}

Value dict(Runtime& rt, const CallArgs& args) { return make_dict(rt, dict_entries(rt, "dict", args)); }

Value raise_exception(Runtime& rt, const CallArgs& args) {
  const Params p("raise_exception", args, {"message"}, 1);
  throw TemplateError{Code::kInvalidArgument, to_str(rt, p[0]), true};
}

// One conversion at a time into a small buffer: a width such as %1000000000d is not passed on.
std::string format_time(Runtime& rt, std::string_view format, const std::tm& time) {
  TextBuffer out(rt);
  for (size_t pos = 0; pos < format.size(); ++pos) {
    if (format[pos] != '%' || pos + 1 >= format.size()) {
      out.append(format[pos]);
      continue;
    }
    std::string conversion = "%";
    ++pos;
    if (std::string_view("-_0^#").find(format[pos]) != std::string_view::npos && pos + 1 < format.size()) conversion += format[pos++];
    conversion += format[pos];
    if (conversion == "%f") {  // Python's microseconds
      out.append("000000");
    } else if (std::string_view("aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%").find(format[pos]) == std::string_view::npos) {
      out.append(conversion);
    } else {
      char buffer[128];
      out.append(std::string_view(buffer, std::strftime(buffer, sizeof buffer, conversion.c_str(), &time)));
    }
  }
  return out.take();
}

Value strftime_now(Runtime& rt, const CallArgs& args) {
  const Params p("strftime_now", args, {"format"}, 1);
  const std::time_t now = rt.now();
  std::tm time{};
  if (localtime_r(&now, &time) == nullptr) fail("strftime_now: expected a time within the calendar");
  return make_string(rt, format_time(rt, p.string(0, ""), time));
}

struct Cycler : Custom {
  const char* type_name() const override { return "Cycler"; }
  bool attribute(Runtime& rt, std::string_view name, Value* out) override {
    if (name == "current") {
      *out = items[pos];
      return true;
    }
    if (name != "next" && name != "reset") return false;
    auto self = std::static_pointer_cast<Cycler>(shared_from_this());
    const bool is_next = name == "next";
    *out = make_function(rt, std::string(name), [self, is_next](Runtime&, const CallArgs&) {
      const size_t before = self->pos;
      self->pos = is_next ? (before + 1) % self->items.size() : 0;
      return is_next ? self->items[before] : Value::none();
    }, depth + 1);
    return true;
  }
  std::vector<Value> items;
  size_t pos = 0;
};

Value cycler(Runtime& rt, const CallArgs& args) {
  if (args.positional.empty()) fail("at least one item has to be provided");
  auto result = std::make_shared<Cycler>();
  result->charge(rt, sizeof(Cycler) + args.positional.size() * sizeof(Value));
  result->items = args.positional;
  for (const Value& item : args.positional) result->depth = checked_depth(std::max(result->depth, item.depth() + 1));
  return Value::object(Kind::kObject, std::move(result));
}

struct Joiner : Custom {
  const char* type_name() const override { return "Joiner"; }
  bool is_callable() const override { return true; }
  Value call(Runtime& rt, const CallArgs&) override {
    if (is_used) return separator;
    is_used = true;
    return make_string(rt, "");
  }
  Value separator;
  bool is_used = false;
};

Value joiner(Runtime& rt, const CallArgs& args) {
  const Params p("joiner", args, {"sep"});
  auto result = std::make_shared<Joiner>();
  result->charge(rt, sizeof(Joiner));
  result->separator = p.has(0) ? p[0] : make_string(rt, ", ");
  result->depth = checked_depth(result->separator.depth() + 1);
  return Value::object(Kind::kObject, std::move(result));
}

constexpr std::pair<std::string_view, Value (*)(Runtime&, const CallArgs&)> kGlobals[] = {
    {"range", range},   {"dict", dict},     {"raise_exception", raise_exception}, {"strftime_now", strftime_now},
    {"cycler", cycler}, {"joiner", joiner},
};

}  // namespace

std::vector<Entry> dict_entries(Runtime& rt, std::string_view function, const CallArgs& args) {
  if (args.positional.size() > 1) fail(fmt::format("{} expected at most 1 argument, got {}", function, args.positional.size()));
  std::vector<Entry> entries;
  if (!args.positional.empty() && args.positional[0].is(Kind::kDict)) {
    entries = args.positional[0].dict().entries;
  } else if (!args.positional.empty()) {
    Cursor cursor(rt, args.positional[0]);
    for (Value item; cursor.next(&item);) {
      const std::vector<Value> pair = to_vector(rt, item);
      if (pair.size() != 2) fail(fmt::format("dictionary update sequence element has length {}; 2 is required", pair.size()));
      put_entry(rt, &entries, pair[0], pair[1]);
    }
  }
  for (const auto& [name, value] : args.named) put_entry(rt, &entries, make_string(rt, name), value);
  return entries;
}

Value make_global(Runtime& rt, std::string_view name) {
  for (const auto& [known, body] : kGlobals) {
    if (known == name) return make_function(rt, std::string(name), body);
  }
  return Value();
}

}  // namespace hanlin::jinja
