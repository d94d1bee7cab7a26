#include "app/agent_view.h"

#include <fmt/format.h>

#include <utility>

#include "agent/runnable_tool.h"

namespace hanlin::app {
namespace {

using agent::text_of;

constexpr char kDim[] = "\x1b[2m", kBold[] = "\x1b[1m", kGreen[] = "\x1b[32m", kRed[] = "\x1b[31m", kYellow[] = "\x1b[33m", kCyan[] = "\x1b[36m";
constexpr size_t kMaxLine = 2000;  // of a result

// Further lines stand under the first.
std::string indented(const std::string& text) {
  std::string out;
  for (const char c : text) {
    out.push_back(c);
    if (c == '\n') out += "    ";
  }
  return out;
}

}  // namespace

std::string call_line(const std::string& name, const Json& arguments) {
  std::string list;
  if (arguments.is_object()) {
    for (const auto& [key, value] : arguments.items()) list += (list.empty() ? "" : ", ") + key + "=" + dump_json(value);
  }
  return agent::cap_text(name + "(" + list + ")", kMaxLine);
}

void AgentView::line(const char* colour, const std::string& text) {
  if (!options_.steps) return;
  end_text();
  steps_(options_.colour ? fmt::format("{}{}\x1b[0m\n", colour, text) : text + "\n");
}

// A line that is still open is ended before another begins.
void AgentView::end_text() {
  if (!live_.empty() && !live_.ends_with('\n')) answer_("\n");
  live_.clear();
  if (open_thought_) steps_(options_.colour ? "\x1b[0m\n" : "\n");
  open_thought_ = false;
}

void AgentView::on_event(const agent::RunEvent& event) {
  const Json& data = event.data;
  if (event.type == "step") {
    line(kBold, data.value("final", false) ? "● last step: the answer" : fmt::format("● step {}", data.value("step", 0)));
  } else if (event.type == "reasoning" && options_.live_answer && options_.steps) {
    if (!open_thought_) steps_(options_.colour ? std::string(kDim) + "  " : "  ");
    open_thought_ = true;
    steps_(text_of(data, "text"));
  } else if (event.type == "text" && options_.live_answer) {
    if (open_thought_) end_text();
    live_ += text_of(data, "text");
    answer_(text_of(data, "text"));
  } else if (event.type == "turn") {
    on_turn(data);
  } else if (event.type == "call") {
    line(kCyan, "  → " + call_line(text_of(data, "name"), data.value("arguments", Json::object())));
  } else if (event.type == "approval") {
    line(kYellow, "  ? " + call_line(text_of(data, "name"), data.value("arguments", Json::object())));
  } else if (event.type == "decision") {
    const std::string reason = text_of(data, "reason");
    line(kYellow, data.value("approved", false) ? "  ? allowed" : "  ? denied" + (reason.empty() ? "" : ": " + reason));
  } else if (event.type == "result") {
    const bool ok = data.value("ok", false);
    line(ok ? kGreen : kRed, fmt::format("  ← {} ({:.2f} s)", indented(agent::cap_text(text_of(data, "result"), kMaxLine)), data.value("seconds", 0.0)));
  } else if (event.type == "limit") {
    line(kYellow, "  ! " + text_of(data, "message"));
  } else if (event.type == "interrupted" || event.type == "resumed") {
    line(kYellow, "  ! " + event.type);
  } else if (event.type == "finished") {
    on_finished(data);
  }
}

void AgentView::on_turn(const Json& turn) {
  const std::string reasoning = text_of(turn, "reasoning"), content = text_of(turn, "content"), error = text_of(turn, "error");
  if (!options_.live_answer) {
    if (!reasoning.empty()) line(kDim, "  " + indented(reasoning));
    // Text beside calls; the answer itself comes at the end.
    if (reasoning.empty() && !content.empty() && !turn.value("calls", Json::array()).empty()) line(kDim, "  " + indented(content));
  }
  if (!error.empty()) line(kYellow, "  ! no step: " + error);
}

void AgentView::on_finished(const Json& data) {
  const std::string status = text_of(data, "status"), answer = text_of(data, "answer");
  const bool shown = options_.live_answer && !answer.empty() && live_.ends_with(answer);
  if (status == "failed") line(kRed, "failed: " + text_of(data, "error"));
  if (status == "cancelled") line(kRed, "cancelled");
  if (status == "not_finished") line(kYellow, "not finished");
  if (shown) return end_text();
  end_text();
  if (!answer.empty()) answer_(answer + "\n");
}

}  // namespace hanlin::app
