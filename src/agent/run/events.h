// What happens in a run. Stored events are the run: everything else (its conversation, its counts, its answer) follows from them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/json.h"

namespace hanlin::agent {

// Types and their data:
//   context    {"note", "messages": [{"role", "content"}]}                   what of an earlier conversation is seen, the task last
//   step       {"step": 1, "final": false}                                   a turn of the model begins
//   text       {"text"}, reasoning {"text"}                                  a piece of it as it comes; not stored
//   turn       {"step", "content", "reasoning", "calls": [{"id", "name", "arguments"}], "error"?, "finish_reason",
//               "prompt_tokens", "completion_tokens", "seconds"}             it is complete
//   call       {"id", "name", "arguments"}                                   a tool starts to run
//   approval   {"id", "call_id", "name", "arguments", "seconds"}             a person is asked
//   decision   {"id", "approved", "reason"?, "result"?}
//   result     {"id", "name", "ok", "result", "seconds"}                     what the model reads about a call
//   limit      {"limit", "message"}                                          a bound was reached
//   interrupted {}, resumed {}
//   finished   {"status", "answer", "limit"?, "error"?}                      always the last
struct RunEvent {
  int64_t seq = 0;  // 0: not stored
  int64_t time_ms = 0;
  std::string type;
  Json data = Json::object();
};

// The text `name` of an event's data; empty where it has none.
std::string text_of(const Json& data, const char* name);

using RunSink = std::function<void(const RunEvent&)>;

}  // namespace hanlin::agent
