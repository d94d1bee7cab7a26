#include "app/progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"

namespace hanlin::app {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::chrono::seconds kLineEvery{5};
constexpr int kBarWidth = 24;

const char* kind_name(hub::PullEvent::Kind kind) {
  switch (kind) {
    case hub::PullEvent::Kind::kNote: return "note";
    case hub::PullEvent::Kind::kProgress: return "progress";
    case hub::PullEvent::Kind::kVerified: return "verified";
  }
  return "?";
}

}  // namespace

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::max(0.0, seconds) + 0.5);
  if (whole >= 3600) return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
  if (whole >= 60) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} s", whole);
}

std::string progress_text(int64_t n_done, int64_t n_total, double bytes_per_s) {
  const double done_mb = static_cast<double>(n_done) / 1e6, total_mb = static_cast<double>(n_total) / 1e6;
  std::string text = n_total > 0 ? fmt::format("{:.1f} of {:.1f} MB ({} %)", done_mb, total_mb, n_done * 100 / n_total) : fmt::format("{:.1f} MB", done_mb);
  if (bytes_per_s > 0) {
    text += fmt::format(", {:.1f} MB/s", bytes_per_s / 1e6);
    if (n_total > n_done) text += fmt::format(", {} left", duration_text(static_cast<double>(n_total - n_done) / bytes_per_s));
  }
  return text;
}

PullProgress::PullProgress(ProgressStyle style, std::string model, Writer write, Clock clock)
    : style_(style), model_(std::move(model)), write_(std::move(write)), clock_(std::move(clock)) {}

void PullProgress::line(const std::string& text) {
  // \33[K clears what is left of the bar.
  write_((bar_open_ ? "\r\33[K" : "") + text + "\n");
  bar_open_ = false;
}

void PullProgress::on_event(const hub::PullEvent& event) {
  if (event.kind == hub::PullEvent::Kind::kProgress) {
    show_progress(event);
  } else if (style_ == ProgressStyle::kJson) {
    line(dump_json(Json{{"event", kind_name(event.kind)}, {"model", model_}, {"file", event.file}, {"text", event.text}}));
  } else if (style_ != ProgressStyle::kQuiet) {
    line(event.kind == hub::PullEvent::Kind::kNote ? fmt::format("  {}", event.text) : fmt::format("  verified {}", event.file));
  }
}

void PullProgress::show_progress(const hub::PullEvent& event) {
  const auto now = clock_();
  if (n_at_start_ < 0) {
    n_at_start_ = event.n_done;
    started_ = now;
    shown_ = now - kLineEvery;
  }
  const auto interval = style_ == ProgressStyle::kBar ? std::chrono::milliseconds(kRedraw) : std::chrono::milliseconds(kLineEvery);
  if (style_ == ProgressStyle::kQuiet || now - shown_ < interval) return;
  shown_ = now;
  const double seconds = std::chrono::duration<double>(now - started_).count();
  const double bytes_per_s = seconds > 0.5 ? static_cast<double>(event.n_done - n_at_start_) / seconds : 0;
  if (style_ == ProgressStyle::kJson) {
    line(dump_json(Json{{"event", "progress"}, {"model", model_}, {"file", event.file}, {"done_bytes", event.n_done},
                        {"total_bytes", event.n_total}, {"bytes_per_s", static_cast<int64_t>(bytes_per_s)}}));
    return;
  }
  const std::string text = progress_text(event.n_done, event.n_total, bytes_per_s);
  if (style_ == ProgressStyle::kLines) {
    line(fmt::format("  {}: {}", model_, text));
    return;
  }
  const int n_full = event.n_total > 0 ? static_cast<int>(event.n_done * kBarWidth / event.n_total) : 0;
  write_(fmt::format("\r  [{:<{}}] {}\33[K", std::string(static_cast<size_t>(std::min(n_full, kBarWidth)), '#'), kBarWidth, text));
  bar_open_ = true;
}

void PullProgress::finish() {
  if (bar_open_) line("");
}

}  // namespace hanlin::app
