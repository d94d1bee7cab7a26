// The tool "clock": what time it is, in any time zone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "agent/runnable_tool.h"

namespace hanlin::agent {

// "2026-07-28T09:30:00+08:00, Tuesday, Asia/Shanghai (UTC+08:00), Unix time 1785202200". `zone` is an IANA name or an
// offset such as "UTC+8". kInvalidArgument: no such zone. Any thread.
Result<std::string> time_text(int64_t unix_seconds, std::string_view zone);

// `default_zone`: used when the call names none; empty is UTC. kInvalidArgument: no such zone.
Result<std::shared_ptr<RunnableTool>> make_clock(const std::string& default_zone);

}  // namespace hanlin::agent
