// From a conversation to the text a model reads.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "api/generate.h"
#include "base/result.h"
#include "text/chat_template/chat_template.h"
#include "text/tokenizer.h"

namespace hanlin::engine {

// Runs a model's chat template. Immutable; any thread.
class ChatPrompter {
 public:
  // Compiles the tokenizer's template. A model without one, or with one that does not compile, still serves plain
  // prompts; render() then says why it cannot.
  explicit ChatPrompter(std::shared_ptr<const Tokenizer> tokenizer);

  bool has_template() const { return template_.has_value(); }
  // Errors: kUnsupported without a template; kInvalidArgument (param "messages", "tools" or "chat_template_kwargs").
  Result<std::string> render(const api::ChatPrompt& prompt) const;

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::optional<ChatTemplate> template_;
  std::string why_not_;
};

}  // namespace hanlin::engine
