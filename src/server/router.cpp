#include "server/router.h"

namespace hanlin::server {
namespace {

bool matches(std::string_view pattern, std::string_view path) {
  const size_t brace = pattern.find('{');
  if (brace == std::string_view::npos) return pattern == path;
  return path.size() > brace && path.starts_with(pattern.substr(0, brace));
}

}  // namespace

RouteMatch find_route(std::string_view method, std::string_view path) {
  RouteMatch match;
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  for (const Route& route : routes()) {
    if (!matches(route.path, path)) continue;
    if (route.method == wanted && !match.route) match.route = &route;
    if (!match.allowed.empty()) match.allowed += ", ";
    match.allowed += route.method;
    if (std::string_view(route.method) == "GET") match.allowed += ", HEAD";
  }
  if (!match.allowed.empty()) match.allowed += ", OPTIONS";
  return match;
}

}  // namespace hanlin::server
