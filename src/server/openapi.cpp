#include "server/openapi.h"

#include "base/json.h"
#include "server/endpoints/endpoints.h"
#include "server/router.h"

namespace hanlin::server {
namespace {

Json schema_ref(const std::string& name) { return {{"$ref", "#/components/schemas/" + name}}; }

Json json_content(const std::string& name) {
  Json content;
  content["application/json"]["schema"] = schema_ref(name);
  return content;
}

// "POST /v1/chat/completions" → "post_v1_chat_completions"
std::string operation_id(const Route& route) {
  std::string id = std::string(route.method) + route.path;
  for (char& c : id) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) c = '_';
  }
  return id;
}

Json operation(const Route& route) {
  Json op = {{"operationId", operation_id(route)}, {"summary", route.summary}, {"tags", Json::array({route.tag})}};
  const std::string path = shown_path(route);
  for (size_t brace = path.find('{'); brace != std::string::npos; brace = path.find('{', brace + 1)) {
    Json parameter = {{"name", path.substr(brace + 1, path.find('}', brace) - brace - 1)}, {"in", "path"}, {"required", true}};
    parameter["schema"] = {{"type", "string"}};
    op["parameters"].push_back(std::move(parameter));
  }
  if (route.request_schema) op["requestBody"] = {{"required", true}, {"content", json_content(route.request_schema)}};
  Json ok = {{"description", "Done"}};
  if (route.response_schema) ok["content"] = json_content(route.response_schema);
  else ok["content"]["text/plain"]["schema"] = {{"type", "string"}};
  const bool streams = route.streams_events || (route.request_schema && route.run_on == RunOn::kSubmit && route.response_schema);
  if (streams) ok["content"]["text/event-stream"]["schema"] = {{"type", "string"}};
  op["responses"]["200"] = std::move(ok);
  op["responses"]["default"] = {{"description", "A failure"}, {"content", json_content("Error")}};
  if (route.is_public) op["security"] = Json::array();
  return op;
}

std::string build() {
  Json document = {{"openapi", "3.1.0"}};
  document["info"] = {{"title", "Hanlin"}, {"version", HANLIN_VERSION}, {"summary", "Language models served over HTTP"}};
  document["security"] = Json::array({Json::object(), {{"bearer", Json::array()}}, {{"api_key", Json::array()}}});
  for (const Route& route : routes()) {
    if (!route.tag) continue;
    std::string method = route.method;
    for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
    document["paths"][shown_path(route)][method] = operation(route);
  }
  document["components"]["schemas"] = parse_json(kOpenapiSchemas).value();
  document["components"]["securitySchemes"] = {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}},
                                               {"api_key", {{"type", "apiKey"}, {"in", "header"}, {"name", "x-api-key"}}}};
  return dump_json(document);
}

}  // namespace

const std::string& openapi_text() {
  static const std::string text = build();
  return text;
}

Reply openapi_document(const EndpointContext&) { return HttpResponse{.body = openapi_text()}; }

}  // namespace hanlin::server
