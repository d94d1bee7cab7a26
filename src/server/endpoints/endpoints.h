// The handlers behind the route table, one source each.
#pragma once

#include "server/endpoint.h"

namespace hanlin::server {

Reply chat_completions(const EndpointContext& context);  // POST /v1/chat/completions
Reply completions(const EndpointContext& context);       // POST /v1/completions
Reply embeddings(const EndpointContext& context);        // POST /v1/embeddings
Reply rerank(const EndpointContext& context);            // POST /v1/rerank
Reply list_models(const EndpointContext& context);       // GET /v1/models
Reply get_model(const EndpointContext& context);         // GET /v1/models/{model}
Reply tokenize(const EndpointContext& context);          // POST /tokenize
Reply detokenize(const EndpointContext& context);        // POST /detokenize
Reply service_chat(const EndpointContext& context);        // POST /api/v1/chat
Reply service_generation(const EndpointContext& context);  // POST /api/v1/generation
Reply service_embedding(const EndpointContext& context);   // POST /api/v1/embedding
Reply agent_start(const EndpointContext& context);       // POST /api/v1/agent/runs
Reply agent_list(const EndpointContext& context);        // GET /api/v1/agent/runs
Reply agent_get(const EndpointContext& context);         // GET /api/v1/agent/runs/{id}
Reply agent_remove(const EndpointContext& context);      // DELETE /api/v1/agent/runs/{id}
Reply agent_events(const EndpointContext& context);      // GET /api/v1/agent/runs/{id}/events
Reply agent_cancel(const EndpointContext& context);      // POST /api/v1/agent/runs/{id}/cancel
Reply agent_resume(const EndpointContext& context);      // POST /api/v1/agent/runs/{id}/resume
Reply agent_approve(const EndpointContext& context);     // POST /api/v1/agent/runs/{id}/approvals/{approval}
Reply agent_tools(const EndpointContext& context);       // GET /api/v1/agent/tools
Reply health(const EndpointContext& context);            // GET /health
Reply health_live(const EndpointContext& context);       // GET /health/live
Reply health_ready(const EndpointContext& context);      // GET /health/ready
Reply metrics_text(const EndpointContext& context);      // GET /metrics
Reply openapi_document(const EndpointContext& context);  // GET /openapi.json
Reply ui_asset(const EndpointContext& context);          // GET /, /docs, /ui/…

}  // namespace hanlin::server
