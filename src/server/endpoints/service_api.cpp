// The plain service API: one text in, one text out, and vectors.
#include <fmt/format.h>

#include "base/json.h"
#include "server/endpoints/endpoints.h"
#include "server/endpoints/openai_json.h"
#include "server/endpoints/request_fields.h"
#include "server/error_map.h"
#include "server/metrics.h"
#include "server/sse.h"

namespace hanlin::server {
namespace {

constexpr int64_t kUsualMaxTokens = 256;
constexpr double kDefaultTemperature = 0.7;
constexpr size_t kMaxTexts = 2048;

// {"response","tokens_used","model","finish_reason"}; streamed: {"delta"} frames and the whole object at the end.
class ServiceAnswer final : public GenerationAnswer {
 public:
  ServiceAnswer(std::string model, bool stream) : model_(std::move(model)), stream_(stream) {}
  bool streaming() const override { return stream_; }

  void on_event(SourcedEvent&& sourced, std::string* frames) override {
    const api::TokenEvent& event = sourced.event;
    text_ += event.text;
    if (stream_ && !event.text.empty()) *frames += sse_frame(R"({"delta":)" + json_quoted(event.text) + "}");
    if (event.finish) finish_ = *event.finish;
    if (event.last) usage_ = event.usage;
  }
  std::string closing_frames() override { return sse_frame(dump_json(body())).append(kSseDone); }
  HttpResponse response() override { return json_response(body()); }

 private:
  // tokens_used counts what was generated and what was read.
  Json body() const {
    return {{"response", text_}, {"tokens_used", usage_.prompt_tokens + usage_.completion_tokens}, {"model", model_},
            {"prompt_tokens", usage_.prompt_tokens}, {"completion_tokens", usage_.completion_tokens}, {"finish_reason", finish_reason_name(finish_)}};
  }

  const std::string model_;
  const bool stream_;
  std::string text_;
  api::FinishReason finish_ = api::FinishReason::kStop;
  api::Usage usage_;
};

Result<RunningGeneration> start(const EndpointContext& context, bool is_chat) {
  HANLIN_ASSIGN(const Json body, parse_body(context.request.body));
  JsonFields fields(body);
  HANLIN_ASSIGN(const api::ServedModel* model, generator_model(context, fields));
  api::GenerateRequest request;
  request.sampling.temperature = static_cast<float>(kDefaultTemperature);
  read_generation_fields(context, fields, &request);
  if (request.n != 1) fields.fail("n", "expected 1: this endpoint answers with one text");
  request.max_tokens = fields.integer("max_tokens", kUsualMaxTokens, 1, INT64_MAX);
  const bool stream = fields.boolean("stream", false);
  if (is_chat) {
    api::ChatPrompt prompt;
    if (const std::string system = fields.text("system"); !system.empty()) prompt.messages.push_back({"system", system});
    prompt.messages.push_back({"user", fields.required_text("message")});
    if (prompt.messages.back().content.empty()) fields.fail("message", "expected a text that is not empty");
    request.prompt = std::move(prompt);
  } else {
    request.prompt = api::TextPrompt{fields.required_text("prompt")};
  }
  HANLIN_TRY(fields.status());
  RunningGeneration running;
  running.model = model->name;
  running.answer = std::make_unique<ServiceAnswer>(model->name, stream);
  HANLIN_ASSIGN(auto generation, model->generator->submit(std::move(request), context.channel->sink(0)));
  running.generations.push_back(std::move(generation));
  return running;
}

Reply start_or_error(const EndpointContext& context, bool is_chat) {
  Result<RunningGeneration> running = start(context, is_chat);
  if (!running.ok()) return error_response(running.error());
  return std::move(running).value();
}

// {"text"} → {"embedding"}, {"texts"} → {"embeddings"}.
Result<HttpResponse> embed_texts(const EndpointContext& context) {
  HANLIN_ASSIGN(const Json body, parse_body(context.request.body));
  JsonFields fields(body);
  HANLIN_ASSIGN(const api::ServedModel* model, embedder_model(context, fields));
  const bool many = fields.find("texts") != nullptr;
  api::EmbedRequest request;
  if (many) {
    for (std::string& text : fields.text_or_texts("texts", kMaxTexts, SIZE_MAX)) request.inputs.emplace_back(std::move(text));
    if (request.inputs.empty()) fields.fail("texts", "expected at least one text");
  } else {
    std::string text = fields.required_text("text");
    if (text.empty()) fields.fail("text", "expected a text that is not empty");
    request.inputs.emplace_back(std::move(text));
  }
  request.dimensions = read_dimensions(fields, *model->embedder);
  request.truncate = fields.boolean("truncate", false);
  HANLIN_TRY(fields.status());
  Result<api::EmbedResult> embedded = model->embedder->embed(request);
  if (!embedded.ok()) return model_error(std::move(embedded).error());
  const api::EmbedResult result = std::move(embedded).value();
  context.metrics.embedded_tokens(model->name, result.prompt_tokens);
  Json answer;
  if (many) answer["embeddings"] = result.vectors;
  else answer["embedding"] = result.vectors.at(0);
  answer["dimensions"] = result.vectors.at(0).size();
  answer["model"] = model->name;
  answer["tokens_used"] = result.prompt_tokens;
  return json_response(answer);
}

}  // namespace

Reply service_chat(const EndpointContext& context) { return start_or_error(context, true); }
Reply service_generation(const EndpointContext& context) { return start_or_error(context, false); }

Reply service_embedding(const EndpointContext& context) {
  Result<HttpResponse> response = embed_texts(context);
  return response.ok() ? std::move(response).value() : error_response(response.error());
}

}  // namespace hanlin::server
