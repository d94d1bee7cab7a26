// One turn of a chat with tools: how the request is put to a model, and how its answer is read.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/call_parser/call_parser.h"
#include "agent/chat_style.h"
#include "agent/tool_prompt.h"
#include "agent/tool_set.h"
#include "api/generate.h"

namespace hanlin::agent {

// What a turn offers.
struct TurnTools {
  std::shared_ptr<const ToolSet> tools = {};  // those that may be called; null: none
  std::string tools_json = {};                // the same as OpenAI's list, for the chat template
  ForcedCall forced = {};
  int max_calls = 1 << 20;
  bool constrained = true;  // calls follow a grammar
  bool legacy = false;      // they came as OpenAI's older "functions"
};

// How the answer is to be read.
struct TurnPlan {
  bool native = false;      // calls and thoughts come apart from the text
  CallFormat format = {};
  std::shared_ptr<const ToolSet> tools = {};  // null: no calls
  CallParserOptions parsing = {};
  std::string prefix = {};  // what the prompt already holds of the answer
};

// The style for this prompt: its options may open or close the thoughts.
ChatStyle style_of_prompt(ChatStyle style, const api::TextGenerator& generator, const api::ChatPrompt& prompt);

// Whether calls are possible beside this constraint: what is no call follows a response_format; other constraints are the only one.
bool goes_with_calls(const api::Constraint& constraint);

// Fits the chat prompt of `request` to the model's template, constrains its calls (unless the request has a constraint of its
// own that does not go with calls) and says how to read the answer. Pure.
TurnPlan plan_turn(ChatStyle style, const TurnTools& offered, api::GenerateRequest* request);

// Reads one choice's events. Not thread-safe.
class TurnReader {
 public:
  explicit TurnReader(const TurnPlan& plan)
      : native_(plan.native), max_native_calls_(plan.tools ? plan.parsing.max_calls : 0), parser_(plan.format, plan.tools, plan.parsing), prefix_(plan.prefix) {}
  std::vector<Delta> read(const api::TokenEvent& event);
  int n_calls() const { return native_ ? n_native_calls_ : parser_.n_calls(); }

 private:
  std::vector<Delta> read_native(const api::TokenEvent& event);

  const bool native_;
  const int max_native_calls_;
  int n_native_calls_ = 0;
  CallParser parser_;
  std::string prefix_;
};

// A whole answer.
struct Reply {
  struct Call {
    std::string name, arguments = {};
    bool complete = false;
    std::string id = {};
    bool operator==(const Call&) const = default;
  };
  std::string content = {}, reasoning = {};
  std::vector<Call> calls = {};

  void add(const std::vector<Delta>& deltas);
  std::vector<Call> complete_calls() const;
  bool operator==(const Reply&) const = default;
};

// `prefix` and `n` random digits and letters: the first `n_kinds` of 0-9, a-z, A-Z. Any thread.
std::string random_id(std::string prefix, int n, size_t n_kinds = 62);
// "call_" and 24 random letters and digits.
std::string make_call_id();

}  // namespace hanlin::agent
