// From what a caller asks to what the engine runs: template, tokens, checks. On the caller's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/generate.h"
#include "base/result.h"
#include "engine/chat_prompt.h"
#include "engine/constraint.h"
#include "engine/request.h"
#include "text/tokenizer.h"

namespace hanlin::engine {

// Immutable; any thread.
class Frontend {
 public:
  // `context_length`: most tokens of prompt and answer together; `vocab_size` of the model.
  Frontend(std::shared_ptr<const Tokenizer> tokenizer, int64_t context_length, int64_t vocab_size);

  // Errors: kInvalidArgument with param, kUnsupported for a chat without template.
  Result<std::unique_ptr<Request>> prepare(api::GenerateRequest request, api::TokenSink sink) const;
  Result<std::string> render_chat(const api::ChatPrompt& prompt) const { return prompter_.render(prompt); }
  bool has_chat_template() const { return prompter_.has_template(); }

 private:
  Result<std::vector<int32_t>> prompt_tokens(api::Prompt prompt) const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  ChatPrompter prompter_;
  std::unique_ptr<ConstraintCompiler> constraints_;
  int64_t context_length_;
  int64_t vocab_size_;
};

// Checks everything of a request but its prompt. Errors: kInvalidArgument with the OpenAI name of the field as param.
Status check_params(const api::GenerateRequest& request, int64_t vocab_size);

// The request field that a prompt came from, for messages.
const char* prompt_param(const api::Prompt& prompt);

}  // namespace hanlin::engine
