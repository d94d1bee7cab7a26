// The tests of {{ value is test(arguments) }}.
#pragma once

#include <string_view>

#include "text/chat_template/value.h"

namespace hanlin::jinja {

struct Check {
  std::string_view name;
  bool (*holds)(Runtime& rt, const Value& value, const CallArgs& args);
};

const Check* find_check(std::string_view name);  // nullptr if there is none

}  // namespace hanlin::jinja
