#include <fmt/format.h>

#include <algorithm>

#include "text/chat_template/call_args.h"
#include "text/chat_template/filters.h"
#include "text/chat_template/format_text.h"
#include "text/chat_template/methods.h"
#include "text/chat_template/operators.h"
#include "text/chat_template/printing.h"
#include "text/chat_template/unicode.h"

namespace hanlin::jinja {
namespace {

template <std::string (*map)(std::string_view)>
Value mapped(Runtime& rt, const Value& input, const CallArgs& args) {
  Params("filter", args, {});
  const Value text = soft_str(rt, input);
  rt.step_for_scan(text.str().size() * 2);
  return make_string(rt, map(text.str()), text.text().is_markup);
}

Value call_string_method(Runtime& rt, const Value& input, const CallArgs& args, std::string_view method) {
  return find_method(Kind::kString, method)->call(rt, soft_str(rt, input), args);
}

Value center(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("center", args, {"width"});
  return call_string_method(rt, input, {{Value::integer(p.integer(0, 80))}, {}}, "center");
}

Value escape(Runtime& rt, const Value& input, const CallArgs& args) {
  Params("escape", args, {});
  if (input.is_string() && input.text().is_markup) return input;
  return make_string(rt, escape_html(rt, to_str(rt, input)), true);
}

Value force_escape(Runtime& rt, const Value& input, const CallArgs& args) {
  Params("forceescape", args, {});
  return make_string(rt, escape_html(rt, to_str(rt, input)), true);
}

Value safe(Runtime& rt, const Value& input, const CallArgs& args) {
  Params("safe", args, {});
  return make_string(rt, to_str(rt, input), true);
}

Value string(Runtime& rt, const Value& input, const CallArgs& args) {
  Params("string", args, {});
  return soft_str(rt, input);
}

Value format(Runtime& rt, const Value& input, const CallArgs& args) {
  if (!args.positional.empty() && !args.named.empty()) fail("can't handle positional and keyword arguments at the same time");
  const Value text = soft_str(rt, input);
  if (args.named.empty()) return format_percent(rt, text, make_tuple(rt, args.positional));
  std::vector<Entry> entries;
  for (const auto& [name, value] : args.named) entries.emplace_back(make_string(rt, name), value);
  return format_percent(rt, text, make_dict(rt, std::move(entries)));
}

Value indent(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("indent", args, {"width", "first", "blank"});
  if (input.is_undefined()) fail_undefined(input);
  if (!input.is_string()) fail(fmt::format("unsupported operand type(s) for +=: '{}' and 'str'", type_name(input)));
  std::string width;
  if (p.has(0) && p[0].is_string()) {
    width = p[0].str();
  } else {
    const int64_t n = std::max<int64_t>(p.integer(0, 4), 0);
    TextBuffer spaces(rt);
    spaces.append_repeated(' ', static_cast<size_t>(n));
    width = spaces.take();
  }
  const bool first = p.boolean(1, false), blank = p.boolean(2, false);
  TextBuffer out(rt);
  if (first) out.append(width);
  // One newline is added before splitting, so that a last empty line counts.
  const std::string text = std::string(input.str()) + "\n";
  bool is_first = true;
  for (std::string_view line : split_lines(rt, text, false)) {
    if (!is_first) {
      out.append('\n');
      if (blank || !line.empty()) out.append(width);
    }
    is_first = false;
    out.append(line);
  }
  return make_string(rt, out.take(), input.text().is_markup);
}

Value replace(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("replace", args, {"old", "new", "count"}, 2);
  const int64_t count = p.has_value(2) ? p.integer(2, -1) : -1;
  return make_string(rt, replace_text(rt, to_str(rt, input), to_str(rt, p[0]), to_str(rt, p[1]), count));
}

Value strip_tags(Runtime& rt, const Value& input, const CallArgs& args) {
  Params("striptags", args, {});
  const std::string text = to_str(rt, input);
  rt.step_for_scan(text.size() * 2);
  std::string bare;
  for (size_t pos = 0; pos < text.size();) {
    const bool is_comment = text.compare(pos, 4, "<!--") == 0;
    const size_t end = text[pos] == '<' ? find_first(rt, text, is_comment ? "-->" : ">", pos) : std::string::npos;
    if (end == std::string::npos) bare.push_back(text[pos++]);
    else pos = end + (is_comment ? 3 : 1);
  }
  TextBuffer out(rt);
  for (std::string_view rest = strip_left(bare); !rest.empty(); rest = strip_left(rest)) {
    size_t end = 0;
    while (end < rest.size() && !is_space(decode_at(rest, end).value)) end += decode_at(rest, end).n_bytes;
    if (out.size() > 0) out.append(' ');
    out.append(rest.substr(0, end));
    rest.remove_prefix(end);
  }
  std::string plain = out.take();
  static constexpr std::pair<const char*, const char*> kEntities[] = {
      {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&#34;", "\""}, {"&#39;", "'"}, {"&nbsp;", "\u00a0"}, {"&amp;", "&"}};
  for (const auto& [entity, character] : kEntities) plain = replace_text(rt, plain, entity, character, -1);
  return make_string(rt, std::move(plain));
}

// Upper case behind white space and - ( { [ <, lower case elsewhere: not what str.title does.
Value title(Runtime& rt, const Value& input, const CallArgs& args) {
  Params("title", args, {});
  const Value value = soft_str(rt, input);
  const std::string_view text = value.str();
  rt.step_for_scan(text.size() * 2);
  const auto is_break = [](uint32_t c) { return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<'; };
  TextBuffer out(rt);
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint first = decode_at(text, pos);
    if (is_break(first.value)) {
      out.append(text.substr(pos, first.n_bytes));
      pos += first.n_bytes;
      continue;
    }
    size_t end = pos + first.n_bytes;
    while (end < text.size() && !is_break(decode_at(text, end).value)) end += decode_at(text, end).n_bytes;
    out.append(to_upper(text.substr(pos, first.n_bytes)));
    out.append(to_lower(text.substr(pos + first.n_bytes, end - pos - first.n_bytes)));
    pos = end;
  }
  return make_string(rt, out.take());
}

Value trim(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("trim", args, {"chars"});
  return strip_text(rt, soft_str(rt, input), p.has(0) ? p[0] : Value::none(), true, true);
}

Value truncate(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("truncate", args, {"length", "killwords", "end", "leeway"});
  if (input.is_undefined()) fail_undefined(input);
  if (!input.is_string()) fail(fmt::format("object of type '{}' cannot be truncated", type_name(input)));
  const int64_t n_max = p.integer(0, 255), leeway = p.has_value(3) ? p.integer(3, 5) : 5;
  const std::string_view end = p.string(2, "...");
  const auto n_end = static_cast<int64_t>(count_code_points(end));
  if (n_max < n_end) fail(fmt::format("expected length >= {}, got {}", n_end, n_max));
  if (leeway < 0) fail(fmt::format("expected leeway >= 0, got {}", leeway));
  if (length(rt, input) - leeway <= n_max) return input;
  rt.step_for_scan(input.str().size());
  std::string_view kept = input.str().substr(0, byte_offset(input.str(), static_cast<size_t>(n_max - n_end)));
  if (!p.boolean(1, false)) kept = kept.substr(0, std::min(kept.rfind(' '), kept.size()));
  TextBuffer out(rt);
  out.append(kept);
  out.append(end);
  return make_string(rt, out.take(), input.text().is_markup);
}

void append_quoted(Runtime& rt, const Value& value, bool in_query, TextBuffer& out) {
  const std::string text = to_str(rt, value);
  rt.step_for_scan(text.size());
  for (char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
                          c == '-' || c == '~' || (c == '/' && !in_query);
    if (is_plain) out.append(c);
    else if (c == ' ' && in_query) out.append('+');
    else out.append(fmt::format("%{:02X}", static_cast<unsigned char>(c)));
  }
}

Value url_encode(Runtime& rt, const Value& input, const CallArgs& args) {
  Params("urlencode", args, {});
  TextBuffer out(rt);
  if (input.is_string() || !is_iterable(input)) {
    append_quoted(rt, input, false, out);
    return make_string(rt, out.take());
  }
  const Value pairs = input.is(Kind::kDict) ? make_view(rt, input, View::Part::kItems) : input;
  Cursor cursor(rt, pairs);
  for (Value item; cursor.next(&item);) {
    const std::vector<Value> pair = to_vector(rt, item);
    if (pair.size() != 2) fail("urlencode: expected pairs");
    if (out.size() > 0) out.append('&');
    append_quoted(rt, pair[0], true, out);
    out.append('=');
    append_quoted(rt, pair[1], true, out);
  }
  return make_string(rt, out.take());
}

Value word_count(Runtime& rt, const Value& input, const CallArgs& args) {
  Params("wordcount", args, {});
  const Value value = soft_str(rt, input);
  const std::string_view text = value.str();
  rt.step_for_scan(text.size() * 2);
  int64_t n = 0;
  bool in_word = false;
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint p = decode_at(text, pos);
    const bool is_word = p.value == '_' || is_alphanumeric(p.value);
    if (is_word && !in_word) ++n;
    in_word = is_word;
    pos += p.n_bytes;
  }
  return Value::integer(n);
}

// json.dumps as transformers calls it: no ASCII escapes, nothing escaped for HTML.
Value to_json(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii_only = p.boolean(0, false);
  style.sort_keys = p.boolean(3, false);
  if (p.has_value(1)) {
    style.item_separator = ",";
    if (p[1].is_string()) {
      style.indent = std::string(p[1].str());
    } else {
      TextBuffer spaces(rt);
      spaces.append_repeated(' ', static_cast<size_t>(std::max<int64_t>(p.integer(1, 0), 0)));
      style.indent = spaces.take();
    }
  }
  if (p.has_value(2)) {
    const std::vector<Value> separators = to_vector(rt, p[2]);
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string()) fail("tojson: expected two strings as separators");
    style.item_separator = separators[0].str();
    style.key_separator = separators[1].str();
  }
  TextBuffer out(rt);
  append_json(rt, input, style, out);
  return make_string(rt, out.take());
}

constexpr Filter kTextFilters[] = {
    {"capitalize", mapped<to_capitalized>},
    {"center", center},
    {"e", escape},
    {"escape", escape},
    {"forceescape", force_escape},
    {"format", format},
    {"indent", indent},
    {"lower", mapped<to_lower>},
    {"replace", replace},
    {"safe", safe},
    {"string", string},
    {"striptags", strip_tags},
    {"title", title},
    {"tojson", to_json},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", mapped<to_upper>},
    {"urlencode", url_encode},
    {"wordcount", word_count},
};

}  // namespace

std::span<const Filter> text_filters() { return kTextFilters; }

const Filter* find_filter(std::string_view name) {
  for (const std::span<const Filter> table : {text_filters(), sequence_filters(), select_filters(), number_filters()}) {
    for (const Filter& filter : table) {
      if (filter.name == name) return &filter;
    }
  }
  return nullptr;
}

}  // namespace hanlin::jinja
