// The one door to the JSON library. Json keeps the order of keys as they came: templates and users see what they wrote.
// Headers that only mention Json include base/json_fwd.h.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/json_fwd.h"
#include "base/result.h"

namespace hanlin {

// Parses one JSON document. Errors: kCorrupt with the byte position; nesting deeper than `max_depth` is refused before
// any memory is spent on it (a hostile document cannot exhaust the stack).
Result<Json> parse_json(std::string_view text, int max_depth = 128);

// Compact JSON, UTF-8 as is; invalid UTF-8 becomes U+FFFD instead of an exception.
std::string dump_json(const Json& value);
// The same, indented by `indent` spaces.
std::string dump_json(const Json& value, int indent);

}  // namespace hanlin
