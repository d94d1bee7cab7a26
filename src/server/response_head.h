// The first lines of an answer, and the rules for browsers of other origins.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "server/http.h"
#include "server/options.h"

namespace hanlin::server {

struct HeadParts {
  int status = 200;
  const std::string& content_type;
  const Headers& headers;
  std::optional<size_t> length;  // unset: the length is not known; chunked on HTTP/1.1, until close on 1.0
  bool keep_alive = true;
};

// Status line and headers with the empty line, ready to send.
std::string response_head(const HttpRequest& request, const std::string& request_id, const ServerOptions& options, const HeadParts& parts);

// The answer to OPTIONS: methods the path knows, and for a preflight what a browser may send.
HttpResponse options_response(const HttpRequest& request, const std::string& allowed);

// The client's X-Request-Id if it is printable and short, else a fresh one.
std::string choose_request_id(const HttpRequest& request);

// True without keys, or when the request carries one of them as Bearer or x-api-key.
bool is_authorized(const HttpRequest& request, const ServerOptions& options);

}  // namespace hanlin::server
