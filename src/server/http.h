// Requests and answers as endpoints see them: plain data, nothing of the network library.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_fwd.h"

namespace hanlin::server {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;   // as sent: "GET"
  std::string path;     // percent-decoded, without query: "/v1/models/a b"
  std::string query;    // after '?', as sent
  Headers headers;      // names in lower case
  std::string body;
  int version = 11;     // 10 or 11
  bool keep_alive = true;

  // The first header of that (lower-case) name, or empty.
  std::string_view header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  Headers headers = {};
  std::string body = {};
};

HttpResponse json_response(const Json& body, int status = 200);

// Splits a request target into path and query and decodes the path. Accepts "/path?query" and "http://host/path".
// Nothing when the target has neither form or a malformed escape, or decodes to a control character.
std::optional<std::pair<std::string, std::string>> split_target(std::string_view target);

// The value of `name` in a query such as "a=1&b=x%20y", decoded; empty: not there. A malformed escape stays as it is.
std::string query_value(std::string_view query, std::string_view name);

bool equals_ignoring_case(std::string_view a, std::string_view b);

}  // namespace hanlin::server
