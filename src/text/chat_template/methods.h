// Methods of Python's built-in types.
#pragma once

#include <span>
#include <string_view>

#include "text/chat_template/value.h"

namespace hanlin::jinja {

struct Method {
  std::string_view name;
  Value (*call)(Runtime& rt, const Value& self, const CallArgs& args);
  bool is_unsafe = false;  // changes its object: the sandbox makes it undefined
};

// nullptr if the type has no such method.
const Method* find_method(Kind kind, std::string_view name);

std::span<const Method> string_methods();  // string_methods.cpp

// s.replace(old, new, count) without markup rules; count < 0 for all.
std::string replace_text(Runtime& rt, std::string_view text, std::string_view old_text, std::string_view new_text, int64_t count);
// s.strip(chars): characters of `chars` (None: white space) off the chosen ends.
Value strip_text(Runtime& rt, const Value& self, const Value& chars, bool left, bool right);
std::vector<std::string_view> split_lines(Runtime& rt, std::string_view text, bool keep_ends);

}  // namespace hanlin::jinja
