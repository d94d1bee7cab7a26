#include "engine/chat_prompt.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "base/log.h"

namespace hanlin::engine {
namespace {

// Most templates expect the arguments as an object (they write it with tojson); what is not JSON stays a string.
Json tool_call_json(const api::ToolCall& call, bool arguments_as_text) {
  Result<Json> arguments = parse_json(call.arguments);
  const bool as_text = arguments_as_text || !arguments.ok();
  Json function = {{"name", call.name}, {"arguments", as_text ? Json(call.arguments) : std::move(*arguments)}};
  Json json = {{"type", "function"}, {"function", std::move(function)}};
  if (!call.id.empty()) json["id"] = call.id;
  return json;
}

Json message_json(const api::Message& message, bool arguments_as_text) {
  Json json = {{"role", message.role}, {"content", message.content}};
  if (!message.name.empty()) json["name"] = message.name;
  if (!message.tool_call_id.empty()) json["tool_call_id"] = message.tool_call_id;
  if (!message.reasoning.empty()) json["reasoning_content"] = message.reasoning;
  for (const api::ToolCall& call : message.tool_calls) json["tool_calls"].push_back(tool_call_json(call, arguments_as_text));
  return json;
}

Result<Json> parse_param(const std::string& text, const char* param) {
  Result<Json> json = parse_json(text);
  if (!json.ok()) return Error{Code::kInvalidArgument, std::string(param) + ": " + json.error().message, param};
  return json;
}

}  // namespace

ChatPrompter::ChatPrompter(std::shared_ptr<const Tokenizer> tokenizer) : tokenizer_(std::move(tokenizer)) {
  if (tokenizer_->chat_template().empty()) {
    why_not_ = "this model has no chat template; use a plain prompt";
    return;
  }
  Result<ChatTemplate> compiled = ChatTemplate::compile(tokenizer_->chat_template());
  if (compiled.ok()) {
    template_ = std::move(*compiled);
  } else {
    why_not_ = "this model's chat template cannot be used: " + compiled.error().message;
    log_warning(why_not_);
  }
}

Result<std::string> ChatPrompter::render(const api::ChatPrompt& prompt) const {
  if (!template_) return Error{Code::kUnsupported, "messages: " + why_not_, "messages"};
  if (prompt.messages.empty()) return Error{Code::kInvalidArgument, "messages: expected at least one message, got none", "messages"};
  Json context = Json::object();
  const auto messages = [&](bool arguments_as_text) {
    Json list = Json::array();
    for (const api::Message& message : prompt.messages) list.push_back(message_json(message, arguments_as_text));
    return list;
  };
  context["messages"] = messages(false);
  context["tools"] = nullptr;
  if (!prompt.tools_json.empty()) {
    HANLIN_ASSIGN(Json tools, parse_param(prompt.tools_json, "tools"));
    if (!tools.is_array()) return Error{Code::kInvalidArgument, "tools: expected a list", "tools"};
    if (!tools.empty()) context["tools"] = std::move(tools);
  }
  context["add_generation_prompt"] = prompt.add_generation_prompt;
  if (const auto bos = tokenizer_->bos()) context["bos_token"] = tokenizer_->token_text(*bos);
  if (const auto eos = tokenizer_->eos()) context["eos_token"] = tokenizer_->token_text(*eos);
  if (!prompt.template_kwargs_json.empty()) {
    HANLIN_ASSIGN(Json extra, parse_param(prompt.template_kwargs_json, "chat_template_kwargs"));
    if (!extra.is_object()) return Error{Code::kInvalidArgument, "chat_template_kwargs: expected an object", "chat_template_kwargs"};
    for (auto& [key, value] : extra.items()) context[key] = std::move(value);
  }
  Result<std::string> text = template_->render(context);
  const bool has_calls = std::any_of(prompt.messages.begin(), prompt.messages.end(), [](const auto& m) { return !m.tool_calls.empty(); });
  if (!text.ok() && has_calls) {
    // Some templates join the arguments to a text and refuse objects.
    context["messages"] = messages(true);
    if (Result<std::string> again = template_->render(context); again.ok()) text = std::move(again);
  }
  if (!text.ok()) {
    Error error = std::move(text).error();
    if (error.param.empty()) error.param = "messages";
    return std::move(error).with_context("messages");
  }
  return *text + prompt.answer_prefix;
}

}  // namespace hanlin::engine
