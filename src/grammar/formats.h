// The `format`s of JSON Schema that are enforced.
#pragma once

#include <string_view>

namespace hanlin::grammar {

// A regular expression for whole texts of that format, or null if the format is not known here (then it is a comment, as
// the standard says of unknown formats). Every text that matches has the format; some rare texts of the format do not
// match (a leap second, quoted e-mail names).
const char* format_regex(std::string_view name);
// Whether the expression is the format, no more and no less.
bool format_is_exact(std::string_view name);

}  // namespace hanlin::grammar
