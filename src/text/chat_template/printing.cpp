#include "text/chat_template/printing.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/chat_template/merge_sort.h"
#include "text/chat_template/operators.h"
#include "text/chat_template/unicode.h"

namespace hanlin::jinja {
namespace {

void append_items(Runtime& rt, const std::vector<Value>& items, TextBuffer& out) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append(", ");
    append_repr(rt, items[i], out);
  }
}

void append_tuple(Runtime& rt, const std::vector<Value>& items, TextBuffer& out) {
  out.append('(');
  append_items(rt, items, out);
  out.append(items.size() == 1 ? ",)" : ")");
}

void append_view(Runtime& rt, const View& view, TextBuffer& out) {
  static constexpr const char* kNames[] = {"dict_keys", "dict_values", "dict_items"};
  out.append(kNames[static_cast<int>(view.part)]);
  out.append("([");
  bool is_first = true;
  for (const auto& [key, value] : view.dict.dict().entries) {
    if (!is_first) out.append(", ");
    is_first = false;
    switch (view.part) {
      case View::Part::kKeys: append_repr(rt, key, out); break;
      case View::Part::kValues: append_repr(rt, value, out); break;
      case View::Part::kItems: append_tuple(rt, {key, value}, out); break;
    }
  }
  out.append("])");
}

class JsonWriter {
 public:
  JsonWriter(Runtime& rt, const JsonStyle& style, TextBuffer& out) : rt_(rt), style_(style), out_(out) {}

  void write(const Value& value) {
    rt_.step();
    switch (value.kind()) {
      case Kind::kNone: return out_.append("null");
      case Kind::kBool: return out_.append(value.as_bool() ? "true" : "false");
      case Kind::kInt: return out_.append(fmt::format("{}", value.as_int()));
      case Kind::kFloat: return out_.append(json_float(value.as_real()));
      case Kind::kString: return write_string(value.str());
      case Kind::kList:
      case Kind::kTuple: return write_list(value.items());
      case Kind::kDict: return write_dict(value.dict());
      default: fail(fmt::format("Object of type {} is not JSON serializable", type_name(value)));
    }
  }

 private:
  static std::string json_float(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return float_repr(value);
  }

  void new_line() {
    if (!style_.indent) return;
    out_.append('\n');
    for (int i = 0; i < level_; ++i) out_.append(*style_.indent);
  }

  void write_list(const std::vector<Value>& items) {
    if (items.empty()) return out_.append("[]");
    out_.append('[');
    ++level_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_.append(style_.item_separator);
      new_line();
      write(items[i]);
    }
    --level_;
    new_line();
    out_.append(']');
  }

  void write_dict(const Dict& dict) {
    if (dict.entries.empty()) return out_.append("{}");
    std::vector<const Entry*> order;
    order.reserve(dict.entries.size());
    for (const Entry& entry : dict.entries) order.push_back(&entry);
    if (style_.sort_keys) {
      merge_sort(&order, [&](const Entry* a, const Entry* b) {
        rt_.step();
        return less_than(rt_, a->first, b->first);
      });
    }
    out_.append('{');
    ++level_;
    for (size_t i = 0; i < order.size(); ++i) {
      if (i > 0) out_.append(style_.item_separator);
      new_line();
      write_key(order[i]->first);
      out_.append(style_.key_separator);
      write(order[i]->second);
    }
    --level_;
    new_line();
    out_.append('}');
  }

  void write_key(const Value& key) {
    switch (key.kind()) {
      case Kind::kString: return write_string(key.str());
      case Kind::kNone: return out_.append("\"null\"");
      case Kind::kBool: return out_.append(key.as_bool() ? "\"true\"" : "\"false\"");
      case Kind::kInt: return out_.append(fmt::format("\"{}\"", key.as_int()));
      case Kind::kFloat: return out_.append(fmt::format("\"{}\"", json_float(key.as_real())));
      default: fail(fmt::format("keys must be str, int, float, bool or None, not {}", type_name(key)));
    }
  }

  void write_string(std::string_view text) {
    rt_.step_for_scan(text.size());
    out_.append('"');
    size_t start = 0;
    for (size_t pos = 0; pos < text.size();) {
      const auto byte = static_cast<unsigned char>(text[pos]);
      const bool is_special = byte < 0x20 || byte == '"' || byte == '\\' || (style_.ascii_only && byte >= 0x80);
      if (!is_special) {
        ++pos;
        continue;
      }
      out_.append(text.substr(start, pos - start));
      const CodePoint p = decode_at(text, pos);
      write_escape(p.value);
      pos += p.n_bytes;
      start = pos;
    }
    out_.append(text.substr(start));
    out_.append('"');
  }

  void write_escape(uint32_t c) {
    switch (c) {
      case '"': return out_.append("\\\"");
      case '\\': return out_.append("\\\\");
      case '\n': return out_.append("\\n");
      case '\r': return out_.append("\\r");
      case '\t': return out_.append("\\t");
      case '\f': return out_.append("\\f");
      case '\b': return out_.append("\\b");
      default: break;
    }
    if (c < 0x10000) return out_.append(fmt::format("\\u{:04x}", c));
    out_.append(fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((c - 0x10000) >> 10), 0xDC00 + ((c - 0x10000) & 0x3FF)));
  }

  Runtime& rt_;
  const JsonStyle& style_;
  TextBuffer& out_;
  int level_ = 0;
};

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  // "-d.ddde±xx": Python writes the exponent only below 1e-4 and from 1e16 on.
  const size_t e = text.find('e');
  const int exponent = std::stoi(std::string(text.substr(e + 1)));
  const bool is_negative = text[0] == '-';
  std::string digits;
  for (char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits.push_back(c);
  }
  std::string out = is_negative ? "-" : "";
  const int n_digits = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (n_digits > 1) out += "." + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (exponent >= n_digits - 1) return out + digits + std::string(static_cast<size_t>(exponent - n_digits + 1), '0') + ".0";
  return out + digits.substr(0, static_cast<size_t>(exponent) + 1) + "." + digits.substr(static_cast<size_t>(exponent) + 1);
}

