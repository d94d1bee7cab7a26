#include "agent/native_calls.h"

#include <deque>

#include "agent/chat_turn.h"
#include "base/json.h"

namespace hanlin::agent {
namespace {

Error bad_choice(const std::string& what) { return {Code::kInvalidArgument, "tool_choice: " + what, "tool_choice"}; }

// The prompt's fields as a request of OpenAI's API says them.
Result<TurnTools> tool_use(const api::ChatPrompt& prompt) {
  TurnTools use;
  if (prompt.tools_json.empty()) return use;
  HANLIN_ASSIGN(const Json tools, parse_json(prompt.tools_json));
  HANLIN_ASSIGN(ToolSet set, ToolSet::from_openai(tools));
  if (set.empty()) return use;
  if (!prompt.tool_choice_json.empty()) {
    HANLIN_ASSIGN(const Json choice, parse_json(prompt.tool_choice_json));
    if (choice == "none") return use;
    use.forced.required = choice != "auto";
    if (choice.is_object()) {
      const Json& named = choice.contains("function") ? choice["function"] : choice;
      use.forced.name = named.is_object() && named.contains("name") && named["name"].is_string() ? named["name"].get<std::string>() : "";
      if (set.find(use.forced.name) == nullptr) return bad_choice("expected the name of a tool of the request");
      set = set.only({use.forced.name});
    } else if (use.forced.required && choice != "required") {
      return bad_choice("expected none, auto, required or a function");
    }
  }
  use.tools_json = prompt.tools_json;
  use.tools = std::make_shared<const ToolSet>(std::move(set));
  if (!prompt.parallel_tool_calls || !use.forced.name.empty()) use.max_calls = 1;
  return use;
}

// One answer on its way from text to parts.
class AnswerSplitter {
 public:
  AnswerSplitter(const TurnPlan& plan, int n_choices, api::TokenSink sink) : sink_(std::move(sink)) {
    for (int i = 0; i < n_choices; ++i) choices_.emplace_back(plan);
  }

  void take(api::TokenEvent&& event) {
    std::vector<Delta> deltas = choices_.at(static_cast<size_t>(event.choice_idx)).read(event);
    event.text.clear();
    for (Delta& delta : deltas) {
      switch (delta.kind) {
        case Delta::Kind::kContent: event.text += delta.text; break;
        case Delta::Kind::kReasoning: event.reasoning += delta.text; break;
        case Delta::Kind::kCallBegin: event.calls.push_back({.index = delta.call_idx, .id = std::move(delta.id), .name = std::move(delta.text)}); break;
        case Delta::Kind::kArguments: event.calls.push_back({.index = delta.call_idx, .arguments = std::move(delta.text)}); break;
        case Delta::Kind::kCallEnd: break;
      }
    }
    sink_(std::move(event));
  }

 private:
  std::deque<TurnReader> choices_;
  const api::TokenSink sink_;
};

}  // namespace

Result<std::shared_ptr<api::Generation>> NativeCalls::submit(api::GenerateRequest request, api::TokenSink sink) {
  const auto* prompt = std::get_if<api::ChatPrompt>(&request.prompt);
  if (prompt == nullptr || inner_->native_tool_calls()) return inner_->submit(std::move(request), std::move(sink));
  HANLIN_ASSIGN(const TurnTools use, tool_use(*prompt));
  if (request.constraint && use.forced.required && !goes_with_calls(*request.constraint)) return bad_choice("expected no demanded call together with " + request.constraint->param);
  const TurnPlan plan = plan_turn(style_of_prompt(styles_.of(inner_), *inner_, *prompt), use, &request);
  auto splitter = std::make_shared<AnswerSplitter>(plan, request.n, std::move(sink));
  return inner_->submit(std::move(request), [splitter](api::TokenEvent&& event) { splitter->take(std::move(event)); });
}

}  // namespace hanlin::agent
