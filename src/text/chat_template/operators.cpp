#include "text/chat_template/operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/chat_template/printing.h"
#include "text/chat_template/unicode.h"

namespace hanlin::jinja {
namespace {

bool numbers_equal(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return a.as_int() == b.as_int();
  if (!a.is_integral() && !b.is_integral()) return a.as_real() == b.as_real();
  // long double holds every int64 and every double exactly here.
  const auto wide = [](const Value& v) {
    return v.is_integral() ? static_cast<long double>(v.as_int()) : static_cast<long double>(v.as_real());
  };
  return wide(a) == wide(b);
}

bool all_equal(Runtime& rt, const std::vector<Value>& a, const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!equals(rt, a[i], b[i])) return false;
  }
  return true;
}

bool dicts_equal(Runtime& rt, const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = find_key(rt, b, key);
    if (other == nullptr || !equals(rt, value, *other)) return false;
  }
  return true;
}

bool ranges_equal(const Range& a, const Range& b) {
  if (a.n != b.n) return false;
  return a.n == 0 || (a.start == b.start && (a.n == 1 || a.step == b.step));
}

template <typename T>
bool order(CompareOp op, const T& a, const T& b) {
  switch (op) {
    case CompareOp::kLess: return a < b;
    case CompareOp::kLessEqual: return a <= b;
    case CompareOp::kGreater: return a > b;
    default: return a >= b;
  }
}

bool ordered(Runtime& rt, CompareOp op, const Value& a, const Value& b) {
  rt.step();
  if (a.is_undefined()) fail_undefined(a);
  if (b.is_undefined()) fail_undefined(b);
  if (a.is_integral() && b.is_integral()) return order(op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) return order(op, a.as_real(), b.as_real());
  if (a.is_string() && b.is_string()) {
    rt.step_for_copy(std::min(a.str().size(), b.str().size()));
    return order(op, a.str(), b.str());  // UTF-8 orders like code points
  }
  if (a.is_sequence() && a.kind() == b.kind()) {
    const auto& x = a.items();
    const auto& y = b.items();
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!equals(rt, x[i], y[i])) return ordered(rt, op, x[i], y[i]);
    }
    return order(op, x.size(), y.size());
  }
  static constexpr const char* kSigns[] = {"==", "!=", "<", "<=", ">", ">="};
  fail(fmt::format("'{}' not supported between instances of '{}' and '{}'", kSigns[static_cast<int>(op)], type_name(a),
                   type_name(b)));
}

}  // namespace

Cursor::Cursor(Runtime& rt, Value source) : rt_(rt), source_(std::move(source)) {
  if (!is_iterable(source_)) fail(fmt::format("'{}' object is not iterable", type_name(source_)));
}

bool Cursor::next(Value* out) {
  rt_.step();
  switch (source_.kind()) {
    case Kind::kString: {
      const std::string_view text = source_.str();
      if (idx_ >= text.size()) return false;
      const size_t n_bytes = decode_at(text, idx_).n_bytes;
      *out = make_string(rt_, std::string(text.substr(idx_, n_bytes)));
      idx_ += n_bytes;
      return true;
    }
    case Kind::kList:
    case Kind::kTuple:
      if (idx_ >= source_.items().size()) return false;
      *out = source_.items()[idx_++];
      return true;
    case Kind::kDict:
      if (idx_ >= source_.dict().entries.size()) return false;
      *out = source_.dict().entries[idx_++].first;
      return true;
    case Kind::kRange:
      if (idx_ >= static_cast<size_t>(source_.range().n)) return false;
      *out = source_.range().at(static_cast<int64_t>(idx_++));
      return true;
    case Kind::kView:
      if (idx_ >= source_.view().dict.dict().entries.size()) return false;
      *out = view_item(rt_, source_.view(), idx_++);
      return true;
    case Kind::kIterator: return source_.iterator().pull(out);
    default: return false;
  }
}

Value view_item(Runtime& rt, const View& view, size_t idx) {
  const Entry& entry = view.dict.dict().entries[idx];
  switch (view.part) {
    case View::Part::kKeys: return entry.first;
    case View::Part::kValues: return entry.second;
    case View::Part::kItems: break;
  }
  return make_tuple(rt, {entry.first, entry.second});
}

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kView:
    case Kind::kIterator: return true;
    default: return false;
  }
}

std::vector<Value> to_vector(Runtime& rt, const Value& iterable) {
  std::vector<Value> items;
  Cursor cursor(rt, iterable);
  // Counted while it grows: an iterator may have no end in sight.
  struct Charge {
    Runtime& rt;
    size_t n_bytes = 0;
    ~Charge() { rt.memory().give_back(n_bytes); }
  } charge{rt};
  for (Value item; cursor.next(&item);) {
    rt.memory().take(sizeof(Value));
    charge.n_bytes += sizeof(Value);
    items.push_back(std::move(item));
  }
  return items;
}

