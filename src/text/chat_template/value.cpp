#include "text/chat_template/value.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "text/chat_template/printing.h"
#include "text/chat_template/unicode.h"

namespace hanlin::jinja {
namespace {

constexpr size_t kLinearSearchEntries = 8;

int depth_around(const std::vector<Value>& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return checked_depth(depth + 1);
}

std::shared_ptr<List> new_list(Runtime& rt, std::vector<Value> items) {
  auto list = std::make_shared<List>();
  rt.step(static_cast<int64_t>(items.size() / 8));
  list->charge(rt, sizeof(List) + items.size() * sizeof(Value));
  list->depth = depth_around(items);
  list->items = std::move(items);
  return list;
}

}  // namespace

int checked_depth(int depth) {
  if (depth > kMaxValueDepth) fail_limit(fmt::format("expected values nested at most {} deep, got more", kMaxValueDepth));
  return depth;
}

const Value* Dict::find(std::string_view key) const {
  if (by_name.empty()) {
    for (const Entry& entry : entries) {
      if (entry.first.is_string() && entry.first.str() == key) return &entry.second;
    }
    return nullptr;
  }
  const auto it = std::lower_bound(by_name.begin(), by_name.end(), key,
                                   [this](uint32_t idx, std::string_view k) { return entries[idx].first.str() < k; });
  if (it == by_name.end() || entries[*it].first.str() != key) return nullptr;
  return &entries[*it].second;
}

std::string Missing::message() const {
  switch (why) {
    case Why::kName: return fmt::format("'{}' is undefined", name);
    case Why::kAttribute: return fmt::format("'{}' has no attribute '{}'", type_name, name);
    case Why::kElement: return fmt::format("{} has no element {}", type_name, name);
    case Why::kUnsafe: return fmt::format("access to attribute '{}' of '{}' object is unsafe", name, type_name);
    case Why::kHint: break;
  }
  return name;
}

Value Custom::call(Runtime&, const CallArgs&) { fail(fmt::format("'{}' object is not callable", type_name())); }
void Custom::print(Runtime&, TextBuffer& out) { out.append(fmt::format("<{}>", type_name())); }
void Function::print(Runtime&, TextBuffer& out) { out.append(fmt::format("<function {}>", name)); }

Value make_string(Runtime& rt, std::string bytes, bool is_markup) {
  auto text = std::make_shared<Text>();
  text->charge(rt, sizeof(Text) + bytes.size());
  rt.step_for_copy(bytes.size());
  text->is_ascii = is_ascii(bytes);
  text->is_markup = is_markup;
  text->bytes = std::move(bytes);
  return Value::object(Kind::kString, std::move(text));
}

Value make_constant_string(std::string bytes) {
  auto text = std::make_shared<Text>();
  text->is_ascii = is_ascii(bytes);
  text->bytes = std::move(bytes);
  return Value::object(Kind::kString, std::move(text));
}

Value make_list(Runtime& rt, std::vector<Value> items) { return Value::object(Kind::kList, new_list(rt, std::move(items))); }

Value make_tuple(Runtime& rt, std::vector<Value> items, bool is_group) {
  auto list = new_list(rt, std::move(items));
  list->is_group = is_group;
  return Value::object(Kind::kTuple, std::move(list));
}

Value make_dict(Runtime& rt, std::vector<Entry> entries) {
  auto dict = std::make_shared<Dict>();
  rt.step(static_cast<int64_t>(entries.size() / 4));
  dict->charge(rt, sizeof(Dict) + entries.size() * (sizeof(Entry) + sizeof(uint32_t)));
  int depth = 0;
  for (const Entry& entry : entries) depth = std::max({depth, entry.first.depth(), entry.second.depth()});
  dict->depth = checked_depth(depth + 1);
  dict->entries = std::move(entries);
  if (dict->entries.size() > kLinearSearchEntries) {
    for (size_t i = 0; i < dict->entries.size(); ++i) {
      if (dict->entries[i].first.is_string()) dict->by_name.push_back(static_cast<uint32_t>(i));
    }
    std::sort(dict->by_name.begin(), dict->by_name.end(), [&](uint32_t a, uint32_t b) {
      return dict->entries[a].first.str() < dict->entries[b].first.str();
    });
  }
  return Value::object(Kind::kDict, std::move(dict));
}

Value make_range(Runtime& rt, int64_t start, int64_t stop, int64_t step) {
  constexpr uint64_t kMaxRange = 100'000;  // the sandbox's own bound
  if (step == 0) fail("range() arg 3 must not be zero");
  int64_t n = 0;
  if (step > 0 ? start < stop : start > stop) {
    const uint64_t distance = step > 0 ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                       : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
    const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : uint64_t{0} - static_cast<uint64_t>(step);
    const uint64_t count = (distance - 1) / stride + 1;
    if (count > kMaxRange) fail(fmt::format("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).", kMaxRange));
    n = static_cast<int64_t>(count);
  }
  auto range = std::make_shared<Range>();
  range->charge(rt, sizeof(Range));
  range->start = start;
  range->stop = stop;
  range->step = step;
  range->n = n;
  return Value::object(Kind::kRange, std::move(range));
}

Value make_view(Runtime& rt, Value dict, View::Part part) {
  auto view = std::make_shared<View>();
  view->charge(rt, sizeof(View));
  view->depth = checked_depth(dict.depth() + 1);
  view->dict = std::move(dict);
  view->part = part;
  return Value::object(Kind::kView, std::move(view));
}

Value make_iterator(Runtime& rt, int depth, std::function<bool(Value*)> pull, const char* type_name) {
  auto iterator = std::make_shared<Iterator>();
  iterator->charge(rt, sizeof(Iterator) + 256);  // what a typical closure holds
  iterator->depth = checked_depth(depth + 1);
  iterator->pull = std::move(pull);
  iterator->type_name = type_name;
  return Value::object(Kind::kIterator, std::move(iterator));
}

Value make_undefined(Runtime& rt, Missing::Why why, std::string name, std::string type_name) {
  auto missing = std::make_shared<Missing>();
  missing->charge(rt, sizeof(Missing) + name.size());
  missing->why = why;
  missing->name = std::move(name);
  missing->type_name = std::move(type_name);
  return Value::object(Kind::kUndefined, std::move(missing));
}

Value make_function(Runtime& rt, std::string name, Function::Body body, int depth) {
  auto function = std::make_shared<Function>(std::move(name), std::move(body));
  function->charge(rt, sizeof(Function) + 128);
  function->depth = checked_depth(depth);
  return Value::object(Kind::kObject, std::move(function));
}

Value from_json(Runtime& rt, const Json& json, int depth) {
  checked_depth(depth);
  switch (json.type()) {
    case Json::value_t::boolean: return Value::boolean(json.get<bool>());
    case Json::value_t::number_integer: return Value::integer(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      return number <= INT64_MAX ? Value::integer(static_cast<int64_t>(number)) : Value::real(static_cast<double>(number));
    }
    case Json::value_t::number_float: return Value::real(json.get<double>());
    case Json::value_t::string: return make_string(rt, json.get_ref<const std::string&>());
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(from_json(rt, item, depth + 1));
      return make_list(rt, std::move(items));
    }
    case Json::value_t::object: {
      std::vector<Entry> entries;
      entries.reserve(json.size());
      for (const auto& [key, item] : json.items()) entries.emplace_back(make_string(rt, key), from_json(rt, item, depth + 1));
      return make_dict(rt, std::move(entries));
    }
    case Json::value_t::null:
    case Json::value_t::binary:
    case Json::value_t::discarded: break;
  }
  return Value::none();
}

