// What Python's operators and Jinja's subscripts do to values.
#pragma once

#include <string_view>

#include "text/chat_template/value.h"

namespace hanlin::jinja {

enum class BinaryOp : uint8_t { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };
enum class CompareOp : uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };

// Walks anything iterable: items, characters, keys. Fails on construction if `source` is not iterable.
class Cursor {
 public:
  Cursor(Runtime& rt, Value source);
  bool next(Value* out);

 private:
  Runtime& rt_;
  Value source_;
  size_t idx_ = 0;
};
bool is_iterable(const Value& value);
std::vector<Value> to_vector(Runtime& rt, const Value& iterable);
Value view_item(Runtime& rt, const View& view, size_t idx);

// len(); -1 where Python has none.
int64_t length_or_negative(Runtime& rt, const Value& value);
int64_t length(Runtime& rt, const Value& value);

bool equals(Runtime& rt, const Value& a, const Value& b);
bool less_than(Runtime& rt, const Value& a, const Value& b);
bool compare(Runtime& rt, CompareOp op, const Value& a, const Value& b);
bool contains(Runtime& rt, const Value& container, const Value& item);
void check_hashable(const Value& key);

Value binary(Runtime& rt, BinaryOp op, const Value& a, const Value& b);
Value negate(const Value& value);
Value positive(const Value& value);

// value.name and value[key]: undefined if there is no such thing. Fail on undefined values.
Value get_attribute(Runtime& rt, const Value& value, std::string_view name);
Value get_item(Runtime& rt, const Value& value, const Value& key);
// value[start:stop:step], None for what was left out.
Value get_slice(Runtime& rt, const Value& value, const Value& start, const Value& stop, const Value& step);
const Value* find_key(Runtime& rt, const Dict& dict, const Value& key);  // nullptr if absent
// Adds or replaces a key of a dict under construction, as d[key] = value does.
void put_entry(Runtime& rt, std::vector<Entry>* entries, Value key, Value value);

// Linear-time search, counted as steps; npos if absent.
size_t find_first(Runtime& rt, std::string_view text, std::string_view needle, size_t from = 0);
size_t find_last(Runtime& rt, std::string_view text, std::string_view needle);

}  // namespace hanlin::jinja
