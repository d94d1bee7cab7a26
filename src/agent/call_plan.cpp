#include "agent/call_plan.h"

#include <random>

#include "agent/call_grammar.h"

namespace hanlin::agent {

ChatStyle style_of_prompt(ChatStyle style, const api::TextGenerator& generator, const api::ChatPrompt& prompt) {
  if (!prompt.template_kwargs_json.empty()) {
    api::ChatPrompt question{{api::Message{"user", "?"}}};
    question.template_kwargs_json = prompt.template_kwargs_json;
    if (const auto text = generator.render_chat(question); text.ok()) judge_prompt_end(*text, &style);
  }
  style.opens_reasoning = style.opens_reasoning && prompt.add_generation_prompt;
  return style;
}

AnswerReading fit_request(ChatStyle style, const ToolUse& use, api::GenerateRequest* request) {
  auto& prompt = std::get<api::ChatPrompt>(request->prompt);
  prompt.tools_json = use.tools_json;
  // Where the prompt says how to call, it asks for a notation in which these tools' schemas can be enforced.
  if (use.tools && !style.shows_tools) style.format = forced_call_format(style.format, *use.tools);
  fit_prompt(style, use.tools ? *use.tools : ToolSet(), use.forced, &prompt);
  const bool constrained = use.tools && use.constrained && !request->constraint;
  AnswerReading reading;
  reading.tools = use.tools;
  reading.format = use.tools ? make_call_format(style.format, *use.tools, /*exact=*/constrained) : plain_format();
  reading.parsing = {.in_reasoning = style.opens_reasoning, .reasoning_end = style.reasoning_end, .max_calls = use.max_calls,
                     .only_calls = use.forced.required, .trim = use.tools != nullptr};
  reading.prefix = prompt.answer_prefix;
  request->visible_special_tokens = visible_markers(reading.format);
  if (constrained) {
    request->constraint = call_constraint(style.format, *use.tools,
                                          {.forced = use.forced, .max_calls = use.max_calls, .in_reasoning = style.opens_reasoning, .reasoning_end = style.reasoning_end}, use.legacy);
  }
  return reading;
}

std::string make_call_id() {
  static constexpr char kLetters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  thread_local std::mt19937_64 random{(static_cast<uint64_t>(std::random_device{}()) << 32) ^ std::random_device{}()};
  std::string id = "call_";
  for (int i = 0; i < 24; ++i) id.push_back(kLetters[random() % 62]);
  return id;
}

}  // namespace hanlin::agent
