// The filters of {{ value | filter(arguments) }}.
#pragma once

#include <span>
#include <string_view>

#include "text/chat_template/value.h"

namespace hanlin::jinja {

struct Filter {
  std::string_view name;
  Value (*apply)(Runtime& rt, const Value& input, const CallArgs& args);
};

const Filter* find_filter(std::string_view name);  // nullptr if there is none

std::span<const Filter> text_filters();      // text_filters.cpp
std::span<const Filter> sequence_filters();  // sequence_filters.cpp
std::span<const Filter> number_filters();    // number_filters.cpp
std::span<const Filter> select_filters();    // select_filters.cpp

}  // namespace hanlin::jinja
