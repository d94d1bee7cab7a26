#include "base/json.h"

#include <fmt/format.h>

namespace hanlin {
namespace {

// Depth of the deepest bracket, without parsing: brackets inside strings do not count.
int nesting_depth(std::string_view text) {
  int depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      else if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Result<Json> parse_json(std::string_view text, int max_depth) {
  if (const int depth = nesting_depth(text); depth > max_depth) {
    return Error{Code::kCorrupt, fmt::format("JSON: expected at most {} levels of nesting, got {}", max_depth, depth)};
  }
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::exception& e) {
    std::string what = e.what();
    // The library prefixes its messages with "[json.exception.parse_error.101] ": nothing a user needs.
    if (const size_t end = what.find("] "); end != std::string::npos) what = what.substr(end + 2);
    return Error{Code::kCorrupt, "JSON: " + what};
  }
}

std::string dump_json(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }
std::string dump_json(const Json& value, int indent) { return value.dump(indent, ' ', false, Json::error_handler_t::replace); }

}  // namespace hanlin
