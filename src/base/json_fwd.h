#pragma once

#include <nlohmann/json_fwd.hpp>

namespace hanlin {
using Json = nlohmann::ordered_json;
}  // namespace hanlin