const char* type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined: return "Undefined";
    case Kind::kNone: return "NoneType";
    case Kind::kBool: return "bool";
    case Kind::kInt: return "int";
    case Kind::kFloat: return "float";
    case Kind::kString: return value.text().is_markup ? "Markup" : "str";
    case Kind::kList: return "list";
    case Kind::kTuple: return value.list().is_group ? "_GroupTuple" : "tuple";
    case Kind::kDict: return "dict";
    case Kind::kRange: return "range";
    case Kind::kView:
      switch (value.view().part) {
        case View::Part::kKeys: return "dict_keys";
        case View::Part::kValues: return "dict_values";
        case View::Part::kItems: return "dict_items";
      }
      break;
    case Kind::kIterator: return value.iterator().type_name;
    case Kind::kObject: return value.custom().type_name();
  }
  return "object";
}

bool is_true(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone: return false;
    case Kind::kBool:
    case Kind::kInt: return value.as_int() != 0;
    case Kind::kFloat: return value.as_real() != 0.0;
    case Kind::kString: return !value.str().empty();
    case Kind::kList:
    case Kind::kTuple: return !value.items().empty();
    case Kind::kDict: return !value.dict().entries.empty();
    case Kind::kRange: return value.range().n > 0;
    case Kind::kView: return !value.view().dict.dict().entries.empty();
    case Kind::kIterator:
    case Kind::kObject: return true;
  }
  return true;
}

void fail_undefined(const Value& value) {
  const Missing* missing = value.missing();
  fail(missing != nullptr ? missing->message() : std::string("value is undefined"));
}

}  // namespace hanlin::jinja
