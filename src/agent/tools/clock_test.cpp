#include "agent/tools/clock.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace hanlin::agent {
namespace {

TEST(Clock, KnowsZonesAndSummerTime) {
  EXPECT_EQ(time_text(0, "UTC").value(), "1970-01-01T00:00:00+00:00, Thursday, UTC (UTC+00:00), Unix time 0");
  EXPECT_EQ(time_text(1785202200, "Asia/Shanghai").value(), "2026-07-28T09:30:00+08:00, Tuesday, Asia/Shanghai (UTC+08:00), Unix time 1785202200");
  EXPECT_EQ(time_text(1785202200, "Europe/Berlin").value(), "2026-07-28T03:30:00+02:00, Tuesday, Europe/Berlin (UTC+02:00), Unix time 1785202200");
  EXPECT_EQ(time_text(1768440600, "Europe/Berlin").value(), "2026-01-15T02:30:00+01:00, Thursday, Europe/Berlin (UTC+01:00), Unix time 1768440600");
  EXPECT_EQ(time_text(1768440600, "America/St_Johns").value().substr(0, 25), "2026-01-14T22:00:00-03:30");
  EXPECT_EQ(time_text(1768440600, "UTC+8").value().substr(0, 25), "2026-01-15T09:30:00+08:00");
}

TEST(Clock, RefusesUnknownZones) {
  EXPECT_EQ(time_text(0, "Mars/Olympus").error().code, Code::kInvalidArgument);
  EXPECT_FALSE(make_clock("nowhere").ok());
}

TEST(Clock, IsATool) {
  const auto clock = make_clock("Asia/Shanghai").value();
  EXPECT_NE(clock->run(Json::object(), {}).value().find("Asia/Shanghai (UTC+08:00)"), std::string::npos);
  EXPECT_NE(clock->run(Json{{"timezone", "UTC"}}, {}).value().find("UTC (UTC+00:00)"), std::string::npos);
}

}  // namespace
}  // namespace hanlin::agent
