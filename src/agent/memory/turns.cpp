#include "agent/memory/turns.h"

namespace hanlin::agent {
namespace {

bool is_system(const api::Message& message) { return message.role == "system" || message.role == "developer"; }

}  // namespace

Turns split_turns(const std::vector<api::Message>& messages) {
  Turns result;
  while (result.n_head < messages.size() && is_system(messages[result.n_head])) ++result.n_head;
  for (size_t i = result.n_head; i < messages.size(); ++i) {
    if (messages[i].role == "user" || result.turns.empty()) result.turns.push_back({i, i});
    result.turns.back().end = i + 1;
  }
  return result;
}

std::string turn_text(const std::vector<api::Message>& messages, const TurnSpan& turn) {
  std::string text;
  for (size_t i = turn.begin; i < turn.end; ++i) {
    const api::Message& message = messages[i];
    if (!message.content.empty()) text += message.role + ": " + message.content + "\n";
    for (const api::ToolCall& call : message.tool_calls) text += message.role + " calls " + call.name + "(" + call.arguments + ")\n";
  }
  if (!text.empty()) text.pop_back();
  return text;
}

std::vector<api::Message> compose(const std::vector<api::Message>& messages, const Turns& turns, size_t first_turn, const std::string& note) {
  std::vector<api::Message> result(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(turns.n_head));
  if (!note.empty()) {
    if (result.empty()) result.push_back({.role = "system", .content = note});
    else result[0].content += (result[0].content.empty() ? "" : "\n\n") + note;
  }
  const size_t begin = first_turn < turns.turns.size() ? turns.turns[first_turn].begin : messages.size();
  result.insert(result.end(), messages.begin() + static_cast<std::ptrdiff_t>(begin), messages.end());
  return result;
}

}  // namespace hanlin::agent
