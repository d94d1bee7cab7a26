#include <fmt/format.h>

#include <algorithm>

#include "text/chat_template/call_args.h"
#include "text/chat_template/format_text.h"
#include "text/chat_template/methods.h"
#include "text/chat_template/operators.h"
#include "text/chat_template/printing.h"
#include "text/chat_template/unicode.h"

namespace hanlin::jinja {
namespace {

constexpr size_t kNotFound = std::string_view::npos;

// A string that keeps the markup of the string it came from.
Value like(Runtime& rt, const Value& self, std::string_view bytes) {
  return make_string(rt, std::string(bytes), self.text().is_markup);
}

// Markup escapes what is put into it.
std::string argument_text(Runtime& rt, const Value& self, const Value& argument) {
  if (argument.is_undefined()) fail_undefined(argument);
  if (!argument.is_string()) fail(fmt::format("expected a string argument, got {}", type_name(argument)));
  const bool escape = self.text().is_markup && !argument.text().is_markup;
  return escape ? escape_html(rt, argument.str()) : std::string(argument.str());
}

template <std::string (*map)(std::string_view)>
Value mapped(Runtime& rt, const Value& self, const CallArgs& args) {
  Params("str method", args, {});
  rt.step_for_scan(self.str().size() * 2);
  return like(rt, self, map(self.str()));
}

template <bool (*holds)(uint32_t)>
Value all_are(Runtime& rt, const Value& self, const CallArgs& args) {
  Params("str method", args, {});
  rt.step_for_scan(self.str().size() * 2);
  const std::string_view text = self.str();
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint p = decode_at(text, pos);
    if (!holds(p.value)) return Value::boolean(false);
    pos += p.n_bytes;
  }
  return Value::boolean(!text.empty());
}

Value is_ascii_method(Runtime&, const Value& self, const CallArgs& args) {
  Params("isascii", args, {});
  return Value::boolean(self.text().is_ascii);
}

Value is_printable_method(Runtime& rt, const Value& self, const CallArgs& args) {
  if (self.str().empty()) return Value::boolean(true);
  return all_are<is_printable>(rt, self, args);
}

Value is_identifier(Runtime& rt, const Value& self, const CallArgs& args) {
  Params("isidentifier", args, {});
  rt.step_for_scan(self.str().size() * 2);
  const std::string_view text = self.str();
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint p = decode_at(text, pos);
    const bool fits = p.value == '_' || is_alphabetic(p.value) || (pos > 0 && is_decimal(p.value));
    if (!fits) return Value::boolean(false);
    pos += p.n_bytes;
  }
  return Value::boolean(!text.empty());
}

// islower / isupper: at least one cased character and all cased ones of that case.
template <bool (*wanted)(uint32_t)>
Value case_is(Runtime& rt, const Value& self, const CallArgs& args) {
  Params("str method", args, {});
  rt.step_for_scan(self.str().size() * 3);
  bool any = false;
  const std::string_view text = self.str();
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint p = decode_at(text, pos);
    if (wanted(p.value)) any = true;
    else if (is_cased(p.value)) return Value::boolean(false);
    pos += p.n_bytes;
  }
  return Value::boolean(any);
}

Value is_title(Runtime& rt, const Value& self, const CallArgs& args) {
  Params("istitle", args, {});
  rt.step_for_scan(self.str().size() * 3);
  bool any = false, in_word = false;
  const std::string_view text = self.str();
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint p = decode_at(text, pos);
    if (is_upper(p.value) || is_titlecase(p.value)) {
      if (in_word) return Value::boolean(false);
      any = in_word = true;
    } else if (is_lower(p.value)) {
      if (!in_word) return Value::boolean(false);
    } else {
      in_word = false;
    }
    pos += p.n_bytes;
  }
  return Value::boolean(any);
}

template <bool left, bool right>
Value strip_method(Runtime& rt, const Value& self, const CallArgs& args) {
  const Params p("strip", args, {"chars"});
  return strip_text(rt, self, p.has(0) ? p[0] : Value::none(), left, right);
}

