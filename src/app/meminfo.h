// The machine's memory, as Linux reports it.
#pragma once

#include <cstdint>
#include <string>

namespace hanlin::app {

// The line `key` ("MemAvailable", "MemTotal") of /proc/meminfo in bytes; 0 if the system does not say.
int64_t meminfo_bytes(const std::string& key);

}  // namespace hanlin::app
