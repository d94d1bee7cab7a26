// Attributes, items and slices of operators.h, in the order in which Jinja's sandbox looks them up.
#include <fmt/format.h>

#include <algorithm>

#include "text/chat_template/methods.h"
#include "text/chat_template/operators.h"
#include "text/chat_template/printing.h"
#include "text/chat_template/unicode.h"

namespace hanlin::jinja {
namespace {

std::string object_name(const Value& value) {
  return value.is_none() ? std::string("None") : fmt::format("{} object", type_name(value));
}

bool is_dunder(std::string_view name) { return name.size() > 4 && name.starts_with("__") && name.ends_with("__"); }

// getattr(): true if there is such an attribute; what the sandbox forbids comes out as an undefined value.
bool find_attribute(Runtime& rt, const Value& value, std::string_view name, Value* out) {
  if (is_dunder(name)) {
    *out = make_undefined(rt, Missing::Why::kUnsafe, std::string(name), type_name(value));
    return true;
  }
  if (value.is(Kind::kObject)) return value.custom().attribute(rt, name, out);
  if (value.is(Kind::kTuple) && value.list().is_group && (name == "grouper" || name == "list")) {
    *out = value.items()[name == "grouper" ? 0 : 1];
    return true;
  }
  const Method* method = find_method(value.kind(), name);
  if (method == nullptr) return false;
  if (method->is_unsafe) {
    *out = make_undefined(rt, Missing::Why::kUnsafe, std::string(name), type_name(value));
  } else {
    *out = make_function(
        rt, std::string(name), [value, method](Runtime& r, const CallArgs& args) { return method->call(r, value, args); },
        value.depth() + 1);
  }
  return true;
}

bool find_element(Runtime& rt, const Value& value, const Value& key, Value* out) {
  if (value.is(Kind::kDict)) {
    if (key.is(Kind::kList) || key.is(Kind::kDict)) return false;
    const Value* found = find_key(rt, value.dict(), key);
    if (found != nullptr) *out = *found;
    return found != nullptr;
  }
  if (!key.is_integral() || !(value.is_string() || value.is_sequence() || value.is(Kind::kRange))) return false;
  const int64_t n = length(rt, value);
  const int64_t idx = key.as_int() < 0 ? key.as_int() + n : key.as_int();
  if (idx < 0 || idx >= n) return false;
  if (value.is_sequence()) {
    *out = value.items()[static_cast<size_t>(idx)];
  } else if (value.is(Kind::kRange)) {
    *out = value.range().at(idx);
  } else {
    const Text& text = value.text();
    if (!text.is_ascii) rt.step_for_scan(text.bytes.size());
    const size_t pos = text.is_ascii ? static_cast<size_t>(idx) : byte_offset(text.bytes, static_cast<size_t>(idx));
    *out = make_string(rt, text.bytes.substr(pos, decode_at(text.bytes, pos).n_bytes), text.is_markup);
  }
  return true;
}

// Start, end, number and stride of the elements a slice selects from `n`, by Python's slice.indices().
struct Selection {
  int64_t start = 0, end = 0, count = 0, step = 1;
};

Selection select(int64_t n, const Value& start, const Value& stop, const Value& step) {
  const auto number = [](const Value& v, int64_t missing) {
    if (v.is_none()) return missing;
    if (!v.is_integral()) fail("slice indices must be integers or None or have an __index__ method");
    return v.as_int();
  };
  Selection s;
  s.step = number(step, 1);
  if (s.step == 0) fail("slice step cannot be zero");
  const bool forward = s.step > 0;
  const int64_t low = forward ? 0 : -1, high = forward ? n : n - 1;
  const auto clamp = [&](const Value& v, int64_t missing) {
    const int64_t i = number(v, missing);
    if (v.is_none()) return i;
    return std::clamp(i < 0 ? i + n : i, low, high);
  };
  s.start = clamp(start, forward ? low : high);
  s.end = clamp(stop, forward ? high : low);
  const int64_t distance = forward ? s.end - s.start : s.start - s.end;
  if (distance > 0) {
    const uint64_t stride = forward ? static_cast<uint64_t>(s.step) : uint64_t{0} - static_cast<uint64_t>(s.step);
    s.count = static_cast<int64_t>((static_cast<uint64_t>(distance) - 1) / stride + 1);
  }
  return s;
}

Value slice_string(Runtime& rt, const Text& text, const Selection& s) {
  if (s.count == 0) return make_string(rt, "", text.is_markup);
  rt.step_for_scan(text.bytes.size());
  if (text.is_ascii && s.step == 1) {
    return make_string(rt, text.bytes.substr(static_cast<size_t>(s.start), static_cast<size_t>(s.count)), text.is_markup);
  }
  if (s.step == 1) {
    const size_t from = byte_offset(text.bytes, static_cast<size_t>(s.start));
    const std::string_view rest = std::string_view(text.bytes).substr(from);
    return make_string(rt, std::string(rest.substr(0, byte_offset(rest, static_cast<size_t>(s.count)))), text.is_markup);
  }
  std::vector<uint32_t> starts;  // byte position of each character
  rt.memory().take(text.bytes.size() * sizeof(uint32_t));
  rt.memory().give_back(text.bytes.size() * sizeof(uint32_t));
  for (size_t pos = 0; pos < text.bytes.size(); pos += decode_at(text.bytes, pos).n_bytes) {
    starts.push_back(static_cast<uint32_t>(pos));
  }
  std::string out;
  for (int64_t i = 0; i < s.count; ++i) {
    const size_t pos = starts[static_cast<size_t>(s.start + i * s.step)];
    out.append(text.bytes, pos, decode_at(text.bytes, pos).n_bytes);
  }
  return make_string(rt, std::move(out), text.is_markup);
}

}  // namespace

Value get_attribute(Runtime& rt, const Value& value, std::string_view name) {
  if (value.is_undefined()) fail_undefined(value);
  Value found;
  if (find_attribute(rt, value, name, &found)) return found;
  if (value.is(Kind::kDict)) {
    if (const Value* item = value.dict().find(name)) return *item;
  }
  return make_undefined(rt, Missing::Why::kAttribute, std::string(name), object_name(value));
}

Value get_item(Runtime& rt, const Value& value, const Value& key) {
  if (value.is_undefined()) fail_undefined(value);
  Value found;
  if (find_element(rt, value, key, &found)) return found;
  if (key.is_string()) {
    if (find_attribute(rt, value, key.str(), &found)) return found;
    return make_undefined(rt, Missing::Why::kAttribute, std::string(key.str()), object_name(value));
  }
  return make_undefined(rt, Missing::Why::kElement, to_repr(rt, key), object_name(value));
}

Value get_slice(Runtime& rt, const Value& value, const Value& start, const Value& stop, const Value& step) {
  if (value.is_undefined()) fail_undefined(value);
  if (value.is_string()) return slice_string(rt, value.text(), select(length(rt, value), start, stop, step));
  if (value.is(Kind::kRange)) {
    const Range& range = value.range();
    const Selection s = select(range.n, start, stop, step);
    int64_t stride = 0, first = 0, end = 0;
    const bool fits = !__builtin_mul_overflow(range.step, s.step, &stride) && !__builtin_mul_overflow(s.start, range.step, &first) &&
                      !__builtin_add_overflow(range.start, first, &first) && !__builtin_mul_overflow(s.end, range.step, &end) &&
                      !__builtin_add_overflow(range.start, end, &end);
    if (!fits) fail("integer overflow: expected a range within 64 bits");
    return make_range(rt, first, end, stride);
  }
  if (!value.is_sequence()) fail(fmt::format("'{}' object is not subscriptable", type_name(value)));
  const Selection s = select(length(rt, value), start, stop, step);
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(s.count));
  for (int64_t i = 0; i < s.count; ++i) items.push_back(value.items()[static_cast<size_t>(s.start + i * s.step)]);
  return value.is(Kind::kList) ? make_list(rt, std::move(items)) : make_tuple(rt, std::move(items));
}

}  // namespace hanlin::jinja
