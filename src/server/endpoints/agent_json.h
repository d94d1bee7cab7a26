// Agent runs as JSON.
#pragma once

#include "agent/run/service.h"
#include "base/json_fwd.h"
#include "server/http.h"

namespace hanlin::server {

// The whole run: state, answer, calls, open questions, what was asked for.
Json agent_run_json(const agent::RunView& view);
// One line of a list.
Json agent_run_line(const store::StoredRun& run);
// {"seq","time_ms","type", …}: the event's data beside what it is.
Json agent_event_json(const agent::RunEvent& event);
Json agent_tool_json(const agent::RunnableTool& tool);

}  // namespace hanlin::server
