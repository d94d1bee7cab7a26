#include "base/json.h"
#include "server/endpoints/endpoints.h"
#include "server/error_map.h"

namespace hanlin::server {
namespace {

const api::ModelInfo* info_of(const api::ServedModel& model) {
  if (model.generator) return &model.generator->info();
  if (model.embedder) return &model.embedder->embedder_info().model;
  if (model.reranker) return &model.reranker->reranker_info();
  return nullptr;
}

Json model_json(const api::ServedModel& model) {
  const api::ModelInfo* info = info_of(model);
  const int64_t created = model.created_unix == 0 && info ? info->created_unix : model.created_unix;
  Json json = {{"id", model.name}, {"object", "model"}, {"created", created}, {"owned_by", "hanlin"}};
  Json abilities = Json::array();
  if (model.generator) abilities.push_back("generate");
  if (model.generator && model.generator->info().has_chat_template) abilities.push_back("chat");
  if (model.embedder) abilities.push_back("embed");
  if (model.reranker) abilities.push_back("rerank");
  json["capabilities"] = std::move(abilities);
  json["aliases"] = model.aliases;
  if (info) {
    json["architecture"] = info->architecture;
    json["parameters"] = info->n_parameters;
    json["max_model_len"] = model.generator ? info->context_length : model.embedder ? model.embedder->embedder_info().max_tokens : info->context_length;
  }
  if (model.embedder) json["dimensions"] = model.embedder->embedder_info().dimensions;
  return json;
}

}  // namespace

Reply list_models(const EndpointContext& context) {
  Json data = Json::array();
  for (const api::ServedModel& model : context.models.models) data.push_back(model_json(model));
  return json_response({{"object", "list"}, {"data", std::move(data)}});
}

Reply get_model(const EndpointContext& context) {
  const std::string name = context.request.path.substr(std::string_view("/v1/models/").size());
  const api::ServedModel* model = context.models.find(name);
  return model ? json_response(model_json(*model)) : error_response(model_not_found(name));
}

}  // namespace hanlin::server
