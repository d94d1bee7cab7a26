// Server-sent events: the frames of a streamed answer.
#pragma once

#include <string>
#include <string_view>

namespace hanlin::server {

inline constexpr std::string_view kSseKeepAlive = ": keep-alive\n\n";
inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";

// `json` holds no line break (compact JSON never does).
inline std::string sse_frame(std::string_view json) {
  std::string frame = "data: ";
  frame.append(json).append("\n\n");
  return frame;
}

}  // namespace hanlin::server
