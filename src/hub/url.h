// http and https addresses.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hanlin::hub {

struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // without brackets
  uint16_t port = 0;
  std::string target;  // path and query, starts with '/'

  std::string authority() const;  // "host" or "host:port" when the port is not the scheme's own
  std::string text() const;
  std::string shown() const;      // without the query, which may hold a signature: for messages
  bool same_server(const Url& other) const { return scheme == other.scheme && host == other.host && port == other.port; }
};

// Errors: kInvalidArgument for anything but http:// and https:// addresses with a host; user names in it are refused.
Result<Url> parse_url(std::string_view text);
// A Location header: absolute, "//host/path", "/path" or relative to `base`.
Result<Url> resolve_location(const Url& base, std::string_view location);
// Percent-encodes what may not stand in a path; '/' stays.
std::string encode_path(std::string_view path);

}  // namespace hanlin::hub
