// Python's two ways to format text: "%d items" % n and "{:>8}".format(x).
#pragma once

#include <string_view>

#include "text/chat_template/value.h"

namespace hanlin::jinja {

// `args` is a tuple, a dict (for %(name)s) or a single value.
Value format_percent(Runtime& rt, const Value& format, const Value& args);
Value format_braces(Runtime& rt, const Value& format, const CallArgs& args);

}  // namespace hanlin::jinja
