#include "app/progress.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace hanlin::app {
namespace {

using Kind = hub::PullEvent::Kind;

struct Recorder {
  std::string text;
  std::chrono::steady_clock::time_point now{};
  PullProgress progress;
  explicit Recorder(ProgressStyle style) : progress(style, "m", [this](const std::string& s) { text += s; }, [this] { return now; }) {}
  void at(int ms, int64_t n_done) {
    now = std::chrono::steady_clock::time_point(std::chrono::milliseconds(ms));
    progress.on_event({Kind::kProgress, "", "f", n_done, 100'000'000});
  }
};

TEST(Progress, TextHasBytesSpeedAndTimeLeft) {
  EXPECT_EQ(progress_text(25'000'000, 100'000'000, 5e6), "25.0 of 100.0 MB (25 %), 5.0 MB/s, 15 s left");
  EXPECT_EQ(progress_text(0, 100'000'000, 0), "0.0 of 100.0 MB (0 %)");
  EXPECT_EQ(progress_text(1'000'000, 0, 1e6), "1.0 MB, 1.0 MB/s");
  EXPECT_EQ(duration_text(59.4), "59 s");
  EXPECT_EQ(duration_text(200), "3 min 20 s");
  EXPECT_EQ(duration_text(3720), "1 h 2 min");
}

TEST(Progress, LinesComeEveryFewSeconds) {
  Recorder recorder(ProgressStyle::kLines);
  for (int ms = 0; ms <= 9000; ms += 100) recorder.at(ms, ms * 1000);
  EXPECT_EQ(recorder.text, "  m: 0.0 of 100.0 MB (0 %)\n  m: 5.0 of 100.0 MB (5 %), 1.0 MB/s, 1 min 35 s left\n");
}

TEST(Progress, SpeedDoesNotCountWhatWasThereBefore) {
  Recorder recorder(ProgressStyle::kLines);
  recorder.at(0, 50'000'000);
  recorder.at(10'000, 60'000'000);
  EXPECT_NE(recorder.text.find("60.0 of 100.0 MB (60 %), 1.0 MB/s, 40 s left"), std::string::npos) << recorder.text;
}

TEST(Progress, BarIsRedrawnAndClosed) {
  Recorder recorder(ProgressStyle::kBar);
  recorder.at(0, 0);
  recorder.at(1000, 50'000'000);
  recorder.progress.on_event({Kind::kVerified, "", "f"});
  recorder.progress.finish();
  EXPECT_NE(recorder.text.find("\r  [############            ] 50.0 of 100.0 MB (50 %), 50.0 MB/s, 1 s left\33[K"), std::string::npos);
  EXPECT_TRUE(recorder.text.ends_with("\r\33[K  verified f\n"));
}

TEST(Progress, JsonLinesParse) {
  Recorder recorder(ProgressStyle::kJson);
  recorder.at(0, 5);
  recorder.progress.on_event({Kind::kNote, "waiting \"x\""});
  const size_t newline = recorder.text.find('\n');
  EXPECT_EQ(parse_json(recorder.text.substr(0, newline))->at("done_bytes"), 5);
  EXPECT_EQ(parse_json(recorder.text.substr(newline + 1))->at("text"), "waiting \"x\"");
}

TEST(Progress, QuietSaysNothing) {
  Recorder recorder(ProgressStyle::kQuiet);
  recorder.at(0, 5);
  recorder.progress.on_event({Kind::kVerified, "", "f"});
  EXPECT_EQ(recorder.text, "");
}

}  // namespace
}  // namespace hanlin::app
