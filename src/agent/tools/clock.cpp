#include "agent/tools/clock.h"

#include <fmt/format.h>
#include <unicode/gregocal.h>
#include <unicode/timezone.h>

#include <chrono>
#include <cstdlib>

#include "agent/tools/arguments.h"

namespace hanlin::agent {
namespace {

// ICU knows "GMT+8", not "UTC+8".
std::string icu_name(std::string_view zone) {
  if (zone.starts_with("UTC+") || zone.starts_with("UTC-")) return "GMT" + std::string(zone.substr(3));
  return std::string(zone);
}

Result<std::unique_ptr<icu::TimeZone>> find_zone(std::string_view name) {
  std::unique_ptr<icu::TimeZone> zone(icu::TimeZone::createTimeZone(icu::UnicodeString::fromUTF8(icu_name(name))));
  if (zone == nullptr || *zone == icu::TimeZone::getUnknown()) {
    return Error{Code::kInvalidArgument,
                 fmt::format("clock: there is no time zone \"{}\"; expected a name such as Asia/Shanghai or an offset such as UTC+8", name), "timezone"};
  }
  return zone;
}

struct ClockArgs {
  std::string timezone;
  void fields(ArgumentList& list) { list.add("timezone", &timezone, "IANA name such as Asia/Shanghai, or UTC+8"); }
};

class Clock final : public TypedTool<ClockArgs> {
 public:
  explicit Clock(std::string default_zone)
      : TypedTool("clock", "Tells the present date, time and weekday in a time zone (" + default_zone + " if none is given)."),
        default_zone_(std::move(default_zone)) {}

 protected:
  Result<std::string> call(const ClockArgs& args, const ToolContext&) override {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return time_text(std::chrono::duration_cast<std::chrono::seconds>(now).count(), args.timezone.empty() ? default_zone_ : args.timezone);
  }

 private:
  const std::string default_zone_;
};

}  // namespace

Result<std::string> time_text(int64_t unix_seconds, std::string_view zone_name) {
  static constexpr const char* kDays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
  HANLIN_ASSIGN(const auto zone, find_zone(zone_name));
  UErrorCode status = U_ZERO_ERROR;
  int32_t standard_ms = 0, summer_ms = 0;
  zone->getOffset(static_cast<double>(unix_seconds) * 1000.0, false, standard_ms, summer_ms, status);
  icu::GregorianCalendar calendar(*zone, status);
  calendar.setGregorianChange(-1e18, status);  // one calendar for all times
  calendar.setTime(static_cast<double>(unix_seconds) * 1000.0, status);
  const auto part = [&](UCalendarDateFields field) { return calendar.get(field, status); };
  const int offset_s = (standard_ms + summer_ms) / 1000;
  const std::string offset = fmt::format("{}{:02}:{:02}", offset_s < 0 ? '-' : '+', std::abs(offset_s) / 3600, std::abs(offset_s) / 60 % 60);
  const std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}, {}, {} (UTC{}), Unix time {}", part(UCAL_YEAR), part(UCAL_MONTH) + 1,
                                       part(UCAL_DATE), part(UCAL_HOUR_OF_DAY), part(UCAL_MINUTE), part(UCAL_SECOND), offset,
                                       kDays[part(UCAL_DAY_OF_WEEK) - 1], zone_name, offset, unix_seconds);
  if (U_FAILURE(status)) return Error{Code::kInternal, fmt::format("clock: {}", u_errorName(status))};
  return text;
}

Result<std::shared_ptr<RunnableTool>> make_clock(const std::string& default_zone) {
  const std::string zone = default_zone.empty() ? "UTC" : default_zone;
  HANLIN_TRY(find_zone(zone));
  return std::shared_ptr<RunnableTool>(std::make_shared<Clock>(zone));
}

}  // namespace hanlin::agent
