// The answers of /v1/chat/completions, streamed and whole.
#pragma once

#include <memory>
#include <string>

#include "agent/chat_turn.h"
#include "server/endpoint.h"
#include "server/endpoints/openai_json.h"

namespace hanlin::server {

// How the text of an answer is to be read and shown.
struct ChatAnswerPlan {
  int n_choices = 1;
  bool logprobs = false;
  bool include_usage = false;
  agent::TurnPlan turn = {};
  bool legacy_calls = false;  // "function_call" instead of "tool_calls"
};

// Chunks byte for byte as OpenAI frames them: the role first, then text, thoughts and pieces of calls, then the reason to finish.
std::unique_ptr<GenerationAnswer> chat_stream(AnswerIdentity identity, ChatAnswerPlan plan);
std::unique_ptr<GenerationAnswer> chat_whole(AnswerIdentity identity, ChatAnswerPlan plan);

}  // namespace hanlin::server
