#include "agent/run/dialect.h"

#include <set>

#include "agent/call_grammar.h"
#include "agent/language.h"
#include "agent/react_parser.h"
#include "base/json.h"

namespace hanlin::agent {
namespace {

api::GenerateRequest base_request(const RunRequest& run) {
  api::GenerateRequest request;
  request.sampling.temperature = static_cast<float>(run.temperature);
  request.sampling.seed = run.seed;
  request.max_tokens = run.limits.max_step_tokens;
  return request;
}

// OpenAI's list, for chat templates.
std::string tools_json(const ToolSet& tools) {
  Json list = Json::array();
  for (const Tool& tool : tools.tools()) {
    Json function = {{"name", tool.name}, {"description", tool.description}};
    Result<Json> schema = parse_json(tool.parameters_json);
    function["parameters"] = schema.ok() ? std::move(schema).value() : Json{{"type", "object"}, {"properties", Json::object()}};
    list.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  return dump_json(list);
}

std::string with_note(const std::string& system, const std::string& note) { return system + (system.empty() || note.empty() ? "" : "\n\n") + note; }

class FunctionInput final : public TurnInput {
 public:
  FunctionInput(const TurnPlan& plan, int64_t max_calls) : reader_(plan), max_calls_(max_calls) {}
  std::vector<Delta> read(const api::TokenEvent& event) override {
    std::vector<Delta> deltas = reader_.read(event);
    reply_.add(deltas);
    return deltas;
  }
  // Small models that have begun to call do not find the end: the same call again is none, and nothing good comes behind it.
  bool complete() const override { return reader_.n_calls() >= max_calls_ || (reader_.n_calls() > 1 && different_calls().size() < static_cast<size_t>(reader_.n_calls())); }
  Turn finish() override {
    Turn turn{.content = reply_.content, .reasoning = reply_.reasoning};
    for (Reply::Call& call : different_calls()) turn.calls.push_back({std::move(call.name), std::move(call.arguments), std::move(call.id)});
    if (!turn.calls.empty()) return turn;
    turn.answer = reply_.content;
    if (turn.answer.find_first_not_of(" \t\r\n") == std::string::npos) turn.error = "Your answer was empty. Call a tool, or answer in words.";
    return turn;
  }

 private:
  std::vector<Reply::Call> different_calls() const {
    std::vector<Reply::Call> calls;
    std::set<std::string> seen;
    for (Reply::Call& call : reply_.complete_calls()) {
      if (seen.insert(call_text(call.name, call.arguments)).second) calls.push_back(std::move(call));
    }
    return calls;
  }

  TurnReader reader_;
  const int64_t max_calls_;
  Reply reply_;
};

// Words, which do not begin as a call does.
api::Constraint in_words() {
  api::Constraint constraint;
  constraint.kind = api::Constraint::Kind::kGrammar;
  constraint.source = "root ::= [^{\\[<` \\n\\t\\r] ([^\\n] | \"\\n\")*\n";
  return constraint;
}

// A text that stands alone is the value of the only argument, or of the only required one.
Json input_object(const Tool* tool, Json input) {
  if (input.is_object()) return input;
  if (input.is_null() || tool == nullptr) return Json::object();
  const Json schema = parameters_schema(*tool);
  const Json properties = schema.value("properties", Json::object()), required = schema.value("required", Json::array());
  std::string name = properties.size() == 1 ? properties.begin().key() : "";
  if (required.is_array() && required.size() == 1 && required[0].is_string()) name = required[0].get<std::string>();
  return name.empty() ? input : Json{{name, std::move(input)}};
}

class ReactInput final : public TurnInput {
 public:
  ReactInput(const TurnPlan& plan, std::shared_ptr<const ToolSet> tools, bool final_step) : reader_(plan), tools_(std::move(tools)), final_step_(final_step) {}
  std::vector<Delta> read(const api::TokenEvent& event) override {
    std::vector<Delta> deltas = reader_.read(event);
    reply_.add(deltas);
    return deltas;
  }
  Turn finish() override {
    Turn turn{.content = reply_.content, .reasoning = reply_.reasoning};
    ReactStep step = parse_react(reply_.content);
    if (!step.thought.empty()) turn.reasoning += (turn.reasoning.empty() ? "" : "\n") + step.thought;
    if (step.kind == ReactStep::Kind::kFinal) {
      turn.answer = std::move(step.answer);
    } else if (final_step_) {
      turn.answer = step.kind == ReactStep::Kind::kError ? reply_.content : "";
    } else if (step.kind == ReactStep::Kind::kError) {
      turn.error = std::move(step.message);
    } else {
      const Result<Json> input = parse_json(step.input_json);
      turn.calls.push_back({step.tool, dump_json(input_object(tools_ ? tools_->find(step.tool) : nullptr, input.ok() ? *input : Json(step.input_json)))});
    }
    return turn;
  }

 private:
  TurnReader reader_;
  const std::shared_ptr<const ToolSet> tools_;
  const bool final_step_;
  Reply reply_;
};

std::string react_prompt(const RunRequest& run, const Words& words, const ToolSet& tools) {
  std::string text = run.system.empty() ? "" : run.system + "\n\n";
  if (tools.empty()) return text + words.react_without_tools;
  text += words.react_intro + "\n";
  for (const Tool& tool : tools.tools()) text += "- " + tool.name + ": " + tool.description + " " + words.arguments + " " + dump_json(parameters_schema(tool).value("properties", Json::object())) + "\n";
  return text + "\n" + words.react_form;
}

// Thought in one line, then a legal action or the final answer.
api::Constraint react_grammar(const Words& words, const ToolSet& tools, bool final_step) {
  api::Constraint constraint;
  constraint.kind = api::Constraint::Kind::kCalls;
  constraint.param = "tools";
  std::string calls;
  for (size_t i = 0; i < tools.tools().size() && !final_step; ++i) {
    const Tool& tool = tools.tools()[i];
    const std::string value = "v" + std::to_string(i);
    constraint.calls.values.push_back({value, arguments_schema(tool), /*or_object=*/!tool.strict, "tools"});
    calls += (calls.empty() ? "" : " | ") + ebnf_literal(tool.name + "\n" + words.input + " ") + " @" + value;
  }
  const std::string answer = ebnf_literal(words.final + " ") + " text";
  constraint.source = "text ::= [^ \\n\\t\\r] ([^\\n] | \"\\n\")*\n";
  if (calls.empty()) constraint.kind = api::Constraint::Kind::kGrammar;  // without values
  if (final_step) {
    constraint.source = "root ::= " + answer + "\n" + constraint.source;
    return constraint;
  }
  constraint.source = "root ::= " + ebnf_literal(words.thought + " ") + " thought \"\\n\" (" + (calls.empty() ? answer : ebnf_literal(words.action + " ") + " (" + calls + ") | " + answer) +
                      ")\nthought ::= [^ \\n\\t\\r] [^\\n]{0,600}\n" + constraint.source;
  return constraint;
}

}  // namespace

Step function_step(const RunRequest& run, const RunProgress& progress, const StepContext& context, bool final_step) {
  const Words& words = words_for(run.task);
  Step step;
  step.request = base_request(run);
  api::ChatPrompt prompt;
  const bool has_tools = context.tools && !context.tools->empty();
  const std::string system = with_note(run.system.empty() && has_tools ? words.function_system : run.system, progress.note);
  if (!system.empty()) prompt.messages.push_back({.role = "system", .content = system});
  prompt.messages.insert(prompt.messages.end(), progress.messages.begin(), progress.messages.end());
  if (final_step) prompt.messages.push_back({.role = "user", .content = words.answer_now});
  step.request.prompt = std::move(prompt);
  TurnTools offered;
  if (has_tools && !final_step) {
    offered.tools = context.tools;
    offered.tools_json = tools_json(*context.tools);
    offered.max_calls = static_cast<int>(run.limits.max_turn_calls);
  }
  if (final_step && !context.style.native && !context.style.opens_reasoning) step.request.constraint = in_words();
  const TurnPlan plan = plan_turn(context.style, offered, &step.request);
  step.input = std::make_unique<FunctionInput>(plan, run.limits.max_turn_calls);
  return step;
}

Step react_step(const RunRequest& run, const RunProgress& progress, const StepContext& context, bool final_step) {
  const Words& words = words_for(run.task);
  const ToolSet none;
  const ToolSet& tools = context.tools ? *context.tools : none;
  Step step;
  step.request = base_request(run);
  api::ChatPrompt prompt;
  prompt.messages.push_back({.role = "system", .content = with_note(react_prompt(run, words, tools), progress.note)});
  for (const api::Message& message : progress.messages) {
    const bool last = &message == &progress.messages.back();
    if (message.role == "tool") prompt.messages.push_back({.role = "user", .content = words.observation + " " + message.content + (last && !final_step ? "\n\n" + words.react_go_on : "")});
    else prompt.messages.push_back({.role = message.role, .content = message.content});
  }
  if (final_step) prompt.messages.push_back({.role = "user", .content = words.answer_now + " " + words.begin_with + " \"" + words.final + "\""});
  step.request.prompt = std::move(prompt);
  // A model that thinks in its own way first is free to; then its format cannot be held from the first byte on.
  if (!context.style.opens_reasoning) step.request.constraint = react_grammar(words, tools, final_step);
  step.request.stop = {"\n" + words.observation};
  const TurnPlan plan = plan_turn(context.style, {}, &step.request);
  step.input = std::make_unique<ReactInput>(plan, context.tools, final_step);
  return step;
}

}  // namespace hanlin::agent