void append_string_repr(Runtime& rt, std::string_view text, TextBuffer& out) {
  rt.step_for_scan(text.size());
  const bool use_double = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = use_double ? '"' : '\'';
  out.append(quote);
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint p = decode_at(text, pos);
    const uint32_t c = p.value;
    if (c == static_cast<uint32_t>(quote) || c == '\\') {
      out.append('\\');
      out.append(static_cast<char>(c));
    } else if (c == '\n') {
      out.append("\\n");
    } else if (c == '\r') {
      out.append("\\r");
    } else if (c == '\t') {
      out.append("\\t");
    } else if (is_printable(c)) {
      out.append(text.substr(pos, p.n_bytes));
    } else if (c < 0x100) {
      out.append(fmt::format("\\x{:02x}", c));
    } else if (c < 0x10000) {
      out.append(fmt::format("\\u{:04x}", c));
    } else {
      out.append(fmt::format("\\U{:08x}", c));
    }
    pos += p.n_bytes;
  }
  out.append(quote);
}

void append_repr(Runtime& rt, const Value& value, TextBuffer& out) {
  rt.step();
  switch (value.kind()) {
    case Kind::kUndefined: return out.append("Undefined");
    case Kind::kNone: return out.append("None");
    case Kind::kBool: return out.append(value.as_bool() ? "True" : "False");
    case Kind::kInt: return out.append(fmt::format("{}", value.as_int()));
    case Kind::kFloat: return out.append(float_repr(value.as_real()));
    case Kind::kString:
      if (value.text().is_markup) out.append("Markup(");
      append_string_repr(rt, value.str(), out);
      if (value.text().is_markup) out.append(')');
      return;
    case Kind::kList:
      out.append('[');
      append_items(rt, value.items(), out);
      return out.append(']');
    case Kind::kTuple: return append_tuple(rt, value.items(), out);
    case Kind::kDict: {
      out.append('{');
      bool is_first = true;
      for (const auto& [key, item] : value.dict().entries) {
        if (!is_first) out.append(", ");
        is_first = false;
        append_repr(rt, key, out);
        out.append(": ");
        append_repr(rt, item, out);
      }
      return out.append('}');
    }
    case Kind::kRange: {
      const Range& range = value.range();
      out.append(fmt::format("range({}, {}", range.start, range.stop));
      if (range.step != 1) out.append(fmt::format(", {}", range.step));
      return out.append(')');
    }
    case Kind::kView: return append_view(rt, value.view(), out);
    case Kind::kIterator: return out.append(fmt::format("<{} object>", type_name(value)));
    case Kind::kObject: return value.custom().print(rt, out);
  }
}

void append_str(Runtime& rt, const Value& value, TextBuffer& out) {
  if (value.is_undefined()) return;
  if (value.is_string()) return out.append(value.str());
  append_repr(rt, value, out);
}

std::string to_str(Runtime& rt, const Value& value) {
  TextBuffer out(rt);
  append_str(rt, value, out);
  return out.take();
}

std::string to_repr(Runtime& rt, const Value& value) {
  TextBuffer out(rt);
  append_repr(rt, value, out);
  return out.take();
}

Value soft_str(Runtime& rt, const Value& value) { return value.is_string() ? value : make_string(rt, to_str(rt, value)); }

void append_json(Runtime& rt, const Value& value, const JsonStyle& style, TextBuffer& out) {
  JsonWriter(rt, style, out).write(value);
}

std::string escape_html(Runtime& rt, std::string_view text) {
  rt.step_for_scan(text.size());
  TextBuffer out(rt);
  for (char c : text) {
    switch (c) {
      case '&': out.append("&amp;"); break;
      case '<': out.append("&lt;"); break;
      case '>': out.append("&gt;"); break;
      case '"': out.append("&#34;"); break;
      case '\'': out.append("&#39;"); break;
      default: out.append(c);
    }
  }
  return out.take();
}

}  // namespace hanlin::jinja
