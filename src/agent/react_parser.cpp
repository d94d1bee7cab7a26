#include "agent/react_parser.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "agent/call_parser/value_reader.h"
#include "base/json.h"

namespace hanlin::agent {
namespace {

enum class Label { kNone, kThought, kAction, kInput, kObservation, kFinal };

struct LabelText {
  std::string_view text;  // lower case
  Label label;
};
// Longer texts before their beginnings.
constexpr std::array<LabelText, 22> kLabels = {{
    {"thought", Label::kThought}, {"action input", Label::kInput}, {"action_input", Label::kInput}, {"action", Label::kAction},
    {"observation", Label::kObservation}, {"final answer", Label::kFinal}, {"answer", Label::kFinal},
    {"思考", Label::kThought}, {"想法", Label::kThought},
    {"行动输入", Label::kInput}, {"动作输入", Label::kInput}, {"行动参数", Label::kInput}, {"动作参数", Label::kInput}, {"工具输入", Label::kInput},
    {"行动", Label::kAction}, {"动作", Label::kAction},
    {"观察结果", Label::kObservation}, {"观察", Label::kObservation},
    {"最终答案", Label::kFinal}, {"最终回答", Label::kFinal}, {"最终答复", Label::kFinal}, {"答案", Label::kFinal},
}};

struct Part {
  Label label = Label::kNone;
  std::string text;
};

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::string trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return std::string(text);
}

bool take(std::string_view* text, std::string_view prefix) {
  if (text->size() < prefix.size()) return false;
  for (size_t i = 0; i < prefix.size(); ++i) {
    const char c = (*text)[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c) != prefix[i]) return false;
  }
  text->remove_prefix(prefix.size());
  return true;
}

void skip_marks(std::string_view* text) {
  while (!text->empty() && (is_blank((*text)[0]) || (*text)[0] == '*' || (*text)[0] == '#')) text->remove_prefix(1);
}

// The label a line begins with; what follows the colon goes to `rest`.
Label label_of(std::string_view line, std::string_view* rest) {
  skip_marks(&line);
  for (const LabelText& candidate : kLabels) {
    std::string_view after = line;
    if (!take(&after, candidate.text)) continue;
    while (!after.empty() && (after[0] == ' ' || (after[0] >= '0' && after[0] <= '9'))) after.remove_prefix(1);
    while (!after.empty() && after[0] == '*') after.remove_prefix(1);
    if (!take(&after, ":") && !take(&after, "：")) continue;
    while (after.starts_with("**")) after.remove_prefix(2);
    *rest = after;
    return candidate.label;
  }
  return Label::kNone;
}

std::vector<Part> split(std::string_view text) {
  std::vector<Part> parts(1);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1);
    const std::string_view line = text.substr(0, end + 1);
    text.remove_prefix(end + 1);
    std::string_view rest;
    const Label label = label_of(line, &rest);
    if (label == Label::kObservation && parts.size() > 1) break;  // what the model makes up about the world
    if (label == Label::kNone) parts.back().text += line;
    else parts.push_back({label, std::string(rest)});
  }
  for (Part& part : parts) part.text = trimmed(part.text);
  return parts;
}

// Without quotes, brackets and the full stop around a name.
std::string plain_name(std::string_view text) {
  static constexpr std::string_view kAround = "`\"'[]*. ";
  while (!text.empty() && kAround.find(text.front()) != std::string_view::npos) text.remove_prefix(1);
  while (!text.empty() && kAround.find(text.back()) != std::string_view::npos) text.remove_suffix(1);
  if (text.ends_with("。")) text.remove_suffix(std::string_view("。").size());
  return std::string(text);
}

