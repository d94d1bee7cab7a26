#include "base/json.h"
#include "server/endpoints/endpoints.h"
#include "server/endpoints/request_fields.h"
#include "server/error_map.h"

namespace hanlin::server {
namespace {

constexpr size_t kMaxTokens = size_t{4} << 20;

// The tokenizer of whichever model is meant: generators and embedders both have one.
struct TokenizerOf {
  const api::ServedModel& model;
  Result<std::vector<int32_t>> tokenize(const std::string& text, bool add_special, bool parse_special) const {
    return model.generator ? model.generator->tokenize(text, add_special, parse_special) : model.embedder->tokenize(text, add_special, parse_special);
  }
  Result<std::string> detokenize(const std::vector<int32_t>& ids) const {
    return model.generator ? model.generator->detokenize(ids) : model.embedder->detokenize(ids);
  }
  int64_t max_model_len() const { return model.generator ? model.generator->info().context_length : model.embedder->embedder_info().max_tokens; }
};

Result<TokenizerOf> find_tokenizer(const EndpointContext& context, JsonFields& fields) {
  const std::string name = fields.text("model");
  HANLIN_TRY(fields.status());
  const api::ServedModel* model = context.models.first_generator() ? context.models.first_generator() : context.models.first_embedder();
  if (!name.empty()) model = context.models.find(name);
  if (!model) return model_not_found(name);
  if (!model->generator && !model->embedder) return Error{Code::kInvalidArgument, "model: \"" + name + "\" has no tokenizer to offer", "model"};
  return TokenizerOf{*model};
}

Result<HttpResponse> run_tokenize(const EndpointContext& context) {
  HANLIN_ASSIGN(const Json body, parse_body(context.request.body));
  JsonFields fields(body);
  HANLIN_ASSIGN(const TokenizerOf tokenizer, find_tokenizer(context, fields));
  std::string text;
  bool add_special = fields.boolean("add_special_tokens", true);
  if (fields.find("messages")) {
    if (!tokenizer.model.generator) fields.fail("messages", "this model has no chat template");
    api::ChatPrompt prompt;
    prompt.messages = read_messages(fields);
    prompt.add_generation_prompt = fields.boolean("add_generation_prompt", true);
    HANLIN_TRY(fields.status());
    HANLIN_ASSIGN(text, tokenizer.model.generator->render_chat(prompt));
    add_special = fields.boolean("add_special_tokens", false);  // the template has written them
  } else {
    text = fields.find("prompt") ? fields.text("prompt") : fields.required_text("text");
  }
  const bool parse_special = fields.boolean("parse_special", true);
  const bool want_strings = fields.boolean("return_token_strs", false);
  HANLIN_TRY(fields.status());
  HANLIN_ASSIGN(const std::vector<int32_t> ids, tokenizer.tokenize(text, add_special, parse_special));
  Json answer = {{"count", ids.size()}, {"max_model_len", tokenizer.max_model_len()}, {"tokens", ids}};
  if (want_strings) {
    Json strings = Json::array();
    for (const int32_t id : ids) {
      HANLIN_ASSIGN(const std::string piece, tokenizer.detokenize({id}));
      strings.push_back(piece);
    }
    answer["token_strs"] = std::move(strings);
  }
  return json_response(answer);
}

Result<HttpResponse> run_detokenize(const EndpointContext& context) {
  HANLIN_ASSIGN(const Json body, parse_body(context.request.body));
  JsonFields fields(body);
  HANLIN_ASSIGN(const TokenizerOf tokenizer, find_tokenizer(context, fields));
  if (!fields.find("tokens")) fields.fail("tokens", "expected a list of token ids, got nothing");
  const std::vector<int32_t> ids = fields.token_ids("tokens", kMaxTokens);
  HANLIN_TRY(fields.status());
  HANLIN_ASSIGN(const std::string text, tokenizer.detokenize(ids));
  return json_response({{"prompt", text}});
}

}  // namespace

Reply tokenize(const EndpointContext& context) {
  Result<HttpResponse> response = run_tokenize(context);
  return response.ok() ? std::move(response).value() : error_response(response.error());
}

Reply detokenize(const EndpointContext& context) {
  Result<HttpResponse> response = run_detokenize(context);
  return response.ok() ? std::move(response).value() : error_response(response.error());
}

}  // namespace hanlin::server
