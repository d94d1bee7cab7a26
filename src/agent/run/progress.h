// Where a run stands: a fold over its events.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/run/events.h"
#include "agent/run/request.h"
#include "api/generate.h"

namespace hanlin::agent {

// A call of the last turn.
struct OpenCall {
  std::string id, name, arguments;
  bool started = false;
  std::optional<std::string> approval = {};  // asked for, under this id
  std::optional<bool> approved = {};
  std::string denial = {};                   // why not
  std::optional<std::string> given = {};     // a result that a person gave instead of running it
};

// One line of what has been done, for people.
struct DoneCall {
  std::string name, arguments, result;
  bool ok = false;
};

struct RunProgress {
  explicit RunProgress(const RunRequest& request);
  // Events of a kind that is not stored change nothing.
  void apply(const RunEvent& event);
  bool finished() const { return !status.empty(); }

  std::string note = {};               // what is remembered of earlier turns, for the system message
  std::vector<api::Message> messages;  // the conversation: system left out, history, task, turns, results
  std::vector<OpenCall> open_calls;    // without a result yet, in order
  std::vector<DoneCall> done_calls;
  int64_t n_steps = 0, n_errors = 0;   // n_errors: turns in a row that were none
  int64_t prompt_tokens = 0, completion_tokens = 0;
  double seconds = 0;                  // of model and tools
  std::map<std::string, int64_t> calls_by_tool;
  std::map<std::string, int64_t> calls_by_text;  // name and arguments
  std::string limit = {};              // that was reached
  std::string status = {};             // completed, not_finished, failed, cancelled; empty: not finished
  std::string answer = {}, error = {};

 private:
  void add_turn(const Json& turn);
  void add_result(const Json& result);
  OpenCall* open_call(const std::string& id);
};

// [{"name", "arguments", "ok", "result"}] of the calls that are done.
Json done_calls_json(const RunProgress& progress);

// Name and arguments such that equal calls have equal texts, whatever the order of keys and white space.
std::string call_text(const std::string& name, const std::string& arguments_json);

}  // namespace hanlin::agent
