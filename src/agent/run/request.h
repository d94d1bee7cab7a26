// What an agent run is asked to do, and its bounds.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/runnable_tool.h"
#include "api/generate.h"
#include "base/fields.h"
#include "base/json_fwd.h"
#include "base/result.h"

namespace hanlin::agent {

// How steps are written.
enum class RunMode {
  kFunctions,  // as the model's chat template writes tool calls
  kReact,      // Thought / Action / Action Input / Observation / Final Answer
};

// Every bound is above 0.
struct RunLimits {
  int64_t max_steps = 12;             // turns of the model, the forced final answer not counted
  double max_seconds = 300;           // of model and tools; waiting for a person's consent does not count
  int64_t max_tokens = 32768;         // that the model writes
  int64_t max_step_tokens = 1024;     // that it writes in one turn
  int64_t max_turn_calls = 8;         // in one turn; there the turn ends
  int64_t max_calls_per_tool = 20;    // further calls are refused, which the model is told
  int64_t max_repeats = 3;            // the same call this many times ends the run; the last one does not run
  double tool_seconds = 60;           // one call
  double approval_seconds = 300;      // waiting for a person; then the call is denied
  int64_t max_result_bytes = 16384;   // of a tool's result that the model reads

  // Name, bounds and help of each, for JSON and for flags.
  void fields(FieldSet& fields);
};

// What a run sees of the conversation before it.
struct MemorySettings {
  std::string kind = "window";  // all, window, summary (earlier turns are summarised), retrieval (earlier turns like the task are recalled)
  int64_t turns = 8;            // window, retrieval: the last ones, as they are
  int64_t budget_tokens = 4096; // summary: of all that is sent

  // Name, bounds and help of each, for JSON; with a prefix for flags.
  void fields(FieldSet& fields, const std::string& prefix = "");
};

struct RunRequest {
  std::string task;
  std::string model = {};   // empty: the service's first
  RunMode mode = RunMode::kFunctions;
  std::string system = {};  // further instructions
  std::vector<api::Message> history = {};  // earlier turns, user and assistant
  std::string previous = {};               // id of a run whose conversation goes on: its history, task and answer come before `history`
  MemorySettings memory = {};
  std::optional<std::vector<std::string>> tools = {};  // only these; unset: all there are
  std::map<std::string, Permission> permissions = {};  // by tool; the stricter of this and the tool's own holds
  RunLimits limits = {};
  double temperature = 0;
  std::optional<uint64_t> seed = {};
};

// From the fields of a JSON object; unknown fields, wrong types and values out of bounds are kInvalidArgument with a param such
// as "limits.max_steps".
Result<RunRequest> read_run_request(const Json& object);
// The same fields; read_run_request() reads them back.
Json run_request_json(const RunRequest& request);

}  // namespace hanlin::agent
