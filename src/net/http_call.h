// Outgoing HTTP under rules: every server is checked against rules before a byte is sent, the name is looked up once and the connection
// goes to exactly the address that was checked, and everything stops when the caller says so.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/address_rules.h"

namespace hanlin::net {

// When a call ends early.
struct CallLimits {
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  std::stop_token stop = {};  // the answer is no longer wanted
  // What a healthy server keeps; beyond it the call fails with kUnavailable. Zero: as long as the deadline allows.
  std::chrono::milliseconds connect{0};     // name lookup, connection and TLS handshake together
  std::chrono::milliseconds first_byte{0};  // from the request to the head of the answer
  std::chrono::milliseconds silence{0};     // between two pieces of the body; time spent in the sinks does not count
};

struct HttpCall {
  std::string method = "GET";  // GET, POST, PUT, PATCH, DELETE, HEAD
  hub::Url url;
  // Sent to the first server only, never after a redirect to another one.
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
};

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  hub::Url url;                                // after redirects
  std::string body;                            // empty if a sink took it
  bool cut = false;                            // there was more of it than allowed
  std::string header(const std::string& name) const;
};

struct HttpSinks {
  // Called once with status, headers and url of the final answer.
  std::function<Status(const HttpAnswer&)> on_head = {};
  // Receives the body as it comes. False: enough, the connection is dropped.
  std::function<Result<bool>(std::string_view)> on_body = {};
};

// Sends the call. Any status is a success here. Proxies of the environment are not used: a proxy would choose the address.
// Errors: kInvalidArgument (refused by the rules, a header with a line end), kUnavailable (no name, no connection, broken off,
// too many redirects), kDeadlineExceeded, kCancelled, and those of the sinks. Blocks; any thread.
Result<HttpAnswer> http_call(const HttpCall& call, const HttpRules& rules, const CallLimits& limits, const HttpSinks& sinks);

// The same with the body in the answer, of which at most `max_bytes` are kept.
Result<HttpAnswer> http_call(const HttpCall& call, const HttpRules& rules, const CallLimits& limits, size_t max_bytes);

// The limits with the deadline at most `limit` from now.
CallLimits within(const CallLimits& limits, std::chrono::milliseconds limit);

}  // namespace hanlin::net
