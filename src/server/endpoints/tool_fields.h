// Tools in a chat request: "tools", "tool_choice", "parallel_tool_calls", and the older "functions" and "function_call".
#pragma once

#include <memory>
#include <string>

#include "agent/tool_prompt.h"
#include "agent/tool_set.h"
#include "server/json_fields.h"

namespace hanlin::server {

struct ToolFields {
  // The tools that may be called; null: none.
  std::shared_ptr<const agent::ToolSet> tools = {};
  std::string tools_json = {};       // the same as OpenAI's list, for the chat template
  agent::ForcedCall forced = {};
  int max_calls = 1 << 20;
  bool constrained = true;           // calls follow a grammar
  bool legacy = false;               // answer with "function_call"
};

// Mistakes go to `fields`: kInvalidArgument with a param such as "tools[0].function.name"; kUnsupported for other kinds of tools.
ToolFields read_tool_fields(JsonFields& fields);

}  // namespace hanlin::server