// ```json … ``` around an input.
std::string_view without_fence(std::string_view text) {
  if (!text.starts_with("```") || !text.ends_with("```") || text.size() < 6) return text;
  text = text.substr(3, text.size() - 6);
  while (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text.remove_prefix(1);
  return text;
}

// An object or list as it is, a quoted text without its quotes, anything else as text.
std::string input_json(std::string_view written) {
  const std::string text = trimmed(without_fence(trimmed(written)));
  if (text.empty()) return "null";
  if (text[0] == '{' || text[0] == '[') {
    const std::string json = value_as_json(text, {.python = true});
    if (!json.empty()) return json;
  }
  if (text.size() >= 2 && text[0] == '"' && text.back() == '"') {
    const std::string json = value_as_json(text);
    if (!json.empty()) return json;
  }
  return json_string(text);
}

// tool(args): one value as it is, key=value pairs as an object, nothing as null.
std::optional<std::string> call_input(std::string_view arguments) {
  const std::string text = trimmed(arguments);
  if (text.empty()) return "null";
  const std::string value = value_as_json(text, {.python = true});
  if (!value.empty()) return value;
  Cursor cursor{text, /*at_end=*/true};
  std::string object = "{";
  while (!cursor.empty()) {
    cursor.skip_space();
    const size_t begin = cursor.pos;
    while (!cursor.empty() && is_name_char(cursor.peek())) ++cursor.pos;
    const std::string key = text.substr(begin, cursor.pos - begin);
    cursor.skip_space();
    if (key.empty() || cursor.take("=") != Match::kYes) return {};
    object += (object.size() > 1 ? ", " : "") + json_string(key) + ": ";
    ValueReader reader({.python = true});
    if (reader.read(cursor, &object) != ValueReader::State::kDone) return {};
    cursor.skip_space();
    if (!cursor.empty() && cursor.take(",") != Match::kYes) return {};
  }
  return object + "}";
}

ReactStep failed(ReactStep step, std::string error, std::string message) {
  step.kind = ReactStep::Kind::kError;
  step.error = std::move(error);
  step.message = std::move(message);
  return step;
}

// An action as {"name": …, "arguments": …}; the tool final_answer is the answer.
bool read_json_action(const std::string& text, ReactStep* step) {
  const Result<Json> json = parse_json(value_as_json(trimmed(without_fence(text)), {.python = true}));
  if (!json.ok() || !json->is_object()) return false;
  for (const char* key : {"name", "action", "tool", "tool_name"}) {
    if (json->contains(key) && (*json)[key].is_string()) step->tool = (*json)[key].get<std::string>();
  }
  if (step->tool.empty()) return false;
  step->input_json = "null";
  for (const char* key : {"arguments", "action_input", "parameters", "input", "args"}) {
    if (json->contains(key)) step->input_json = dump_json((*json)[key]);
  }
  step->kind = ReactStep::Kind::kAction;
  return true;
}

void answer_from_tool(ReactStep* step) {
  std::string name = step->tool;
  std::transform(name.begin(), name.end(), name.begin(), [](char c) { return c == ' ' ? '_' : c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c; });
  if (name != "final_answer") return;
  const Result<Json> input = parse_json(step->input_json);
  step->answer = step->input_json;
  if (input.ok() && input->is_string()) step->answer = input->get<std::string>();
  if (input.ok() && input->is_object() && input->size() == 1 && input->front().is_string()) step->answer = input->front().get<std::string>();
  step->kind = ReactStep::Kind::kFinal;
  step->tool.clear();
  step->input_json.clear();
}

ReactStep read_action(const std::string& action, const Part* input, ReactStep step) {
  const std::string fenced = trimmed(without_fence(action));
  if (!fenced.empty() && fenced[0] == '{' && read_json_action(action, &step)) {
    answer_from_tool(&step);
    return step;
  }
  const std::string line = action.substr(0, action.find('\n'));
  const size_t open = line.find('(');
  const std::string name = plain_name(std::string_view(line).substr(0, open));
  const bool one_word = !name.empty() && name.find(' ') == std::string::npos;
  if (one_word && open != std::string::npos && !input) {
    const std::string whole = trimmed(action);
    const size_t close = whole.rfind(')');
    if (close != std::string::npos && close > open) {
      if (const auto value = call_input(std::string_view(whole).substr(open + 1, close - open - 1))) {
        step.kind = ReactStep::Kind::kAction;
        step.tool = name;
        step.input_json = *value;
        answer_from_tool(&step);
        return step;
      }
    }
  }
  if (name.empty()) return failed(std::move(step), "no_tool_name", "Action: expected the name of a tool, got nothing");
  step.kind = ReactStep::Kind::kAction;
  step.tool = name;
  step.input_json = input ? input_json(input->text) : "null";
  answer_from_tool(&step);
  return step;
}

}  // namespace

ReactStep parse_react(std::string_view text) {
  const std::vector<Part> parts = split(text);
  ReactStep step;
  const Part *action = nullptr, *input = nullptr, *final = nullptr;
  for (const Part& part : parts) {
    switch (part.label) {
      case Label::kThought:
        if (!action && step.thought.empty()) step.thought = part.text;
        break;
      case Label::kAction:
        if (!action) action = &part;
        break;
      case Label::kInput:
        if (action && !input) input = &part;
        break;
      case Label::kFinal:
        if (!final) final = &part;
        break;
      default: break;
    }
  }
  if (step.thought.empty() && parts.size() > 1) step.thought = parts[0].text;
  static constexpr std::array<std::string_view, 7> kNoActions = {"none", "n/a", "no", "nothing", "无", "不需要", "没有"};
  if (action) {
    std::string name = plain_name(action->text);
    std::transform(name.begin(), name.end(), name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c; });
    if (std::find(kNoActions.begin(), kNoActions.end(), name) != kNoActions.end()) action = nullptr;
  }
  if (action && final) {
    return failed(std::move(step), "both_final_and_action", "expected either an Action or a Final Answer, got both");
  }
  if (final) {
    step.kind = ReactStep::Kind::kFinal;
    step.answer = final->text;
    return step;
  }
  if (!action) {
    return failed(std::move(step), "no_action", "expected \"Action:\" with \"Action Input:\", or \"Final Answer:\", got neither");
  }
  return read_action(action->text, input, std::move(step));
}

}  // namespace hanlin::agent
