#include "engine/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace hanlin::engine {

StopMatcher::StopMatcher(std::vector<std::string> stops, bool include_stop)
    : stops_(std::move(stops)), include_stop_(include_stop) {
  std::stable_sort(stops_.begin(), stops_.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
}

bool StopMatcher::push(std::string_view text, std::string& out) {
  if (stops_.empty()) {
    out += text;
    return false;
  }
  const size_t n_held = held_.size();
  held_ += text;
  const std::string_view all = held_;
  for (size_t end = n_held + 1; end <= all.size(); ++end) {
    for (const std::string& stop : stops_) {  // longest first
      if (!all.substr(0, end).ends_with(stop)) continue;
      out += all.substr(0, include_stop_ ? end : end - stop.size());
      matched_ = stop;
      held_.clear();
      return true;
    }
  }
  size_t n_keep = 0;
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, all.size()); n > n_keep; --n) {
      if (all.ends_with(std::string_view(stop).substr(0, n))) n_keep = n;
    }
  }
  out += all.substr(0, all.size() - n_keep);
  held_.erase(0, held_.size() - n_keep);
  return false;
}

void StopMatcher::flush(std::string& out) {
  out += held_;
  held_.clear();
}

}  // namespace hanlin::engine