// The part of `self` that [start, end) selects, as bytes; false if start lies beyond the end.
bool select_part(Runtime& rt, const Value& self, const Params& p, size_t start_idx, std::string_view* part, size_t* from_byte) {
  const std::string_view text = self.str();
  *part = text;
  *from_byte = 0;
  if (!p.has_value(start_idx) && !p.has_value(start_idx + 1)) return true;
  const int64_t n = length(rt, self);
  const auto position = [&](size_t idx, int64_t missing) {
    if (!p.has_value(idx)) return missing;
    const int64_t i = require_integer(p[idx]);
    return i < 0 ? std::max<int64_t>(i + n, 0) : i;
  };
  const int64_t start = position(start_idx, 0), end = std::min(position(start_idx + 1, n), n);
  if (start > n || start > end) return false;
  rt.step_for_scan(text.size());
  const size_t from = byte_offset(text, static_cast<size_t>(start)), to = byte_offset(text, static_cast<size_t>(end));
  *part = text.substr(from, to - from);
  *from_byte = from;
  return true;
}

template <bool at_start>
Value starts_or_ends(Runtime& rt, const Value& self, const CallArgs& args) {
  const char* name = at_start ? "startswith" : "endswith";
  const Params p(name, args, {"prefix", "start", "end"}, 1);
  std::string_view part;
  size_t from = 0;
  const bool in_range = select_part(rt, self, p, 1, &part, &from);
  const auto matches = [&](const Value& affix) {
    if (affix.is_undefined()) fail_undefined(affix);
    if (!affix.is_string()) fail(fmt::format("{} first arg must be str or a tuple of str, not {}", name, type_name(affix)));
    return in_range && (at_start ? part.starts_with(affix.str()) : part.ends_with(affix.str()));
  };
  if (!p[0].is(Kind::kTuple)) return Value::boolean(matches(p[0]));
  for (const Value& affix : p[0].items()) {
    rt.step();
    if (matches(affix)) return Value::boolean(true);
  }
  return Value::boolean(false);
}

template <bool last>
Value find_in(Runtime& rt, const Value& self, const CallArgs& args, const char* name) {
  const Params p(name, args, {"sub", "start", "end"}, 1);
  const std::string_view needle = p.string(0, "");
  std::string_view part;
  size_t from = 0;
  if (!select_part(rt, self, p, 1, &part, &from)) return Value::integer(-1);
  const size_t pos = last ? find_last(rt, part, needle) : find_first(rt, part, needle);
  if (pos == kNotFound) return Value::integer(-1);
  if (self.text().is_ascii) return Value::integer(static_cast<int64_t>(from + pos));
  rt.step_for_scan(from + pos);
  return Value::integer(static_cast<int64_t>(count_code_points(self.str().substr(0, from + pos))));
}

template <bool last>
Value find_method_body(Runtime& rt, const Value& self, const CallArgs& args) { return find_in<last>(rt, self, args, "find"); }

template <bool last>
Value index_method(Runtime& rt, const Value& self, const CallArgs& args) {
  const Value found = find_in<last>(rt, self, args, "index");
  if (found.as_int() < 0) fail("substring not found");
  return found;
}

Value count_method(Runtime& rt, const Value& self, const CallArgs& args) {
  const Params p("count", args, {"sub", "start", "end"}, 1);
  const std::string_view needle = p.string(0, "");
  std::string_view part;
  size_t from = 0;
  if (!select_part(rt, self, p, 1, &part, &from)) return Value::integer(0);
  if (needle.empty()) return Value::integer(static_cast<int64_t>(count_code_points(part)) + 1);
  int64_t n = 0;
  for (size_t pos = find_first(rt, part, needle); pos != kNotFound; pos = find_first(rt, part, needle, pos + needle.size())) {
    rt.step();
    ++n;
  }
  return Value::integer(n);
}

Value replace_method(Runtime& rt, const Value& self, const CallArgs& args) {
  const Params p("replace", args, {"old", "new", "count"}, 2);
  if (p[0].is_undefined()) fail_undefined(p[0]);
  const std::string new_text = argument_text(rt, self, p[1]);
  return like(rt, self, replace_text(rt, self.str(), p.string(0, ""), new_text, p.integer(2, -1)));
}

