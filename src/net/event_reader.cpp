#include "net/event_reader.h"

#include <fmt/format.h>

namespace hanlin::net {

void EventReader::end_line(const std::function<void(const std::string&)>& event) {
  if (line_.empty()) {
    if (has_data_ && !data_.empty()) event(data_);
    data_.clear(), has_data_ = false;
  } else if (line_.starts_with("data:")) {
    if (has_data_) data_ += '\n';
    data_ += std::string_view(line_).substr(line_.starts_with("data: ") ? 6 : 5);
    has_data_ = true;
  }
  line_.clear();
}

Status EventReader::feed(std::string_view bytes, size_t max_bytes, const std::function<void(const std::string&)>& event) {
  for (const char c : bytes) {
    const bool second_half = after_cr_ && c == '\n';  // of CR LF
    after_cr_ = c == '\r';
    if (second_half) continue;
    if (c == '\n' || c == '\r') end_line(event);
    else line_ += c;
    if (line_.size() + data_.size() > max_bytes) return Error{Code::kResourceExhausted, fmt::format("stream: an event of more than {} bytes", max_bytes)};
  }
  return {};
}

}  // namespace hanlin::net
