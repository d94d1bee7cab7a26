// The calls of one turn.
#pragma once

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>

#include "agent/run/approvals.h"
#include "agent/run/progress.h"
#include "agent/run/request.h"
#include "agent/runnable_tool.h"
#include "base/json_fwd.h"

namespace hanlin::agent {

// Seconds of a limit as the clock of deadlines counts them.
inline std::chrono::steady_clock::duration clock_duration(double seconds) {
  return std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(seconds));
}

struct CallBatch {
  std::string run_id;
  const ToolBox& tools;
  const RunRequest& request;
  const RunProgress& progress;  // its open calls are what is to be done
  Approvals* approvals;
  std::stop_token stop;
};

// Runs the open calls side by side and gives their results in their order. Whatever goes wrong with a call is a result that says so.
// Calls that were begun before (the run was interrupted) do not run again. Errors: kCancelled, and those of `emit`.
Status run_call_batch(const CallBatch& batch, const std::function<Status(const char* type, Json data)>& emit);

}  // namespace hanlin::agent
