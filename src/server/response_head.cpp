#include "server/response_head.h"

#include <fmt/format.h>

#include <atomic>
#include <boost/beast/http/status.hpp>
#include <ctime>
#include <random>

namespace hanlin::server {
namespace {

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[40];
  const size_t length = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return {text, length};
}

// The origin to allow, or empty.
std::string allowed_origin(const HttpRequest& request, const ServerOptions& options) {
  const std::string_view origin = request.header("origin");
  if (origin.empty()) return {};
  for (const std::string& allowed : options.cors_origins) {
    if (allowed == "*") return "*";
    if (allowed == origin) return allowed;
  }
  return {};
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i] ^ (b.empty() ? 0 : b[i % b.size()]));
  }
  return difference == 0;
}

}  // namespace

std::string response_head(const HttpRequest& request, const std::string& request_id, const ServerOptions& options, const HeadParts& parts) {
  const auto reason = boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(parts.status));
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nServer: hanlin\r\nDate: {}\r\nX-Request-Id: {}\r\n", parts.status,
                                 std::string_view(reason.data(), reason.size()), http_date(), request_id);
  if (!parts.content_type.empty()) head += "Content-Type: " + parts.content_type + "\r\n";
  if (parts.length) {
    if (parts.status != 204 && parts.status != 304) head += fmt::format("Content-Length: {}\r\n", *parts.length);
  } else if (request.version == 11) {
    head += "Transfer-Encoding: chunked\r\n";
  }
  head += parts.keep_alive ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
  if (const std::string origin = allowed_origin(request, options); !origin.empty()) {
    head += "Access-Control-Allow-Origin: " + origin + "\r\nAccess-Control-Expose-Headers: X-Request-Id, Retry-After\r\n";
    if (origin != "*") head += "Vary: Origin\r\n";
  }
  for (const auto& [name, value] : parts.headers) head += name + ": " + value + "\r\n";
  return head + "\r\n";
}

HttpResponse options_response(const HttpRequest& request, const std::string& allowed) {
  HttpResponse response{.status = 204, .content_type = "", .headers = {{"Allow", allowed}}};
  if (request.header("access-control-request-method").empty()) return response;
  response.headers.emplace_back("Access-Control-Allow-Methods", allowed);
  const std::string_view wanted = request.header("access-control-request-headers");
  response.headers.emplace_back("Access-Control-Allow-Headers", wanted.empty() ? "Content-Type, Authorization" : std::string(wanted));
  response.headers.emplace_back("Access-Control-Max-Age", "600");
  return response;
}

std::string choose_request_id(const HttpRequest& request) {
  const std::string_view given = request.header("x-request-id");
  bool usable = !given.empty() && given.size() <= 128;
  for (const char c : given) usable = usable && c > 0x20 && c < 0x7f;
  if (usable) return std::string(given);
  static const uint64_t process_part = (uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  static std::atomic<uint64_t> next{0};
  // A bijection of the counter, so that ids never repeat and do not look like a count.
  uint64_t z = process_part + 0x9e3779b97f4a7c15ull * ++next;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return fmt::format("req-{:016x}", z ^ (z >> 31));
}

bool is_authorized(const HttpRequest& request, const ServerOptions& options) {
  if (options.api_keys.empty()) return true;
  std::string_view key = request.header("x-api-key");
  const std::string_view authorization = request.header("authorization");
  if (authorization.size() > 7 && equals_ignoring_case(authorization.substr(0, 7), "bearer ")) key = authorization.substr(7);
  bool found = false;
  for (const std::string& allowed : options.api_keys) found |= equal_in_constant_time(key, allowed) && !key.empty();
  return found;
}

}  // namespace hanlin::server
