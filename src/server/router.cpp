#include "server/router.h"

#include <algorithm>

namespace hanlin::server {
namespace {

bool matches(std::string_view pattern, std::string_view path) {
  while (true) {
    const size_t brace = pattern.find('{');
    if (brace == std::string_view::npos) return pattern == path;
    if (path.size() <= brace || !path.starts_with(pattern.substr(0, brace))) return false;
    path.remove_prefix(brace);
    const size_t end = pattern.find('}');
    if (pattern[end - 1] == '*') return true;
    const size_t segment = std::min(path.find('/'), path.size());
    if (segment == 0) return false;
    path.remove_prefix(segment);
    pattern.remove_prefix(end + 1);
  }
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

std::string shown_path(const Route& route) {
  std::string path = route.path;
  std::erase(path, '*');
  return path;
}

std::string path_value(std::string_view pattern, std::string_view path, size_t n) {
  for (size_t i = 0;; ++i) {
    const size_t brace = pattern.find('{'), end = pattern.find('}');
    if (brace == std::string_view::npos || path.size() < brace) return {};
    path.remove_prefix(brace);
    const size_t size = pattern[end - 1] == '*' ? path.size() : std::min(path.find('/'), path.size());
    if (i == n) return std::string(path.substr(0, size));
    path.remove_prefix(size);
    pattern.remove_prefix(end + 1);
  }
}

}  // namespace hanlin::server
