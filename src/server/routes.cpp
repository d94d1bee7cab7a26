#include "server/endpoints/endpoints.h"
#include "server/router.h"

namespace hanlin::server {
namespace {

constexpr bool kOpen = true, kKey = false;

constexpr Route kRoutes[] = {
    {"POST", "/v1/chat/completions", chat_completions, RunOn::kSubmit, kKey, "OpenAI", "Answer a conversation", "ChatRequest", "ChatResponse"},
    {"POST", "/v1/completions", completions, RunOn::kSubmit, kKey, "OpenAI", "Continue texts, or score them", "CompletionRequest", "CompletionResponse"},
    {"POST", "/v1/embeddings", embeddings, RunOn::kBlocking, kKey, "OpenAI", "Vectors of texts", "EmbeddingRequest", "EmbeddingResponse"},
    {"POST", "/v1/rerank", rerank, RunOn::kBlocking, kKey, "OpenAI", "Order documents by how well they answer a query", "RerankRequest", "RerankResponse"},
    {"GET", "/v1/models", list_models, RunOn::kInline, kKey, "OpenAI", "The models that are served", nullptr, "ModelList"},
    {"GET", "/v1/models/{model*}", get_model, RunOn::kInline, kKey, "OpenAI", "One model", nullptr, "Model"},
    {"POST", "/tokenize", tokenize, RunOn::kSubmit, kKey, "Tokens", "The token ids of a text or a conversation", "TokenizeRequest", "TokenizeResponse"},
    {"POST", "/detokenize", detokenize, RunOn::kSubmit, kKey, "Tokens", "The text of token ids", "DetokenizeRequest", "DetokenizeResponse"},
    {"POST", "/api/v1/chat", service_chat, RunOn::kSubmit, kKey, "Service", "Answer one message", "ServiceChatRequest", "ServiceTextResponse"},
    {"POST", "/api/v1/generation", service_generation, RunOn::kSubmit, kKey, "Service", "Continue one text", "ServiceGenerationRequest", "ServiceTextResponse"},
    {"POST", "/api/v1/embedding", service_embedding, RunOn::kBlocking, kKey, "Service", "The vector of a text, or of several", "ServiceEmbeddingRequest", "ServiceEmbeddingResponse"},
    {"POST", "/api/v1/agent/runs", agent_start, RunOn::kBlocking, kKey, "Agent", "Start a run", "AgentRunRequest", "AgentRun", true},
    {"GET", "/api/v1/agent/runs", agent_list, RunOn::kBlocking, kKey, "Agent", "The runs, newest first", nullptr, "AgentRunList"},
    {"GET", "/api/v1/agent/runs/{id}", agent_get, RunOn::kBlocking, kKey, "Agent", "One run", nullptr, "AgentRun"},
    {"DELETE", "/api/v1/agent/runs/{id}", agent_remove, RunOn::kBlocking, kKey, "Agent", "Forget a run that has ended", nullptr, "AgentRemoved"},
    {"GET", "/api/v1/agent/runs/{id}/events", agent_events, RunOn::kBlocking, kKey, "Agent", "What happened, streamed while the run goes on", nullptr, "AgentEvents", true},
    {"POST", "/api/v1/agent/runs/{id}/cancel", agent_cancel, RunOn::kBlocking, kKey, "Agent", "Stop a run for good", nullptr, "AgentRun"},
    {"POST", "/api/v1/agent/runs/{id}/resume", agent_resume, RunOn::kBlocking, kKey, "Agent", "Go on with a run that was interrupted", nullptr, "AgentRun"},
    {"POST", "/api/v1/agent/runs/{id}/approvals/{approval}", agent_approve, RunOn::kBlocking, kKey, "Agent", "Allow or deny a call", "AgentDecision", "AgentRun"},
    {"GET", "/api/v1/agent/tools", agent_tools, RunOn::kInline, kKey, "Agent", "The tools that runs may use", nullptr, "AgentTools"},
    {"GET", "/health", health, RunOn::kInline, kOpen, "Operation", "Whether the service works", nullptr, "Health"},
    {"GET", "/health/live", health_live, RunOn::kInline, kOpen, "Operation", "Whether the process lives", nullptr, "Status"},
    {"GET", "/health/ready", health_ready, RunOn::kInline, kOpen, "Operation", "Whether requests are welcome: 503 while draining", nullptr, "Status"},
    {"GET", "/metrics", metrics_text, RunOn::kInline, kOpen, "Operation", "Numbers in the Prometheus text format", nullptr, nullptr},
    {"GET", "/openapi.json", openapi_document, RunOn::kInline, kOpen, nullptr, nullptr, nullptr, nullptr},
    {"GET", "/", ui_asset, RunOn::kInline, kOpen, nullptr, nullptr, nullptr, nullptr},
    {"GET", "/docs", ui_asset, RunOn::kInline, kOpen, nullptr, nullptr, nullptr, nullptr},
    {"GET", "/favicon.ico", ui_asset, RunOn::kInline, kOpen, nullptr, nullptr, nullptr, nullptr},
    {"GET", "/ui/{file*}", ui_asset, RunOn::kInline, kOpen, nullptr, nullptr, nullptr, nullptr},
};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

}  // namespace hanlin::server
