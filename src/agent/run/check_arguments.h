// Whether a call's arguments follow the tool's JSON Schema.
#pragma once

#include <string>

#include "base/json_fwd.h"
#include "base/result.h"

namespace hanlin::agent {

// kInvalidArgument, written for the model: which value is wrong, and why. Patterns and formats are left to the tool: their
// languages differ, and a hostile one can take for ever. A schema that cannot be read checks nothing.
Status check_arguments(const std::string& schema_json, const Json& arguments);

}  // namespace hanlin::agent
