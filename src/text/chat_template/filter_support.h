// What several filters share.
#pragma once

#include <optional>
#include <vector>

#include "text/chat_template/call_args.h"
#include "text/chat_template/value.h"

namespace hanlin::jinja {

// Reads an attribute path like "function.name" or "0.id" off a value, as make_attrgetter does.
class AttributePath {
 public:
  AttributePath(Runtime& rt, const Value& attribute);
  // `fallback` replaces what is undefined on the way.
  Value read(Runtime& rt, Value item, const std::optional<Value>& fallback = std::nullopt) const;

 private:
  std::vector<Value> parts_;
};

// Strings in lower case, everything else unchanged: the key of case-insensitive sorting.
Value ignore_case(Runtime& rt, const Value& value);
Value iterate_over(Runtime& rt, std::vector<Value> items, const char* type_name = "generator");

}  // namespace hanlin::jinja
