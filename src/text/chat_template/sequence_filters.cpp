#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "text/chat_template/call_args.h"
#include "text/chat_template/filter_support.h"
#include "text/chat_template/filters.h"
#include "text/chat_template/merge_sort.h"
#include "text/chat_template/operators.h"
#include "text/chat_template/printing.h"
#include "text/chat_template/unicode.h"

namespace hanlin::jinja {

AttributePath::AttributePath(Runtime& rt, const Value& attribute) {
  if (attribute.is_none()) return;
  if (!attribute.is_string()) {
    parts_.push_back(attribute);
    return;
  }
  std::string_view rest = attribute.str();
  while (true) {
    rt.step();
    const size_t dot = std::min(rest.find('.'), rest.size());
    const std::string part(rest.substr(0, dot));
    const bool is_number = !part.empty() && part.size() < 18 && part.find_first_not_of("0123456789") == std::string::npos;
    parts_.push_back(is_number ? Value::integer(std::stoll(part)) : make_string(rt, part));
    if (dot == rest.size()) return;
    rest.remove_prefix(dot + 1);
  }
}

Value AttributePath::read(Runtime& rt, Value item, const std::optional<Value>& fallback) const {
  for (const Value& part : parts_) {
    item = get_item(rt, item, part);
    if (fallback && item.is_undefined()) item = *fallback;
  }
  return item;
}

Value ignore_case(Runtime& rt, const Value& value) {
  if (!value.is_string()) return value;
  rt.step_for_scan(value.str().size());
  return make_string(rt, to_lower(value.str()));
}

Value iterate_over(Runtime& rt, std::vector<Value> items, const char* type_name) {
  const Value list = make_list(rt, std::move(items));  // holds and counts them
  return make_iterator(rt, list.depth(), [list, idx = size_t{0}](Value* out) mutable {
    if (idx >= list.items().size()) return false;
    *out = list.items()[idx++];
    return true;
  }, type_name);
}

namespace {

Value batch(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("batch", args, {"linecount", "fill_with"}, 1);
  const int64_t n = p.integer(0, 0);
  std::vector<Value> rows, row;
  const auto flush = [&] { rows.push_back(make_list(rt, std::exchange(row, {}))); };
  Cursor cursor(rt, input);
  for (Value item; cursor.next(&item);) {
    if (static_cast<int64_t>(row.size()) == n) flush();
    row.push_back(std::move(item));
  }
  if (!row.empty()) {
    while (p.has_value(1) && static_cast<int64_t>(row.size()) < n) {
      rt.step();
      row.push_back(p[1]);
    }
    flush();
  }
  return iterate_over(rt, std::move(rows));
}

Value slice(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("slice", args, {"slices", "fill_with"}, 1);
  const int64_t n_slices = p.integer(0, 0);
  if (n_slices == 0) fail("integer division or modulo by zero");
  const std::vector<Value> items = to_vector(rt, input);
  const auto n = static_cast<int64_t>(items.size());
  std::vector<Value> rows;
  int64_t pos = 0;
  for (int64_t i = 0; i < n_slices; ++i) {
    rt.step(2);
    const bool is_longer = i < n % n_slices;
    const int64_t size = n / n_slices + (is_longer ? 1 : 0);
    std::vector<Value> row(items.begin() + pos, items.begin() + pos + size);
    if (p.has_value(1) && !is_longer) row.push_back(p[1]);
    rows.push_back(make_list(rt, std::move(row)));
    pos += size;
  }
  return iterate_over(rt, std::move(rows));
}

Value count(Runtime& rt, const Value& input, const CallArgs& args) {
  Params("length", args, {});
  return Value::integer(length(rt, input));
}

Value fallback(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("default", args, {"default_value", "boolean"});
  if (!input.is_undefined() && !(p.boolean(1, false) && !is_true(input))) return input;
  return p.has(0) ? p[0] : make_string(rt, "");
}

Value attr(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("attr", args, {"name"}, 1);
  if (input.is(Kind::kDict) && find_key(rt, input.dict(), p[0]) != nullptr) {
    const Value found = get_attribute(rt, make_dict(rt, {}), p.string(0, ""));  // attributes only, no keys
    if (!found.is_undefined()) return get_attribute(rt, input, p.string(0, ""));
    return make_undefined(rt, Missing::Why::kAttribute, std::string(p.string(0, "")), "dict object");
  }
  return get_attribute(rt, input, p.string(0, ""));
}

// The items sorted by `keys`; equal ones keep their order, also in reverse.
std::vector<Value> sorted(Runtime& rt, const std::vector<Value>& items, const std::vector<Value>& keys, bool reverse) {
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  merge_sort(&order, [&](size_t a, size_t b) {
    return reverse ? less_than(rt, keys[b], keys[a]) : less_than(rt, keys[a], keys[b]);
  });
  std::vector<Value> result;
  result.reserve(items.size());
  for (size_t i : order) result.push_back(items[i]);
  return result;
}

Value sort(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("sort", args, {"reverse", "case_sensitive", "attribute"});
  const bool ignores_case = !p.boolean(1, false);
  std::vector<AttributePath> paths;  // "a,b": by a, then by b
  if (p.has(2) && p[2].is_string()) {
    for (std::string_view rest = p[2].str();;) {
      const size_t comma = std::min(rest.find(','), rest.size());
      paths.emplace_back(rt, make_string(rt, std::string(rest.substr(0, comma))));
      if (comma == rest.size()) break;
      rest.remove_prefix(comma + 1);
    }
  } else {
    paths.emplace_back(rt, p.has(2) ? p[2] : Value::none());
  }
  const std::vector<Value> items = to_vector(rt, input);
  std::vector<Value> keys;
  for (const Value& item : items) {
    std::vector<Value> key;
    for (const AttributePath& path : paths) {
      Value part = path.read(rt, item);
      key.push_back(ignores_case ? ignore_case(rt, part) : std::move(part));
    }
    keys.push_back(make_list(rt, std::move(key)));
  }
  return make_list(rt, sorted(rt, items, keys, p.boolean(0, false)));
}

Value dict_sort(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("dictsort", args, {"case_sensitive", "by", "reverse"});
  const std::string_view by = p.string(1, "key");
  if (by != "key" && by != "value") fail("You can only sort by either \"key\" or \"value\"");
  if (input.is_undefined()) fail_undefined(input);
  if (!input.is(Kind::kDict)) fail(fmt::format("'{}' object has no attribute 'items'", type_name(input)));
  std::vector<Value> items, keys;
  for (const auto& [key, value] : input.dict().entries) {
    items.push_back(make_tuple(rt, {key, value}));
    const Value& part = by == "key" ? key : value;
    keys.push_back(p.boolean(0, false) ? part : ignore_case(rt, part));
  }
  return make_list(rt, sorted(rt, items, keys, p.boolean(2, false)));
}

Value group_by(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("groupby", args, {"attribute", "default", "case_sensitive"}, 1);
  const AttributePath path(rt, p[0]);
  std::optional<Value> missing;
  if (p.has_value(1)) missing = p[1];
  const bool ignores_case = !p.boolean(2, false);
  const auto key_of = [&](const Value& item) {
    const Value key = path.read(rt, item, missing);
    return ignores_case ? ignore_case(rt, key) : key;
  };
  const std::vector<Value> items = to_vector(rt, input);
  std::vector<Value> keys;
  for (const Value& item : items) keys.push_back(key_of(item));
  std::vector<Value> groups, group;
  Value group_key;
  const auto flush = [&] {
    if (group.empty()) return;
    const Value shown = ignores_case ? path.read(rt, group.front(), missing) : group_key;
    groups.push_back(make_tuple(rt, {shown, make_list(rt, std::exchange(group, {}))}, true));
  };
  for (const Value& item : sorted(rt, items, keys, false)) {
    const Value key = key_of(item);
    if (!group.empty() && !equals(rt, key, group_key)) flush();
    if (group.empty()) group_key = key;
    group.push_back(item);
  }
  flush();
  return make_list(rt, std::move(groups));
}

Value first(Runtime& rt, const Value& input, const CallArgs& args) {
  Params("first", args, {});
  Cursor cursor(rt, input);
  Value item;
  if (cursor.next(&item)) return item;
  return make_undefined(rt, Missing::Why::kHint, "No first item, sequence was empty.");
}

Value last(Runtime& rt, const Value& input, const CallArgs& args) {
  Params("last", args, {});
  if (input.is(Kind::kIterator) || !is_iterable(input)) fail(fmt::format("'{}' object is not reversible", type_name(input)));
  if (!is_true(input)) return make_undefined(rt, Missing::Why::kHint, "No last item, sequence was empty.");
  if (input.is(Kind::kDict)) return input.dict().entries.back().first;
  if (input.is(Kind::kView)) return view_item(rt, input.view(), input.view().dict.dict().entries.size() - 1);
  return get_item(rt, input, Value::integer(-1));
}

Value reverse(Runtime& rt, const Value& input, const CallArgs& args) {
  Params("reverse", args, {});
  if (input.is_string()) return get_slice(rt, input, Value::none(), Value::none(), Value::integer(-1));
  if (!is_iterable(input)) fail("argument must be iterable");
  std::vector<Value> items = to_vector(rt, input);
  std::reverse(items.begin(), items.end());
  if (input.is(Kind::kIterator)) return make_list(rt, std::move(items));
  return iterate_over(rt, std::move(items), input.is(Kind::kList) ? "list_reverseiterator" : "reversed");
}

Value items(Runtime& rt, const Value& input, const CallArgs& args) {
  Params("items", args, {});
  if (input.is_undefined()) return iterate_over(rt, {});
  if (!input.is(Kind::kDict)) fail("Can only get item pairs from a mapping.");
  return iterate_over(rt, to_vector(rt, make_view(rt, input, View::Part::kItems)));
}

Value join(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("join", args, {"d", "attribute"});
  const std::string separator = p.has(0) ? to_str(rt, p[0]) : std::string();
  const AttributePath path(rt, p.has(1) ? p[1] : Value::none());
  TextBuffer out(rt);
  Cursor cursor(rt, input);
  bool is_first = true;
  for (Value item; cursor.next(&item);) {
    if (!is_first) out.append(separator);
    is_first = false;
    append_str(rt, path.read(rt, std::move(item)), out);
  }
  return make_string(rt, out.take());
}

Value list(Runtime& rt, const Value& input, const CallArgs& args) {
  Params("list", args, {});
  return make_list(rt, to_vector(rt, input));
}

template <bool want_max>
Value extreme(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p(want_max ? "max" : "min", args, {"case_sensitive", "attribute"});
  const AttributePath path(rt, p.has(1) ? p[1] : Value::none());
  const auto key_of = [&](const Value& item) {
    const Value key = path.read(rt, item);
    return p.boolean(0, false) ? key : ignore_case(rt, key);
  };
  Cursor cursor(rt, input);
  Value best;
  if (!cursor.next(&best)) return make_undefined(rt, Missing::Why::kHint, "No aggregated item, sequence was empty.");
  Value best_key = key_of(best);
  for (Value item; cursor.next(&item);) {
    Value key = key_of(item);
    const bool is_better = want_max ? less_than(rt, best_key, key) : less_than(rt, key, best_key);
    if (!is_better) continue;
    best = item;
    best_key = std::move(key);
  }
  return best;
}

Value sum(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("sum", args, {"attribute", "start"});
  const AttributePath path(rt, p.has(0) ? p[0] : Value::none());
  Value total = p.has(1) ? p[1] : Value::integer(0);
  if (total.is_string()) fail("sum() can't sum strings [use ''.join(seq) instead]");
  Cursor cursor(rt, input);
  for (Value item; cursor.next(&item);) total = binary(rt, BinaryOp::kAdd, total, path.read(rt, item));
  return total;
}

Value unique(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("unique", args, {"case_sensitive", "attribute"});
  const AttributePath path(rt, p.has(1) ? p[1] : Value::none());
  std::vector<Value> kept, other_keys;
  std::set<std::string, std::less<>> string_keys;
  Cursor cursor(rt, input);
  for (Value item; cursor.next(&item);) {
    Value key = path.read(rt, item);
    if (!p.boolean(0, false)) key = ignore_case(rt, key);
    check_hashable(key);
    rt.step(4);
    if (key.is_string()) {
      if (!string_keys.emplace(key.str()).second) continue;
    } else {
      const bool is_known = std::any_of(other_keys.begin(), other_keys.end(), [&](const Value& k) { return equals(rt, k, key); });
      if (is_known) continue;
      other_keys.push_back(key);
    }
    kept.push_back(std::move(item));
  }
  return iterate_over(rt, std::move(kept));
}

constexpr Filter kSequenceFilters[] = {
    {"attr", attr},         {"batch", batch},         {"count", count},         {"d", fallback},       {"default", fallback},
    {"dictsort", dict_sort}, {"first", first},         {"groupby", group_by},    {"items", items},      {"join", join},
    {"last", last},         {"length", count},        {"list", list},           {"max", extreme<true>}, {"min", extreme<false>},
    {"reverse", reverse},   {"slice", slice},         {"sort", sort},           {"sum", sum},          {"unique", unique},
};

}  // namespace

std::span<const Filter> sequence_filters() { return kSequenceFilters; }

}  // namespace hanlin::jinja
