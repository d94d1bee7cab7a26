// The table of routes and the search in it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "server/endpoint.h"

namespace hanlin::server {

// One line of the table; /openapi.json is written from it.
struct Route {
  const char* method;
  const char* path;   // "{name}" matches what is up to the next slash, "{name*}" at the end the rest, slashes included; nothing is no match
  Handler handler;
  RunOn run_on;
  bool is_public;     // answered without an API key
  const char* tag;    // group in the documentation; null: not documented (pages and their assets)
  const char* summary;
  const char* request_schema;   // name in openapi_schemas.cpp, or null
  const char* response_schema;  // the same; null: not JSON
  bool streams_events = false;   // it may answer with events, too; for generations that goes without saying
};

std::span<const Route> routes();

struct RouteMatch {
  const Route* route = nullptr;  // null: no such path, or not with this method
  std::string allowed;           // methods the path knows, for 405 and OPTIONS; empty: no such path
};
// HEAD finds GET routes.
RouteMatch find_route(std::string_view method, std::string_view path);
// The path as documents and metrics show it: "{name*}" is "{name}".
std::string shown_path(const Route& route);
// What the nth "{…}" of a pattern (0: the first) stands for in a path that matches it.
std::string path_value(std::string_view pattern, std::string_view path, size_t n = 0);

}  // namespace hanlin::server
