#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>

#include "base/json.h"

namespace hanlin {
namespace {

std::atomic<LogFormat> g_format{LogFormat::kText};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
    case LogLevel::kOff: return spdlog::level::off;
  }
  return spdlog::level::info;
}

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto log = spdlog::stderr_color_mt("hanlin");
    log->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
    return log;
  }();
  return *instance;
}

void write(LogLevel level, std::string_view message) {
  if (g_format.load(std::memory_order_relaxed) == LogFormat::kJson) {
    log_event(level, message, "{}");
  } else {
    logger().log(to_spdlog(level), "{}", message);
  }
}

}  // namespace

void configure_logging(LogLevel level, LogFormat format) {
  g_format = format;
  logger().set_level(to_spdlog(level));
  logger().set_pattern(format == LogFormat::kJson ? "%v" : "%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
}

bool parse_log_level(std::string_view name, LogLevel* level) {
  static constexpr std::pair<std::string_view, LogLevel> kNames[] = {{"debug", LogLevel::kDebug}, {"info", LogLevel::kInfo},
      {"warning", LogLevel::kWarning}, {"error", LogLevel::kError}, {"off", LogLevel::kOff}};
  for (const auto& [key, value] : kNames) {
    if (key == name) {
      *level = value;
      return true;
    }
  }
  return false;
}

void log_debug(std::string_view message) { write(LogLevel::kDebug, message); }
void log_info(std::string_view message) { write(LogLevel::kInfo, message); }
void log_warning(std::string_view message) { write(LogLevel::kWarning, message); }
void log_error(std::string_view message) { write(LogLevel::kError, message); }

void log_event(LogLevel level, std::string_view message, std::string_view fields_json) {
  const auto spd_level = to_spdlog(level);
  if (!logger().should_log(spd_level)) return;
  const Json fields = Json::parse(fields_json, nullptr, false);
  if (g_format.load(std::memory_order_relaxed) == LogFormat::kJson) {
    const auto now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    Json line = {{"time", now}, {"level", spdlog::level::to_string_view(spd_level).data()}, {"message", message}};
    if (fields.is_object()) line.update(fields);
    logger().log(spd_level, "{}", dump_json(line));
    return;
  }
  std::string text(message);
  for (const auto& [key, value] : fields.items()) text += fmt::format(" {}={}", key, value.is_string() ? value.get<std::string>() : dump_json(value));
  logger().log(spd_level, "{}", text);
}

}  // namespace hanlin
