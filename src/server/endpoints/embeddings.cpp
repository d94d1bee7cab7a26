#include <fmt/format.h>

#include "base/json.h"
#include "server/endpoints/base64.h"
#include "server/endpoints/endpoints.h"
#include "server/endpoints/request_fields.h"
#include "server/error_map.h"
#include "server/metrics.h"

namespace hanlin::server {
namespace {

constexpr size_t kMaxInputs = 2048;  // OpenAI's
constexpr size_t kMaxInputTokens = size_t{1} << 20;

// "input": a text, a list of texts, a list of token ids, or a list of such lists.
void read_inputs(JsonFields& fields, api::EmbedRequest* request) {
  const Json* value = fields.find("input");
  const auto add_ids = [&](const Json& list) {
    Result<std::vector<int32_t>> ids = parse_token_ids(list, "input", kMaxInputTokens);
    if (!ids.ok()) return fields.fail(ids.error());
    if (ids->empty()) return fields.fail("input", "expected at least one token id, got an empty list");
    request->inputs.emplace_back(std::move(ids).value());
  };
  const auto add_text = [&](const Json& text) {
    if (text.get_ref<const std::string&>().empty()) return fields.fail("input", "expected texts that are not empty");
    request->inputs.emplace_back(text.get<std::string>());
  };
  if (value && value->is_string()) return add_text(*value);
  if (!value || !value->is_array() || value->empty()) {
    return fields.fail("input", "expected a text, a list of texts, a list of token ids or a list of such lists, got " +
                                    (value ? describe_json(*value) : std::string("nothing")));
  }
  if ((*value)[0].is_number()) return add_ids(*value);
  if (value->size() > kMaxInputs) {
    return fields.fail("input", fmt::format("expected at most {} inputs, got {}", kMaxInputs, value->size()));
  }
  for (const Json& item : *value) {
    if (item.is_string()) add_text(item);
    else if (item.is_array()) add_ids(item);
    else fields.fail("input", "expected texts or lists of token ids in the list, got " + describe_json(item));
  }
}

Result<HttpResponse> embed(const EndpointContext& context) {
  HANLIN_ASSIGN(const Json body, parse_body(context.request.body));
  JsonFields fields(body);
  HANLIN_ASSIGN(const api::ServedModel* model, embedder_model(context, fields));
  api::EmbedRequest request;
  read_inputs(fields, &request);
  request.dimensions = read_dimensions(fields, *model->embedder);
  request.truncate = fields.boolean("truncate", false);
  const std::string format = fields.text("encoding_format", "float");
  if (format != "float" && format != "base64") fields.fail("encoding_format", "expected \"float\" or \"base64\", got \"" + format.substr(0, 40) + "\"");
  HANLIN_TRY(fields.status());
  Result<api::EmbedResult> embedded = model->embedder->embed(request);
  if (!embedded.ok()) return model_error(std::move(embedded).error());
  const api::EmbedResult result = std::move(embedded).value();
  context.metrics.embedded_tokens(model->name, result.prompt_tokens);

  Json data = Json::array();
  for (size_t i = 0; i < result.vectors.size(); ++i) {
    Json item = {{"object", "embedding"}, {"index", i}};
    if (format == "base64") item["embedding"] = base64_floats(result.vectors[i]);
    else item["embedding"] = result.vectors[i];
    data.push_back(std::move(item));
  }
  Json answer = {{"object", "list"}, {"data", std::move(data)}, {"model", model->name}};
  answer["usage"] = {{"prompt_tokens", result.prompt_tokens}, {"total_tokens", result.prompt_tokens}};
  return json_response(answer);
}

}  // namespace

Reply embeddings(const EndpointContext& context) {
  Result<HttpResponse> response = embed(context);
  return response.ok() ? std::move(response).value() : error_response(response.error());
}

}  // namespace hanlin::server