std::vector<Value> split_on_space(Runtime& rt, const Value& self, int64_t max_split) {
  std::vector<Value> parts;
  std::string_view rest = strip_left(self.str());
  while (!rest.empty()) {
    rt.step();
    if (max_split >= 0 && static_cast<int64_t>(parts.size()) >= max_split) {
      parts.push_back(like(rt, self, rest));
      break;
    }
    size_t end = 0;
    while (end < rest.size()) {
      const CodePoint p = decode_at(rest, end);
      if (is_space(p.value)) break;
      end += p.n_bytes;
    }
    parts.push_back(like(rt, self, rest.substr(0, end)));
    rest = strip_left(rest.substr(end));
  }
  return parts;
}

std::vector<Value> split_on_space_from_right(Runtime& rt, const Value& self, int64_t max_split) {
  std::vector<Value> parts;
  std::string_view rest = strip_right(self.str());
  while (!rest.empty()) {
    rt.step();
    if (max_split >= 0 && static_cast<int64_t>(parts.size()) >= max_split) {
      parts.push_back(like(rt, self, rest));
      break;
    }
    size_t start = rest.size();
    while (start > 0) {
      const size_t before = previous_start(rest, start);
      if (is_space(decode_at(rest, before).value)) break;
      start = before;
    }
    parts.push_back(like(rt, self, rest.substr(start)));
    rest = strip_right(rest.substr(0, start));
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

template <bool from_right>
Value split_method(Runtime& rt, const Value& self, const CallArgs& args) {
  const Params p("split", args, {"sep", "maxsplit"});
  const int64_t max_split = p.integer(1, -1);
  rt.step_for_scan(self.str().size());
  if (!p.has_value(0)) {
    return make_list(rt, from_right ? split_on_space_from_right(rt, self, max_split) : split_on_space(rt, self, max_split));
  }
  const std::string_view separator = p.string(0, "");
  if (separator.empty()) fail("empty separator");
  std::vector<Value> parts;
  std::string_view rest = self.str();
  while (max_split < 0 || static_cast<int64_t>(parts.size()) < max_split) {
    rt.step();
    const size_t pos = from_right ? find_last(rt, rest, separator) : find_first(rt, rest, separator);
    if (pos == kNotFound) break;
    parts.push_back(like(rt, self, from_right ? rest.substr(pos + separator.size()) : rest.substr(0, pos)));
    rest = from_right ? rest.substr(0, pos) : rest.substr(pos + separator.size());
  }
  parts.push_back(like(rt, self, rest));
  if (from_right) std::reverse(parts.begin(), parts.end());
  return make_list(rt, std::move(parts));
}

Value splitlines_method(Runtime& rt, const Value& self, const CallArgs& args) {
  const Params p("splitlines", args, {"keepends"});
  std::vector<Value> parts;
  for (std::string_view line : split_lines(rt, self.str(), p.boolean(0, false))) parts.push_back(like(rt, self, line));
  return make_list(rt, std::move(parts));
}

template <bool last>
Value partition_method(Runtime& rt, const Value& self, const CallArgs& args) {
  const Params p("partition", args, {"sep"}, 1);
  const std::string_view separator = p.string(0, "");
  if (separator.empty()) fail("empty separator");
  const std::string_view text = self.str();
  const size_t pos = last ? find_last(rt, text, separator) : find_first(rt, text, separator);
  const auto part = [&](std::string_view piece) { return like(rt, self, piece); };
  if (pos == kNotFound) {
    return last ? make_tuple(rt, {part(""), part(""), self}) : make_tuple(rt, {self, part(""), part("")});
  }
  return make_tuple(rt, {part(text.substr(0, pos)), part(separator), part(text.substr(pos + separator.size()))});
}

Value join_method(Runtime& rt, const Value& self, const CallArgs& args) {
  const Params p("join", args, {"iterable"}, 1);
  TextBuffer out(rt);
  Cursor cursor(rt, p[0]);
  size_t n = 0;
  for (Value item; cursor.next(&item); ++n) {
    if (n > 0) out.append(self.str());
    if (item.is_undefined()) fail_undefined(item);
    if (!item.is_string()) fail(fmt::format("sequence item {}: expected str instance, {} found", n, type_name(item)));
    out.append(argument_text(rt, self, item));
  }
  return make_string(rt, out.take(), self.text().is_markup);
}

enum class Side { kLeft, kCenter, kRight };
template <Side side>
Value justify_method(Runtime& rt, const Value& self, const CallArgs& args) {
  const Params p("just", args, {"width", "fillchar"}, 1);
  const std::string_view fill = p.string(1, " ");
  if (count_code_points(fill) != 1) fail("The fill character must be exactly one character long");
  const int64_t width = p.integer(0, 0), n_fill = width - length(rt, self);
  if (n_fill <= 0) return self;
  // str.center puts the odd one on the left if the width is odd.
  const int64_t n_left = side == Side::kLeft ? 0 : side == Side::kRight ? n_fill : n_fill / 2 + (n_fill & width & 1);
  TextBuffer out(rt);
  const auto pad = [&](int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      if (i % 64 == 0) rt.step();
      out.append(fill);
    }
  };
  pad(n_left);
  out.append(self.str());
  pad(n_fill - n_left);
  return make_string(rt, out.take(), self.text().is_markup);
}

Value zfill_method(Runtime& rt, const Value& self, const CallArgs& args) {
  const Params p("zfill", args, {"width"}, 1);
  const int64_t n_fill = p.integer(0, 0) - length(rt, self);
  if (n_fill <= 0) return self;
  const std::string_view text = self.str();
  const bool has_sign = !text.empty() && (text[0] == '+' || text[0] == '-');
  TextBuffer out(rt);
  out.append(text.substr(0, has_sign ? 1 : 0));
  out.append_repeated('0', static_cast<size_t>(n_fill));
  out.append(text.substr(has_sign ? 1 : 0));
  return make_string(rt, out.take(), self.text().is_markup);
}

Value expandtabs_method(Runtime& rt, const Value& self, const CallArgs& args) {
  const Params p("expandtabs", args, {"tabsize"});
  const int64_t tab = p.integer(0, 8);
  rt.step_for_scan(self.str().size());
  TextBuffer out(rt);
  int64_t column = 0;
  const std::string_view text = self.str();
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint c = decode_at(text, pos);
    if (c.value == '\t') {
      const int64_t n = tab > 0 ? tab - column % tab : 0;
      out.append_repeated(' ', static_cast<size_t>(n));
      column += n;
    } else {
      out.append(text.substr(pos, c.n_bytes));
      column = c.value == '\n' || c.value == '\r' ? 0 : column + 1;
    }
    pos += c.n_bytes;
  }
  return make_string(rt, out.take(), self.text().is_markup);
}

