// How a step of a run is put to a model and read: as function calls, or as ReAct texts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/chat_style.h"
#include "agent/chat_turn.h"
#include "agent/run/progress.h"
#include "agent/run/request.h"
#include "agent/tool_set.h"
#include "api/generate.h"

namespace hanlin::agent {

// What the model wrote in a turn.
struct Turn {
  std::string content = {};    // kReact: the whole text
  std::string reasoning = {};  // thoughts
  struct Call {
    std::string name, arguments;  // JSON object
    std::string id = {};          // empty: it has none yet
  };
  std::vector<Call> calls = {};
  std::string answer = {};     // without calls and error: the final answer
  std::string error = {};      // it is no step; this sentence tells the model why
};

// Reads one turn as it comes.
class TurnInput {
 public:
  virtual ~TurnInput() = default;
  // What people may see of this event.
  virtual std::vector<Delta> read(const api::TokenEvent& event) = 0;
  virtual bool complete() const { return false; }  // nothing more is wanted of this turn
  virtual Turn finish() = 0;
};

// What all steps of a run share.
struct StepContext {
  ChatStyle style = {};
  std::shared_ptr<const ToolSet> tools = {};  // at least one, or null
};

// The request of the next step, and what reads its answer. `final_step`: no tools, the answer must come now.
struct Step {
  api::GenerateRequest request;
  std::unique_ptr<TurnInput> input;
};
Step function_step(const RunRequest& run, const RunProgress& progress, const StepContext& context, bool final_step);
Step react_step(const RunRequest& run, const RunProgress& progress, const StepContext& context, bool final_step);

}  // namespace hanlin::agent
