#include "agent/call_grammar.h"
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

// How this model's template handles tools, and whether this request's options make it open the thoughts.
agent::ChatStyle chat_style(const EndpointContext& context, const api::ServedModel& model, const api::ChatPrompt& prompt) {
  agent::ChatStyle style = context.chat_styles.of(model.generator);
  if (!prompt.template_kwargs_json.empty()) {
    api::ChatPrompt question{{api::Message{"user", "?"}}};
    question.template_kwargs_json = prompt.template_kwargs_json;
    if (const auto text = model.generator->render_chat(question); text.ok()) agent::judge_prompt_end(*text, &style);
  }
  style.opens_reasoning = style.opens_reasoning && prompt.add_generation_prompt;
  return style;
}

bool is_response_format(const api::Constraint& constraint) { return constraint.param == "response_format"; }

// Fits the prompt to the model's template, and says how the answer is to be read.
ChatAnswerPlan plan_answer(agent::ChatStyle style, const ToolFields& tools, api::GenerateRequest* request) {
  auto& prompt = std::get<api::ChatPrompt>(request->prompt);
  prompt.tools_json = tools.tools_json;
  // Where the prompt says how to call, it asks for a notation in which these tools' schemas can be enforced.
  if (tools.tools && !style.shows_tools) style.format = agent::forced_call_format(style.format, *tools.tools);
  agent::fit_prompt(style, tools.tools ? *tools.tools : agent::ToolSet(), tools.forced, &prompt);
  // With a response_format what is no call follows that; a demanded call is all that there is.
  const std::optional<api::Constraint> answer = request->constraint;
  const bool constrained = tools.tools && tools.constrained && (!answer || is_response_format(*answer));
  ChatAnswerPlan plan;
  plan.n_choices = request->n;
  plan.logprobs = request->logprobs >= 0;
  plan.tools = tools.tools;
  plan.format = tools.tools ? agent::make_call_format(style.format, *tools.tools, /*exact=*/constrained) : agent::plain_format();
  plan.parsing = {.in_reasoning = style.opens_reasoning, .reasoning_end = style.reasoning_end, .max_calls = tools.max_calls,
                  .only_calls = tools.forced.required, .trim = tools.tools != nullptr};
  plan.prefix = prompt.answer_prefix;
  plan.legacy_calls = tools.legacy;
  request->visible_special_tokens = agent::visible_markers(plan.format);
  if (constrained) {
    agent::CallGrammarOptions options{.forced = tools.forced, .max_calls = tools.max_calls, .in_reasoning = style.opens_reasoning, .reasoning_end = style.reasoning_end};
    if (answer) {
      options.answer_schema = answer->source;
      options.answer_param = answer->param;
    }
    request->constraint = agent::call_constraint(style.format, *tools.tools, options, tools.legacy);
  }
  return plan;
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
  const ToolFields tools = read_tool_fields(fields);
  HANLIN_ASSIGN(api::ChatPrompt prompt, read_chat_prompt(fields));
  if (request.constraint && tools.forced.required && (!tools.constrained || !is_response_format(*request.constraint))) {
    return Error{Code::kInvalidArgument, "tool_choice: expected no demanded call together with " + request.constraint->param, "tool_choice"};
  }
  const agent::ChatStyle style = chat_style(context, *model, prompt);
  request.prompt = std::move(prompt);
  ChatAnswerPlan plan = plan_answer(style, tools, &request);
  plan.include_usage = stream.include_usage;

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
