// A generator that writes tool calls as text, as one with native tool calls.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/chat_style.h"
#include "api/generate.h"

namespace hanlin::agent {

// Chat prompts are fitted to the model's template, calls are held to their schemas, and the answer's text is split into
// content, thoughts and calls, as the service does it. Everything else is passed on. Errors of submit() besides the inner
// generator's: kInvalidArgument with param "tools" or "tool_choice". Any thread; a generator with native calls is left alone.
class NativeCalls final : public api::TextGenerator {
 public:
  // `format`: how the model writes calls, a name of call_format_names(); "auto": as its template says.
  explicit NativeCalls(std::shared_ptr<api::TextGenerator> inner, const std::string& format = "auto") : inner_(std::move(inner)), styles_(format) {}

  const api::ModelInfo& info() const override { return inner_->info(); }
  bool native_tool_calls() const override { return true; }
  Result<std::shared_ptr<api::Generation>> submit(api::GenerateRequest request, api::TokenSink sink) override;
  Result<std::vector<int32_t>> tokenize(const std::string& text, bool add_special, bool parse_special) const override { return inner_->tokenize(text, add_special, parse_special); }
  Result<std::string> detokenize(const std::vector<int32_t>& ids) const override { return inner_->detokenize(ids); }
  Result<std::string> render_chat(const api::ChatPrompt& prompt) const override { return inner_->render_chat(prompt); }
  api::GeneratorStats stats() const override { return inner_->stats(); }

 private:
  const std::shared_ptr<api::TextGenerator> inner_;
  ChatStyles styles_;
};

}  // namespace hanlin::agent