int64_t length_or_negative(Runtime& rt, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined: return 0;
    case Kind::kString:
      if (value.text().is_ascii) return static_cast<int64_t>(value.str().size());
      rt.step_for_scan(value.str().size());
      return static_cast<int64_t>(count_code_points(value.str()));
    case Kind::kList:
    case Kind::kTuple: return static_cast<int64_t>(value.items().size());
    case Kind::kDict: return static_cast<int64_t>(value.dict().entries.size());
    case Kind::kRange: return value.range().n;
    case Kind::kView: return static_cast<int64_t>(value.view().dict.dict().entries.size());
    default: return -1;
  }
}

int64_t length(Runtime& rt, const Value& value) {
  const int64_t n = length_or_negative(rt, value);
  if (n < 0) fail(fmt::format("object of type '{}' has no len()", type_name(value)));
  return n;
}

bool equals(Runtime& rt, const Value& a, const Value& b) {
  rt.step();
  if (a.is_number() && b.is_number()) return numbers_equal(a, b);
  if (a.kind() != b.kind()) return false;
  if (a.pointer() != nullptr && a.pointer() == b.pointer()) return true;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone: return true;
    case Kind::kString:
      if (a.str().size() != b.str().size()) return false;
      rt.step_for_copy(a.str().size());
      return a.str() == b.str();
    case Kind::kList:
    case Kind::kTuple: return all_equal(rt, a.items(), b.items());
    case Kind::kDict: return dicts_equal(rt, a.dict(), b.dict());
    case Kind::kRange: return ranges_equal(a.range(), b.range());
    default: return false;
  }
}

bool less_than(Runtime& rt, const Value& a, const Value& b) { return ordered(rt, CompareOp::kLess, a, b); }

bool compare(Runtime& rt, CompareOp op, const Value& a, const Value& b) {
  switch (op) {
    case CompareOp::kEqual: return equals(rt, a, b);
    case CompareOp::kNotEqual: return !equals(rt, a, b);
    case CompareOp::kIn: return contains(rt, b, a);
    case CompareOp::kNotIn: return !contains(rt, b, a);
    default: return ordered(rt, op, a, b);
  }
}

bool contains(Runtime& rt, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kString:
      if (!item.is_string()) fail(fmt::format("'in <string>' requires string as left operand, not {}", type_name(item)));
      return find_first(rt, container.str(), item.str()) != std::string_view::npos;
    case Kind::kDict:
      check_hashable(item);
      return find_key(rt, container.dict(), item) != nullptr;
    case Kind::kView:
      if (container.view().part == View::Part::kKeys) {
        check_hashable(item);
        return find_key(rt, container.view().dict.dict(), item) != nullptr;
      }
      break;
    default:
      if (!is_iterable(container)) fail(fmt::format("argument of type '{}' is not iterable", type_name(container)));
  }
  Cursor cursor(rt, container);
  for (Value candidate; cursor.next(&candidate);) {
    if (equals(rt, candidate, item)) return true;
  }
  return false;
}

void check_hashable(const Value& key) {
  if (key.is(Kind::kList) || key.is(Kind::kDict)) fail(fmt::format("unhashable type: '{}'", type_name(key)));
  if (key.is(Kind::kTuple)) {
    for (const Value& item : key.items()) check_hashable(item);
  }
}

const Value* find_key(Runtime& rt, const Dict& dict, const Value& key) {
  if (key.is_string()) {
    if (dict.by_name.empty()) rt.step();
    return dict.find(key.str());
  }
  for (const auto& [candidate, value] : dict.entries) {
    if (equals(rt, candidate, key)) return &value;
  }
  return nullptr;
}

void put_entry(Runtime& rt, std::vector<Entry>* entries, Value key, Value value) {
  check_hashable(key);
  for (Entry& entry : *entries) {
    if (equals(rt, entry.first, key)) {
      entry.second = std::move(value);
      return;
    }
  }
  entries->emplace_back(std::move(key), std::move(value));
}

size_t find_first(Runtime& rt, std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  // memmem is linear in the worst case; string_view::find is not.
  const void* hit = ::memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  const size_t pos = hit == nullptr ? std::string_view::npos : static_cast<size_t>(static_cast<const char*>(hit) - text.data());
  rt.step_for_scan((hit == nullptr ? text.size() - from : pos - from) + needle.size());
  return pos;
}

size_t find_last(Runtime& rt, std::string_view text, std::string_view needle) {
  if (needle.size() > text.size()) return std::string_view::npos;
  if (needle.empty()) return text.size();
  for (size_t pos = text.size() - needle.size() + 1; pos-- > 0;) {
    if (text[pos] != needle[0]) {
      if (pos % 128 == 0) rt.step();
      continue;
    }
    size_t n_equal = 1;
    while (n_equal < needle.size() && text[pos + n_equal] == needle[n_equal]) ++n_equal;
    if (n_equal == needle.size()) return pos;
    rt.step(1 + static_cast<int64_t>(n_equal / 64));
  }
  return std::string_view::npos;
}

}  // namespace hanlin::jinja
