// Takes a run from where it stands to its end.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "agent/run/approvals.h"
#include "agent/run/dialect.h"
#include "agent/run/events.h"
#include "agent/run/progress.h"
#include "agent/runnable_tool.h"
#include "api/generate.h"

namespace hanlin::agent {

struct LoopParts {
  std::string run_id;
  std::shared_ptr<api::TextGenerator> generator;
  ChatStyle style = {};
  std::shared_ptr<const ToolBox> tools;
  Approvals* approvals = nullptr;
  // Stores (unless it is a piece of text) and shows an event; called with one at a time. An error ends the run.
  std::function<Status(RunEvent)> emit;
};

// Blocks until the run is finished (the last event is "finished"), `stop` is requested, or an event cannot be stored (the
// error). `on_stop`: what a requested stop means: true: cancelled for good; false: only interrupted, no event is made.
Status run_loop(const LoopParts& parts, const RunRequest& request, RunProgress* progress, std::stop_token stop, const std::function<bool()>& on_stop);

}  // namespace hanlin::agent
