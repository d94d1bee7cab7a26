// Conversations with tools for templates that know none, or only some of it.
#pragma once

#include <string>

#include "agent/chat_style.h"
#include "agent/tool_set.h"
#include "api/generate.h"

namespace hanlin::agent {

// Which call the model must write.
struct ForcedCall {
  bool required = false;
  std::string name = {};  // empty: it chooses
};

// Rewrites `prompt` so that the model's template shows all of it:
//   – the old role "function" becomes "tool"; results get the name of the tool that was called;
//   – tools that the template does not show become a text in the system message (or the first message of the user);
//   – calls and results that it does not show become text of the assistant and of the user;
//   – behind results, a small model is told that an answer is expected now;
//   – ids get the shape that Mistral's templates insist on;
//   – a forced call is begun in `answer_prefix`, so that the model has to go on with it.
// `tools`: those offered in this request.
void fit_prompt(const ChatStyle& style, const ToolSet& tools, const ForcedCall& forced, api::ChatPrompt* prompt);

// What stands in the system message for a template without tools: which there are and how to call them.
std::string tools_as_text(const std::string& format, const ToolSet& tools);
// A call in this format's notation; where that is not JSON or Python, as JSON.
std::string call_as_text(const std::string& format, const std::string& name, const std::string& arguments_json);

}  // namespace hanlin::agent