template <bool prefix>
Value remove_affix(Runtime& rt, const Value& self, const CallArgs& args) {
  const Params p("removeprefix", args, {"affix"}, 1);
  const std::string_view affix = p.string(0, ""), text = self.str();
  if (prefix && text.starts_with(affix)) return like(rt, self, text.substr(affix.size()));
  if (!prefix && text.ends_with(affix)) return like(rt, self, text.substr(0, text.size() - affix.size()));
  return self;
}

Value not_supported(Runtime&, const Value&, const CallArgs&) { fail("this str method is not supported in chat templates"); }

constexpr Method kMethods[] = {
    {"capitalize", mapped<to_capitalized>},
    {"casefold", mapped<to_casefold>},
    {"center", justify_method<Side::kCenter>},
    {"count", count_method},
    {"encode", not_supported},
    {"endswith", starts_or_ends<false>},
    {"expandtabs", expandtabs_method},
    {"find", find_method_body<false>},
    {"format", format_braces},
    {"format_map", not_supported},
    {"index", index_method<false>},
    {"isalnum", all_are<is_alphanumeric>},
    {"isalpha", all_are<is_alphabetic>},
    {"isascii", is_ascii_method},
    {"isdecimal", all_are<is_decimal>},
    {"isdigit", all_are<is_digit>},
    {"isidentifier", is_identifier},
    {"islower", case_is<is_lower>},
    {"isnumeric", all_are<is_numeric>},
    {"isprintable", is_printable_method},
    {"isspace", all_are<is_space>},
    {"istitle", is_title},
    {"isupper", case_is<is_upper>},
    {"join", join_method},
    {"ljust", justify_method<Side::kLeft>},
    {"lower", mapped<to_lower>},
    {"lstrip", strip_method<true, false>},
    {"maketrans", not_supported},
    {"partition", partition_method<false>},
    {"removeprefix", remove_affix<true>},
    {"removesuffix", remove_affix<false>},
    {"replace", replace_method},
    {"rfind", find_method_body<true>},
    {"rindex", index_method<true>},
    {"rjust", justify_method<Side::kRight>},
    {"rpartition", partition_method<true>},
    {"rsplit", split_method<true>},
    {"rstrip", strip_method<false, true>},
    {"split", split_method<false>},
    {"splitlines", splitlines_method},
    {"startswith", starts_or_ends<true>},
    {"strip", strip_method<true, true>},
    {"swapcase", mapped<swap_case>},
    {"title", mapped<to_title>},
    {"translate", not_supported},
    {"upper", mapped<to_upper>},
    {"zfill", zfill_method},
};

}  // namespace

