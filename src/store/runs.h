// Runs of agents on disk: each a request and the list of everything that happened. Nothing is ever changed, only added, so
// the list is the trace, the stream for those who watch, and what a run goes on from after a restart.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace hanlin::store {

struct StoredRun {
  std::string id;
  std::string state;         // a word of the owner's: "running", "completed" …
  std::string request_json;  // what was asked for
  int64_t created_ms = 0;    // Unix time
  int64_t updated_ms = 0;    // of the last event
  int64_t n_events = 0;
};

struct StoredEvent {
  int64_t seq = 0;  // 1, 2, 3 … within its run
  int64_t time_ms = 0;
  std::string type;
  std::string data_json;
};

struct RunQuery {
  std::optional<std::string> state = {};  // only these
  int64_t limit = 50;
  int64_t before_ms = INT64_MAX;  // created before this; newest first
  std::string before_id = {};     // of those created at before_ms: only smaller ids
};

// Safe from any thread. Errors: kNotFound (no such run), kInvalidArgument (an id that exists already), kIo (the database refused;
// the message names the file).
class RunStore {
 public:
  virtual ~RunStore() = default;
  virtual Status create(const StoredRun& run) = 0;  // times and n_events are set here
  // Adds events (seq and, where 0, time are set here and in `events`) and sets the state; all or nothing.
  virtual Status append(const std::string& id, const std::string& state, std::vector<StoredEvent>* events) = 0;
  virtual Result<StoredRun> get(const std::string& id) = 0;
  virtual Result<std::vector<StoredRun>> list(const RunQuery& query) = 0;
  // Those after `after_seq`, in order, at most `limit`.
  virtual Result<std::vector<StoredEvent>> events(const std::string& id, int64_t after_seq, int64_t limit) = 0;
  virtual Status remove(const std::string& id) = 0;
};

// SQLite in the file `path`, made if it is not there; ":memory:": gone with the object. One process at a time.
Result<std::unique_ptr<RunStore>> open_sqlite_runs(const std::string& path);

}  // namespace hanlin::store
