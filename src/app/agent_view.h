// Shows a run in the terminal, step by step.
#pragma once

#include <functional>
#include <string>

#include "agent/run/events.h"

namespace hanlin::app {

struct AgentViewOptions {
  bool steps = true;         // show steps, calls and results
  bool colour = false;       // of the steps
  bool live_answer = false;  // the answer's text is shown as it comes (a terminal), not when it is complete
};

// Takes events in order; one thread. `steps` gets what happens on the way, `answer` the answer alone.
class AgentView {
 public:
  using Writer = std::function<void(const std::string&)>;
  AgentView(AgentViewOptions options, Writer steps, Writer answer) : options_(options), steps_(std::move(steps)), answer_(std::move(answer)) {}
  void on_event(const agent::RunEvent& event);

 private:
  void line(const char* colour, const std::string& text);
  void end_text();
  void on_turn(const Json& turn);
  void on_finished(const Json& data);

  const AgentViewOptions options_;
  const Writer steps_, answer_;
  std::string live_;         // of this turn, shown on `answer`
  bool open_thought_ = false;
};

// "get_weather(location=\"北京\", unit=\"celsius\")", shortened.
std::string call_line(const std::string& name, const Json& arguments);

}  // namespace hanlin::app
