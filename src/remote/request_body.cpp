#include "remote/request_body.h"

#include <fmt/format.h>

#include <deque>

#include "base/json.h"

namespace hanlin::remote {
namespace {

// The shortest decimal that is this float again: 0.7f as 0.7, not as 0.699999988.
Json number(float value) {
  Result<Json> json = parse_json(fmt::format("{}", value));
  return json.ok() ? std::move(json).value() : Json(value);
}

void add_sampling(const api::GenerateRequest& request, const RemoteOptions& options, Json& body) {
  const api::SamplingParams& sampling = request.sampling;
  const api::SamplingParams defaults;
  body["temperature"] = number(sampling.temperature);  // always: services have defaults of their own
  const auto add = [&](const char* name, float value, float usual) {
    if (value != usual) body[name] = number(value);
  };
  add("top_p", sampling.top_p, defaults.top_p);
  add("min_p", sampling.min_p, defaults.min_p);
  add("typical_p", sampling.typical_p, defaults.typical_p);
  add("repetition_penalty", sampling.repetition_penalty, defaults.repetition_penalty);
  add("presence_penalty", sampling.presence_penalty, defaults.presence_penalty);
  add("frequency_penalty", sampling.frequency_penalty, defaults.frequency_penalty);
  if (sampling.top_k > 0) body["top_k"] = sampling.top_k;
  if (sampling.seed) body["seed"] = static_cast<int64_t>(*sampling.seed);
  for (const auto& [token, bias] : sampling.logit_bias) body["logit_bias"][std::to_string(token)] = number(bias);
  if (request.max_tokens) body[options.max_tokens_field] = *request.max_tokens;
  if (!request.stop.empty()) body["stop"] = request.stop;
  if (!request.stop_token_ids.empty()) body["stop_token_ids"] = request.stop_token_ids;
  if (request.ignore_eos) body["ignore_eos"] = true;
  if (request.include_stop) body["include_stop_str_in_output"] = true;
  if (request.priority != 0) body["priority"] = request.priority;
  if (request.n != 1) body["n"] = request.n;
}

Status add_constraint(const api::Constraint& constraint, const RemoteOptions& options, Json& body) {
  using Kind = api::Constraint::Kind;
  if (constraint.kind == Kind::kCalls) return {};
  if (constraint.kind != Kind::kJsonSchema) {
    return Error{Code::kUnsupported, fmt::format("{}: {} is a remote model, of which only JSON Schemas can be demanded", constraint.param, options.name), constraint.param};
  }
  HANLIN_ASSIGN(Json schema, parse_json(constraint.source));
  if (schema == Json{{"type", "object"}}) body["response_format"] = {{"type", "json_object"}};
  else body["response_format"] = {{"type", "json_schema"}, {"json_schema", {{"name", "answer"}, {"strict", true}, {"schema", std::move(schema)}}}};
  return {};
}

// Adds JSON text as a value; our callers have parsed it before, so that a mistake in it is theirs.
Status add_json(const char* name, const std::string& text, Json& body) {
  if (text.empty()) return {};
  Result<Json> json = parse_json(text);
  if (!json.ok()) return Error{Code::kInvalidArgument, fmt::format("{}: {}", name, json.error().message), name};
  body[name] = std::move(json).value();
  return {};
}

Status add_chat(const api::ChatPrompt& prompt, const RemoteOptions& options, Json& body) {
  if (!prompt.answer_prefix.empty()) {
    return Error{Code::kUnsupported, fmt::format("{}: the answer of a remote model cannot be begun for it", options.name), "messages"};
  }
  body["messages"] = messages_json(prompt.messages);
  HANLIN_TRY(add_json("tools", prompt.tools_json, body));
  HANLIN_TRY(add_json("chat_template_kwargs", prompt.template_kwargs_json, body));
  if (!prompt.tools_json.empty()) {
    HANLIN_TRY(add_json("tool_choice", prompt.tool_choice_json, body));
    if (!prompt.parallel_tool_calls) body["parallel_tool_calls"] = false;
  }
  if (!prompt.add_generation_prompt) body["add_generation_prompt"] = false;
  return {};
}

}  // namespace

Json messages_json(const std::vector<api::Message>& messages) {
  Json list = Json::array();
  std::deque<std::string> open_calls;  // ids that wait for their results, in order
  int n_made = 0;
  for (const api::Message& message : messages) {
    const bool is_result = message.role == "tool" || message.role == "function";
    Json item = {{"role", is_result ? "tool" : message.role}};
    item["content"] = message.content.empty() && !message.tool_calls.empty() ? Json() : Json(message.content);
    if (!message.name.empty() && !is_result) item["name"] = message.name;
    if (!message.reasoning.empty()) item["reasoning_content"] = message.reasoning;
    for (const api::ToolCall& call : message.tool_calls) {
      const std::string id = call.id.empty() ? fmt::format("call_{}", n_made++) : call.id;
      item["tool_calls"].push_back({{"id", id}, {"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
      open_calls.push_back(id);
    }
    if (is_result) {
      std::string id = message.tool_call_id;
      if (id.empty() && !open_calls.empty()) id = open_calls.front();
      std::erase(open_calls, id);
      item["tool_call_id"] = id;
    }
    list.push_back(std::move(item));
  }
  return list;
}

Result<RequestBody> request_body(const api::GenerateRequest& request, const RemoteOptions& options) {
  Json body = {{"model", options.model}, {"stream", true}, {"stream_options", {{"include_usage", true}}}};
  if (request.prompt_logprobs >= 0) {
    return Error{Code::kUnsupported, fmt::format("logprobs: {} is a remote model, which does not score its prompt", options.name), "echo"};
  }
  RequestBody result;
  if (const auto* chat = std::get_if<api::ChatPrompt>(&request.prompt)) {
    result.path = "/chat/completions";
    HANLIN_TRY(add_chat(*chat, options, body));
    if (request.logprobs >= 0) {
      body["logprobs"] = true;
      if (request.logprobs > 0) body["top_logprobs"] = request.logprobs;
    }
  } else {
    result.path = "/completions";
    if (const auto* text = std::get_if<api::TextPrompt>(&request.prompt)) {
      body["prompt"] = text->text;
      if (!text->add_special) body["add_special_tokens"] = false;
    } else {
      body["prompt"] = std::get<api::TokenPrompt>(request.prompt).ids;
    }
    if (request.logprobs >= 0) body["logprobs"] = request.logprobs;
  }
  add_sampling(request, options, body);
  if (result.path == "/completions" && request.max_tokens) {
    body.erase(options.max_tokens_field);
    body["max_tokens"] = *request.max_tokens;  // the older endpoint has no newer name
  }
  if (request.constraint) HANLIN_TRY(add_constraint(*request.constraint, options, body));
  result.json = dump_json(body);
  return result;
}

}  // namespace hanlin::remote
