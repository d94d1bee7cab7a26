// The one door to the TOML library.
#pragma once

#include <string>

#include "base/json_fwd.h"
#include "base/result.h"

namespace hanlin::app {

// Reads a TOML file as JSON (dates become strings). Errors: kNotFound, kIo; kCorrupt with file, line and column.
Result<Json> read_toml(const std::string& path);

}  // namespace hanlin::app
