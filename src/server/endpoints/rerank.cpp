#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/json.h"
#include "server/endpoints/endpoints.h"
#include "server/endpoints/request_fields.h"
#include "server/error_map.h"
#include "server/metrics.h"

namespace hanlin::server {
namespace {

constexpr size_t kMaxDocuments = 10'000;

// "documents": texts, or objects with a text.
std::vector<std::string> read_documents(JsonFields& fields) {
  const Json* list = fields.find("documents");
  if (!list || !list->is_array() || list->empty() || list->size() > kMaxDocuments) {
    fields.fail("documents", fmt::format("expected a list of 1 to {} documents, got {}", kMaxDocuments, list ? describe_json(*list) : "nothing"));
    return {};
  }
  std::vector<std::string> documents;
  for (size_t i = 0; i < list->size(); ++i) {
    const Json& item = (*list)[i];
    const Json* text = item.is_object() && item.contains("text") ? &item["text"] : &item;
    if (!text->is_string()) {
      fields.fail(fmt::format("documents[{}]", i), "expected a text or an object with a text, got " + describe_json(item));
      return {};
    }
    documents.push_back(text->get<std::string>());
  }
  return documents;
}

Result<HttpResponse> score(const EndpointContext& context) {
  HANLIN_ASSIGN(const Json body, parse_body(context.request.body));
  JsonFields fields(body);
  HANLIN_ASSIGN(const api::ServedModel* model, reranker_model(context, fields));
  api::RerankRequest request;
  request.query = fields.required_text("query");
  request.documents = read_documents(fields);
  request.truncate = fields.boolean("truncate", true);
  const int64_t top_n = fields.integer("top_n", static_cast<int64_t>(request.documents.size()), 1, INT64_MAX);
  const bool return_documents = fields.boolean("return_documents", false);
  HANLIN_TRY(fields.status());
  HANLIN_ASSIGN(const api::RerankResult result, model->reranker->rerank(request));
  context.metrics.embedded_tokens(model->name, result.prompt_tokens);

  std::vector<size_t> order(result.scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return result.scores[a] > result.scores[b]; });
  order.resize(std::min(order.size(), static_cast<size_t>(top_n)));
  Json results = Json::array();
  for (const size_t idx : order) {
    Json item = {{"index", idx}, {"relevance_score", result.scores[idx]}};
    if (return_documents) item["document"] = {{"text", request.documents[idx]}};
    results.push_back(std::move(item));
  }
  Json answer = {{"id", "rerank-" + context.request_id}, {"object", "list"}, {"model", model->name}, {"results", std::move(results)}};
  answer["usage"] = {{"prompt_tokens", result.prompt_tokens}, {"total_tokens", result.prompt_tokens}};
  return json_response(answer);
}

}  // namespace

Reply rerank(const EndpointContext& context) {
  Result<HttpResponse> response = score(context);
  return response.ok() ? std::move(response).value() : error_response(response.error());
}

}  // namespace hanlin::server
