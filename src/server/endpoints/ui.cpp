// The web page, the documentation page and their files.
#include "server/assets.h"
#include "server/endpoints/endpoints.h"
#include "server/error_map.h"

namespace hanlin::server {
namespace {

// Nothing from elsewhere, no inline script: model output that slips through as markup still cannot run.
constexpr const char* kContentPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

std::string_view content_type(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  return "application/octet-stream";
}

std::string_view asset_name(std::string_view path) {
  if (path == "/") return "index.html";
  if (path == "/docs") return "docs.html";
  if (path == "/favicon.ico") return "icon.svg";
  return path.substr(std::string_view("/ui/").size());
}

}  // namespace

Reply ui_asset(const EndpointContext& context) {
  const std::string_view name = asset_name(context.request.path);
  for (const Asset& asset : assets()) {
    if (asset.name != name) continue;
    HttpResponse response{.content_type = std::string(content_type(name)),
                          .headers = {{"ETag", std::string(asset.etag)}, {"Cache-Control", "no-cache"}, {"Content-Security-Policy", kContentPolicy},
                                      {"X-Content-Type-Options", "nosniff"}, {"Referrer-Policy", "no-referrer"}}};
    if (context.request.header("if-none-match") == asset.etag) response.status = 304;
    else response.body = std::string(asset.content);
    return response;
  }
  return http_error_response(404, context.request.path + ": there is no such file", "route_not_found");
}

}  // namespace hanlin::server
