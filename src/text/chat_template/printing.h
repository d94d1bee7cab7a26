// Values as text: str(), repr() and json.dumps() of Python.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/chat_template/value.h"

namespace hanlin::jinja {

std::string float_repr(double value);  // shortest text that reads back the same: 1.0, 1e+16, nan
void append_string_repr(Runtime& rt, std::string_view text, TextBuffer& out);
void append_repr(Runtime& rt, const Value& value, TextBuffer& out);
void append_str(Runtime& rt, const Value& value, TextBuffer& out);  // what {{ value }} prints
std::string to_str(Runtime& rt, const Value& value);
std::string to_repr(Runtime& rt, const Value& value);
// str(value) as a value: strings pass through unchanged, markup included.
Value soft_str(Runtime& rt, const Value& value);

struct JsonStyle {
  bool ascii_only = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // one level's worth; unset: everything on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
void append_json(Runtime& rt, const Value& value, const JsonStyle& style, TextBuffer& out);

// & < > " ' as HTML entities, as markupsafe writes them.
std::string escape_html(Runtime& rt, std::string_view text);

}  // namespace hanlin::jinja
