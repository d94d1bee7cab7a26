#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "agent/generate.h"
#include "agent/memory/memory.h"
#include "agent/memory/turns.h"

namespace hanlin::agent {
namespace {

constexpr std::chrono::seconds kGrace{5};
constexpr int64_t kTokensPerMessage = 4;  // what a template puts around one

constexpr const char* kInstruction =
    "You keep the memory of a conversation. Write a summary of what is below: facts, names, numbers, decisions, what the user wants, and "
    "what is still open. Leave nothing out that later turns may need. Write in the language of the conversation. Answer with the summary only.";

// The whole text of one answer. The request has a deadline, which is for the generator to keep.
Result<std::string> generate_text(api::TextGenerator& generator, api::GenerateRequest request) {
  const auto give_up_at = *request.deadline + kGrace;
  std::string text;
  const auto add = [&](const api::TokenEvent& event) {
    text += event.text;
    return true;
  };
  HANLIN_ASSIGN(const Generated generated, generate(generator, std::move(request), add, give_up_at, {}));
  if (generated.out_of_time) return Error{Code::kDeadlineExceeded, "summary: the time allowed for it ran out"};
  if (generated.finish == api::FinishReason::kCancelled) return Error{Code::kCancelled, "summary: the generator is shutting down"};
  return text;
}

class SummaryMemory final : public Memory {
 public:
  explicit SummaryMemory(SummaryMemoryOptions options) : options_(std::move(options)) {}

  Result<std::vector<api::Message>> select(const std::vector<api::Message>& messages) override {
    const Turns turns = split_turns(messages);
    int64_t head = 0, total = 0;
    for (size_t i = 0; i < turns.n_head; ++i) head += count(messages[i]);
    std::vector<int64_t> sizes;
    for (const TurnSpan& turn : turns.turns) {
      int64_t size = 0;
      for (size_t i = turn.begin; i < turn.end; ++i) size += count(messages[i]);
      sizes.push_back(size);
      total += size;
    }
    if (head + total <= options_.budget_tokens) return messages;
    size_t first = turns.turns.size();
    for (int64_t left = options_.budget_tokens - options_.summary_tokens - head; first > 0; --first) {
      left -= sizes[first - 1];
      if (left < 0 && first < turns.turns.size()) break;  // the last turn stays in any case
    }
    HANLIN_TRY(summarise(messages, turns, first));
    return compose(messages, turns, first, summary_.empty() ? "" : "Summary of the conversation so far:\n" + summary_);
  }

 private:
  int64_t count(const api::Message& message) {
    std::string text = message.content;
    for (const api::ToolCall& call : message.tool_calls) text += call.name + call.arguments;
    if (has_tokenizer_ && !text.empty()) {
      const auto found = counted_.find(text);
      if (found != counted_.end()) return found->second;
      const auto ids = options_.generator->tokenize(text, /*add_special=*/false, /*parse_special=*/false);
      if (ids.ok()) return counted_[text] = static_cast<int64_t>(ids->size()) + kTokensPerMessage;
      has_tokenizer_ = false;
    }
    return static_cast<int64_t>(text.size() + 3) / 4 + kTokensPerMessage;
  }

  // Brings summary_ up to the turns before `first`. A conversation that was changed or begins anew is summarised anew.
  Status summarise(const std::vector<api::Message>& messages, const Turns& turns, size_t first) {
    std::string text;
    std::vector<std::string> told;
    for (size_t i = 0; i < first; ++i) told.push_back(turn_text(messages, turns.turns[i]));
    const bool goes_on = told_.size() <= told.size() && std::equal(told_.begin(), told_.end(), told.begin());
    if (!goes_on) summary_.clear(), told_.clear();
    if (told.size() == told_.size()) return {};
    if (!summary_.empty()) text = "Summary of what came before:\n" + summary_ + "\n\nWhat was said since:\n";
    for (size_t i = told_.size(); i < told.size(); ++i) text += told[i] + "\n";
    api::GenerateRequest request;
    request.prompt = api::ChatPrompt{.messages = {{"system", kInstruction}, {"user", text}}};
    request.sampling.temperature = 0;
    request.max_tokens = options_.summary_tokens;
    request.deadline = std::chrono::steady_clock::now() + options_.timeout;
    Result<std::string> summary = generate_text(*options_.generator, std::move(request));
    if (!summary.ok()) return std::move(summary).error().with_context("summary of the conversation");
    summary_ = std::move(summary).value();
    told_ = std::move(told);
    return {};
  }

  const SummaryMemoryOptions options_;
  bool has_tokenizer_ = true;
  std::map<std::string, int64_t> counted_;  // by text: a remote tokenizer is not asked twice
  std::string summary_;
  std::vector<std::string> told_;  // the turns that are in it
};

}  // namespace

std::unique_ptr<Memory> make_summary_memory(SummaryMemoryOptions options) { return std::make_unique<SummaryMemory>(std::move(options)); }

}  // namespace hanlin::agent
