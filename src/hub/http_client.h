// A small blocking HTTP/1.1 client: https, redirects, ranges, proxies, a time limit on every step.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "hub/url.h"

namespace hanlin::hub {

struct HttpTimeouts {
  std::chrono::milliseconds connect{3000};  // name lookup, connection and TLS handshake, each
  std::chrono::milliseconds idle{30000};    // between two pieces of the answer
};

struct HttpRequest {
  std::string method = "GET";  // or "HEAD"
  Url url;
  std::string bearer_token;  // sent to the first server only, never after a redirect to another one
  std::optional<int64_t> range_from;
  // HEAD requests to the hub ask about the hub's own answer, not about the storage it redirects to.
  bool follow_to_other_servers = true;
  HttpTimeouts timeouts;
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  Url url;                                     // after redirects
  std::string header(const std::string& name) const;
  std::optional<int64_t> content_length() const;
};

// Receives the body of a 2xx answer piece by piece; an Error it returns ends the transfer with that error.
using BodySink = std::function<Status(std::span<const uint8_t>)>;
// Called once, before the body, with the final (not redirected) answer.
using HeadSink = std::function<Status(const HttpResponse&)>;

// Sends the request and follows up to 5 redirects (never from https to http). Proxies are taken from https_proxy, http_proxy,
// all_proxy and no_proxy. Any status is a success here. The body of an answer that is no 2xx is not passed on.
// Errors: kUnavailable (no name, no connection, broken off), kDeadlineExceeded, kCorrupt (not HTTP), and those of the sinks.
Result<HttpResponse> http_send(const HttpRequest& request, const HeadSink& on_head, const BodySink& on_body);

// GET of a small document: its body. Errors: also kNotFound (404) and kUnavailable for every other status that is no 2xx;
// kResourceExhausted above `max_bytes`.
Result<std::string> http_get(const HttpRequest& request, size_t max_bytes = size_t{16} << 20);

// The error that says what a status means: "URL: 404 not found".
Error http_error(const HttpResponse& response);

}  // namespace hanlin::hub
