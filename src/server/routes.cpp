#include "server/endpoints/endpoints.h"
#include "server/router.h"

namespace hanlin::server {
namespace {

constexpr bool kOpen = true, kKey = false;

constexpr Route kRoutes[] = {
    {"POST", "/v1/chat/completions", chat_completions, RunOn::kSubmit, kKey, "OpenAI", "Answer a conversation", "ChatRequest", "ChatResponse"},
    {"GET", "/v1/models", list_models, RunOn::kInline, kKey, "OpenAI", "The models that are served", nullptr, "ModelList"},
    {"GET", "/v1/models/{model}", get_model, RunOn::kInline, kKey, "OpenAI", "One model", nullptr, "Model"},
    {"GET", "/health", health, RunOn::kInline, kOpen, "Operation", "Whether the service works", nullptr, "Health"},
    {"GET", "/health/live", health_live, RunOn::kInline, kOpen, "Operation", "Whether the process lives", nullptr, "Status"},
    {"GET", "/health/ready", health_ready, RunOn::kInline, kOpen, "Operation", "Whether requests are welcome: 503 while draining", nullptr, "Status"},
    {"GET", "/metrics", metrics_text, RunOn::kInline, kOpen, "Operation", "Numbers in the Prometheus text format", nullptr, nullptr},
};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

}  // namespace hanlin::server
