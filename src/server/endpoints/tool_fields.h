// Tools in a chat request: "tools", "tool_choice", "parallel_tool_calls", and the older "functions" and "function_call".
#pragma once

#include "agent/chat_turn.h"
#include "server/json_fields.h"

namespace hanlin::server {

// Mistakes go to `fields`: kInvalidArgument with a param such as "tools[0].function.name"; kUnsupported for other kinds of tools.
agent::TurnTools read_tool_fields(JsonFields& fields);

}  // namespace hanlin::server
