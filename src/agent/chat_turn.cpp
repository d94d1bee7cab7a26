#include "agent/chat_turn.h"

#include <cstdint>
#include <optional>
#include <random>
#include <utility>

#include "agent/call_grammar.h"
#include "base/json.h"

namespace hanlin::agent {

namespace {

// The generator takes the tools as they are and tells calls from text itself.
TurnPlan plan_native_turn(const TurnTools& offered, api::ChatPrompt* prompt) {
  if (!offered.forced.name.empty()) prompt->tool_choice_json = dump_json({{"type", "function"}, {"function", {{"name", offered.forced.name}}}});
  else if (offered.forced.required) prompt->tool_choice_json = R"("required")";
  prompt->parallel_tool_calls = offered.max_calls > 1;
  return {.native = true, .format = plain_format(), .tools = offered.tools, .parsing = {.max_calls = offered.max_calls}};
}

}  // namespace

ChatStyle style_of_prompt(ChatStyle style, const api::TextGenerator& generator, const api::ChatPrompt& prompt) {
  if (style.native) return style;
  if (!prompt.template_kwargs_json.empty()) {
    api::ChatPrompt question{{api::Message{"user", "?"}}};
    question.template_kwargs_json = prompt.template_kwargs_json;
    if (const auto text = generator.render_chat(question); text.ok()) judge_prompt_end(*text, &style);
  }
  style.opens_reasoning = style.opens_reasoning && prompt.add_generation_prompt;
  return style;
}

bool goes_with_calls(const api::Constraint& constraint) { return constraint.kind == api::Constraint::Kind::kJsonSchema && constraint.param == "response_format"; }

TurnPlan plan_turn(ChatStyle style, const TurnTools& offered, api::GenerateRequest* request) {
  auto& prompt = std::get<api::ChatPrompt>(request->prompt);
  prompt.tools_json = offered.tools_json;
  if (style.native) return plan_native_turn(offered, &prompt);
  // Where the prompt says how to call, it asks for a notation in which these tools' schemas can be enforced.
  if (offered.tools && !style.shows_tools) style.format = forced_call_format(style.format, *offered.tools);
  fit_prompt(style, offered.tools ? *offered.tools : ToolSet(), offered.forced, &prompt);
  const std::optional<api::Constraint> answer = request->constraint;
  const bool constrained = offered.tools && offered.constrained && (!answer || goes_with_calls(*answer));
  TurnPlan plan;
  plan.tools = offered.tools;
  plan.format = offered.tools ? make_call_format(style.format, *offered.tools, /*exact=*/constrained) : plain_format();
  plan.parsing = {.in_reasoning = style.opens_reasoning, .reasoning_end = style.reasoning_end, .max_calls = offered.max_calls,
                  .only_calls = offered.forced.required, .trim = offered.tools != nullptr};
  plan.prefix = prompt.answer_prefix;
  request->visible_special_tokens = visible_markers(plan.format);
  if (constrained) {
    CallGrammarOptions options{.forced = offered.forced, .max_calls = offered.max_calls, .in_reasoning = style.opens_reasoning, .reasoning_end = style.reasoning_end};
    if (answer) {
      options.answer_schema = answer->source;
      options.answer_param = answer->param;
    }
    request->constraint = call_constraint(style.format, *offered.tools, options, offered.legacy);
  }
  return plan;
}

std::vector<Delta> TurnReader::read(const api::TokenEvent& event) {
  if (native_) return read_native(event);
  std::vector<Delta> deltas;
  if (!prefix_.empty()) parser_.feed(std::exchange(prefix_, {}), &deltas);
  parser_.feed(event.text, &deltas);
  if (event.finish) parser_.finish(*event.finish != api::FinishReason::kStop, &deltas);
  for (Delta& delta : deltas) {
    if (delta.kind == Delta::Kind::kCallBegin) delta.id = make_call_id();
  }
  return deltas;
}

std::vector<Delta> TurnReader::read_native(const api::TokenEvent& event) {
  std::vector<Delta> deltas;
  if (!event.reasoning.empty()) deltas.push_back({Delta::Kind::kReasoning, event.reasoning});
  if (!event.text.empty()) deltas.push_back({Delta::Kind::kContent, event.text});
  for (const api::ToolCallDelta& call : event.calls) {
    if (call.index >= max_native_calls_) continue;
    if (call.index >= n_native_calls_) {
      n_native_calls_ = call.index + 1;
      deltas.push_back({Delta::Kind::kCallBegin, call.name, call.index, call.id});
    }
    if (!call.arguments.empty()) deltas.push_back({Delta::Kind::kArguments, call.arguments, call.index});
  }
  for (int i = 0; event.finish == api::FinishReason::kStop && i < n_native_calls_; ++i) deltas.push_back({Delta::Kind::kCallEnd, {}, i});
  return deltas;
}

void Reply::add(const std::vector<Delta>& deltas) {
  for (const Delta& delta : deltas) {
    const auto idx = static_cast<size_t>(delta.call_idx);
    switch (delta.kind) {
      case Delta::Kind::kContent: content += delta.text; break;
      case Delta::Kind::kReasoning: reasoning += delta.text; break;
      case Delta::Kind::kCallBegin: calls.push_back({.name = delta.text, .id = delta.id}); break;
      case Delta::Kind::kArguments: calls.at(idx).arguments += delta.text; break;
      case Delta::Kind::kCallEnd: calls.at(idx).complete = true; break;
    }
  }
}

std::vector<Reply::Call> Reply::complete_calls() const {
  std::vector<Call> found;
  for (const Call& call : calls) {
    if (call.complete) found.push_back(call);
  }
  return found;
}

std::string random_id(std::string prefix, int n, size_t n_kinds) {
  static constexpr char kLetters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  thread_local std::mt19937_64 random{(static_cast<uint64_t>(std::random_device{}()) << 32) ^ std::random_device{}()};
  for (int i = 0; i < n; ++i) prefix.push_back(kLetters[random() % n_kinds]);
  return prefix;
}

std::string make_call_id() { return random_id("call_", 24); }

}  // namespace hanlin::agent
