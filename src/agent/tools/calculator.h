// Arithmetic for models, exact where it can be: a grammar of its own, nothing is evaluated by any other program.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "agent/runnable_tool.h"

namespace hanlin::agent {

// The value of `expression` as text: an exact integer or decimal ("0.3"), or "≈ …" with 30 digits where the value has no
// finite decimal form ("≈ 0.333… (exactly 1/3)"). Work is bounded: numbers of more than 10,000 digits are refused.
// Errors: kInvalidArgument (with the position; a division by zero; a function outside of its domain), kResourceExhausted
// (a number too large), and those of check_time. Any thread.
Result<std::string> calculate(std::string_view expression, const ToolContext& context = {});

// The tool "calculator".
std::shared_ptr<RunnableTool> make_calculator();

}  // namespace hanlin::agent
