// Logging: one compiled spdlog logger behind four functions, so that no header of ours pulls spdlog in.
#pragma once

#include <string>
#include <string_view>

namespace hanlin {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat { kText, kJson };

// Sets level and format for the whole program; called once from wire.cpp, before threads start. Lines go to stderr.
void configure_logging(LogLevel level, LogFormat format);
bool parse_log_level(std::string_view name, LogLevel* level);  // debug, info, warning, error, off

// One line each. Any thread. Callers format with fmt::format; secrets and prompt texts never belong here.
void log_debug(std::string_view message);
void log_info(std::string_view message);
void log_warning(std::string_view message);
void log_error(std::string_view message);

// A structured line: `fields_json` is a JSON object. In text format it is printed as key=value pairs after `message`.
void log_event(LogLevel level, std::string_view message, std::string_view fields_json);

}  // namespace hanlin
