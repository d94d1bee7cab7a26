// Shows the events of a pull on stderr: a bar that is redrawn on a terminal, a line every few seconds elsewhere, or JSON lines
// on stdout.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "hub/pull.h"

namespace hanlin::app {

enum class ProgressStyle { kBar, kLines, kJson, kQuiet };

// One pull. Not thread-safe.
class PullProgress {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;
  using Writer = std::function<void(const std::string&)>;
  PullProgress(ProgressStyle style, std::string model, Writer write, Clock clock = &std::chrono::steady_clock::now);

  void on_event(const hub::PullEvent& event);
  void finish();  // ends a bar's line

 private:
  void show_progress(const hub::PullEvent& event);
  void line(const std::string& text);

  ProgressStyle style_;
  std::string model_;
  Writer write_;
  Clock clock_;
  std::chrono::steady_clock::time_point started_{}, shown_{};
  int64_t n_at_start_ = -1;  // bytes that were there before this pull
  bool bar_open_ = false;
};

// "123.4 of 491.4 MB (25 %), 12.3 MB/s, 30 s left". Speed and time are left out while they are unknown.
std::string progress_text(int64_t n_done, int64_t n_total, double bytes_per_s);
// "1 h 2 min", "3 min 20 s", "5 s".
std::string duration_text(double seconds);

}  // namespace hanlin::app
