#include "base/json.h"
#include "server/endpoints/endpoints.h"
#include "server/metrics.h"

namespace hanlin::server {

Reply health(const EndpointContext& context) {
  return json_response({{"status", "healthy"}, {"models_loaded", !context.models.models.empty()}});
}

Reply health_live(const EndpointContext&) { return json_response({{"status", "alive"}}); }

Reply health_ready(const EndpointContext& context) {
  if (context.ready && !context.models.models.empty()) return json_response({{"status", "ready"}});
  HttpResponse response = json_response({{"status", context.ready ? "no models loaded" : "draining"}}, 503);
  response.headers.emplace_back("Retry-After", "5");
  return response;
}

Reply metrics_text(const EndpointContext& context) {
  return HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = context.metrics.exposition()};
}

}  // namespace hanlin::server
