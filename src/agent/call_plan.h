// A chat request with tools, fitted to a model that writes its calls as text, and how its answer is to be read.
#pragma once

#include <memory>
#include <string>

#include "agent/call_parser/call_parser.h"
#include "agent/chat_style.h"
#include "agent/tool_prompt.h"
#include "agent/tool_set.h"
#include "api/generate.h"

namespace hanlin::agent {

// What a request says about tools.
struct ToolUse {
  std::shared_ptr<const ToolSet> tools = {};  // that may be called; null: none
  std::string tools_json = {};                // the same as OpenAI's list, for the chat template
  ForcedCall forced = {};
  int max_calls = 1 << 20;
  bool constrained = true;                    // calls follow a grammar
  bool legacy = false;                        // they stand in "functions": for messages
};

// How the text of an answer is to be read.
struct AnswerReading {
  CallFormat format = {};
  std::shared_ptr<const ToolSet> tools = {};  // null: no calls
  CallParserOptions parsing = {};
  std::string prefix = {};                    // what the prompt already holds of the answer
};

// The model's style for this prompt: its options may open or close the thoughts.
ChatStyle style_of_prompt(ChatStyle style, const api::TextGenerator& generator, const api::ChatPrompt& prompt);

// Fits the request's chat prompt to the model's template; sets its constraint, unless it has one, and its visible tokens.
AnswerReading fit_request(ChatStyle style, const ToolUse& use, api::GenerateRequest* request);

// "call_" and 24 letters and digits, at random.
std::string make_call_id();

}  // namespace hanlin::agent
