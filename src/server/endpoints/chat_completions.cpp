#include "base/json.h"
#include "server/endpoints/chat_answer.h"
#include "server/endpoints/endpoints.h"
#include "server/endpoints/openai_json.h"
#include "server/endpoints/request_fields.h"
#include "server/endpoints/tool_fields.h"
#include "server/error_map.h"

namespace hanlin::server {
namespace {

constexpr int64_t kMaxTopLogprobs = 20;

void read_logprobs(JsonFields& fields, api::GenerateRequest* request) {
  const bool wanted = fields.boolean("logprobs", false);
  const int64_t n_top = fields.integer("top_logprobs", 0, 0, kMaxTopLogprobs);
  if (n_top > 0 && !wanted) fields.fail("top_logprobs", "expected only together with \"logprobs\": true");
  if (wanted) request->logprobs = static_cast<int>(n_top);
}

Result<api::ChatPrompt> read_chat_prompt(JsonFields& fields) {
  api::ChatPrompt prompt;
  prompt.messages = read_messages(fields);
  if (const Json* kwargs = fields.find("chat_template_kwargs")) {
    if (kwargs->is_object()) prompt.template_kwargs_json = dump_json(*kwargs);
    else fields.fail("chat_template_kwargs", "expected an object, got " + describe_json(*kwargs));
  }
  prompt.add_generation_prompt = fields.boolean("add_generation_prompt", true);
  HANLIN_TRY(fields.status());
  return prompt;
}

Result<RunningGeneration> start_chat(const EndpointContext& context) {
  HANLIN_ASSIGN(const Json body, parse_body(context.request.body));
  JsonFields fields(body);
  HANLIN_ASSIGN(const api::ServedModel* model, generator_model(context, fields));
  api::GenerateRequest request;
  read_generation_fields(context, fields, &request);
  read_constraint(fields, &request);
  read_logprobs(fields, &request);
  request.max_tokens = fields.optional_integer("max_tokens", 1, INT64_MAX);
  if (const auto newer = fields.optional_integer("max_completion_tokens", 1, INT64_MAX)) request.max_tokens = newer;
  const StreamFields stream = read_stream_fields(fields);
  const agent::TurnTools tools = read_tool_fields(fields);
  HANLIN_ASSIGN(api::ChatPrompt prompt, read_chat_prompt(fields));
  if (request.constraint && tools.forced.required && (!tools.constrained || !agent::goes_with_calls(*request.constraint))) {
    return Error{Code::kInvalidArgument, "tool_choice: expected no demanded call together with " + request.constraint->param, "tool_choice"};
  }
  const agent::ChatStyle style = agent::style_of_prompt(context.chat_styles.of(model->generator), *model->generator, prompt);
  request.prompt = std::move(prompt);
  ChatAnswerPlan plan;
  plan.n_choices = request.n;
  plan.logprobs = request.logprobs >= 0;
  plan.include_usage = stream.include_usage;
  plan.turn = agent::plan_turn(style, tools, &request);
  plan.legacy_calls = tools.legacy;

  RunningGeneration running;
  running.model = model->name;
  AnswerIdentity identity = make_identity("chatcmpl-", stream.stream ? "chat.completion.chunk" : "chat.completion", context.request_id, model->name);
  running.answer = stream.stream ? chat_stream(std::move(identity), std::move(plan)) : chat_whole(std::move(identity), std::move(plan));
  HANLIN_ASSIGN(auto generation, model->generator->submit(std::move(request), context.channel->sink(0)));
  running.generations.push_back(std::move(generation));
  return running;
}

}  // namespace

Reply chat_completions(const EndpointContext& context) {
  Result<RunningGeneration> running = start_chat(context);
  if (!running.ok()) return error_response(running.error());
  return std::move(running).value();
}

}  // namespace hanlin::server