std::span<const Method> string_methods() { return kMethods; }

std::string replace_text(Runtime& rt, std::string_view text, std::string_view old_text, std::string_view new_text, int64_t count) {
  TextBuffer out(rt);
  int64_t n_done = 0;
  const auto more = [&] { return count < 0 || n_done < count; };
  if (old_text.empty()) {  // between all characters, and at both ends
    size_t pos = 0;
    while (more()) {
      rt.step();
      ++n_done;
      out.append(new_text);
      if (pos >= text.size()) return out.take();
      const size_t n = decode_at(text, pos).n_bytes;
      out.append(text.substr(pos, n));
      pos += n;
    }
    out.append(text.substr(pos));
    return out.take();
  }
  size_t pos = 0;
  while (more()) {
    rt.step();
    const size_t hit = find_first(rt, text, old_text, pos);
    if (hit == kNotFound) break;
    out.append(text.substr(pos, hit - pos));
    out.append(new_text);
    pos = hit + old_text.size();
    ++n_done;
  }
  out.append(text.substr(pos));
  return out.take();
}

Value strip_text(Runtime& rt, const Value& self, const Value& chars, bool left, bool right) {
  std::string_view text = self.str();
  if (chars.is_undefined()) fail_undefined(chars);
  if (chars.is_none()) {
    if (left) text = strip_left(text);
    if (right) text = strip_right(text);
  } else {
    if (!chars.is_string()) fail(fmt::format("strip arg must be None or str, not {}", type_name(chars)));
    const std::string_view set = chars.str();
    const auto in_set = [&](std::string_view c) { return find_first(rt, set, c) != kNotFound; };
    while (left && !text.empty()) {
      rt.step();
      const size_t n = decode_at(text, 0).n_bytes;
      if (!in_set(text.substr(0, n))) break;
      text.remove_prefix(n);
    }
    while (right && !text.empty()) {
      rt.step();
      const size_t start = previous_start(text, text.size());
      if (!in_set(text.substr(start))) break;
      text = text.substr(0, start);
    }
  }
  if (text.size() == self.str().size()) return self;
  rt.step_for_scan(self.str().size() - text.size());
  return like(rt, self, text);
}

std::vector<std::string_view> split_lines(Runtime& rt, std::string_view text, bool keep_ends) {
  rt.step_for_scan(text.size() * 2);
  std::vector<std::string_view> lines;
  size_t start = 0;
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint p = decode_at(text, pos);
    size_t next = pos + p.n_bytes;
    if (is_line_break(p.value)) {
      if (p.value == '\r' && next < text.size() && text[next] == '\n') ++next;
      rt.step();
      lines.push_back(text.substr(start, (keep_ends ? next : pos) - start));
      start = next;
    }
    pos = next;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

}  // namespace hanlin::jinja
