// Server-sent events.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hanlin::net {

// Reads the data of each event, whatever the pieces it comes in; ids, names and retry times are left out.
class EventReader {
 public:
  // Takes the next bytes; calls `event` with each complete event's data. kResourceExhausted above `max_bytes`.
  Status feed(std::string_view bytes, size_t max_bytes, const std::function<void(const std::string&)>& event);

 private:
  void end_line(const std::function<void(const std::string&)>& event);
  std::string line_, data_;
  bool has_data_ = false, after_cr_ = false;
};

}  // namespace hanlin::net
