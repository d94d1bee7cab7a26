#include <fmt/format.h>

#include <chrono>
#include <mutex>

#include "store/runs.h"
#include "store/sqlite.h"

namespace hanlin::store {
namespace {

constexpr int64_t kSchemaVersion = 1;

// WAL with synchronous=NORMAL: a crash of the program loses nothing, one of the machine at most the last moments.
constexpr char kPragmas[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;";
constexpr char kSchema[] = R"(
BEGIN IMMEDIATE;
CREATE TABLE runs (
  id TEXT PRIMARY KEY, state TEXT NOT NULL, request TEXT NOT NULL,
  created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, n_events INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX runs_by_time ON runs (created_ms, id);
CREATE TABLE run_events (
  run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, seq INTEGER NOT NULL,
  time_ms INTEGER NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (run_id, seq)) WITHOUT ROWID;
PRAGMA user_version = 1;
COMMIT;
)";
constexpr char kRunColumns[] = "id, state, request, created_ms, updated_ms, n_events";

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

StoredRun read_run(const SqlRow& row) {
  return {.id = row.text(0), .state = row.text(1), .request_json = row.text(2), .created_ms = row.integer(3), .updated_ms = row.integer(4), .n_events = row.integer(5)};
}

Error no_run(const std::string& id) { return {Code::kNotFound, fmt::format("run: there is none with the id '{}'", id.substr(0, 64)), "id"}; }

class SqliteRuns final : public RunStore {
 public:
  explicit SqliteRuns(Sqlite database) : database_(std::move(database)) {}

  Status create(const StoredRun& run) override {
    const std::lock_guard lock(mutex_);
    const int64_t now = now_ms();
    HANLIN_TRY(database_.run("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?, 0)", {run.id, run.state, run.request_json, now, now}));
    if (database_.n_changed() == 0) return Error{Code::kInvalidArgument, fmt::format("run: the id '{}' exists already", run.id), "id"};
    return {};
  }

  Status append(const std::string& id, const std::string& state, std::vector<StoredEvent>* events) override {
    const std::lock_guard lock(mutex_);
    HANLIN_TRY(database_.script("BEGIN IMMEDIATE"));
    const Status status = append_locked(id, state, events);
    if (!status.ok()) {
      (void)database_.script("ROLLBACK");
      return status;
    }
    return database_.script("COMMIT");
  }

  Result<StoredRun> get(const std::string& id) override {
    const std::lock_guard lock(mutex_);
    return get_locked(id);
  }

  Result<std::vector<StoredRun>> list(const RunQuery& query) override {
    const std::lock_guard lock(mutex_);
    std::vector<StoredRun> runs;
    const std::string state = query.state.value_or("");
    HANLIN_TRY(database_.query(fmt::format("SELECT {} FROM runs WHERE (?1 = '' OR state = ?1) AND (created_ms < ?2 OR (created_ms = ?2 AND id < ?3)) "
                                           "ORDER BY created_ms DESC, id DESC LIMIT ?4", kRunColumns),
                               {state, query.before_ms, query.before_id, query.limit}, [&](const SqlRow& row) { runs.push_back(read_run(row)); }));
    return runs;
  }

  Result<std::vector<StoredEvent>> events(const std::string& id, int64_t after_seq, int64_t limit) override {
    const std::lock_guard lock(mutex_);
    HANLIN_TRY(get_locked(id));
    std::vector<StoredEvent> events;
    HANLIN_TRY(database_.query("SELECT seq, time_ms, type, data FROM run_events WHERE run_id = ? AND seq > ? ORDER BY seq LIMIT ?", {id, after_seq, limit},
                               [&](const SqlRow& row) { events.push_back({row.integer(0), row.integer(1), row.text(2), row.text(3)}); }));
    return events;
  }

  Status remove(const std::string& id) override {
    const std::lock_guard lock(mutex_);
    HANLIN_TRY(database_.run("DELETE FROM runs WHERE id = ?", {id}));
    if (database_.n_changed() == 0) return no_run(id);
    return {};
  }

 private:
  Result<StoredRun> get_locked(const std::string& id) {
    std::vector<StoredRun> runs;
    HANLIN_TRY(database_.query(fmt::format("SELECT {} FROM runs WHERE id = ?", kRunColumns), {id}, [&](const SqlRow& row) { runs.push_back(read_run(row)); }));
    if (runs.empty()) return no_run(id);
    return std::move(runs[0]);
  }

  Status append_locked(const std::string& id, const std::string& state, std::vector<StoredEvent>* events) {
    HANLIN_ASSIGN(const StoredRun run, get_locked(id));
    int64_t seq = run.n_events;
    const int64_t now = now_ms();
    for (StoredEvent& event : *events) {
      event.seq = ++seq;
      if (event.time_ms == 0) event.time_ms = now;
      HANLIN_TRY(database_.run("INSERT INTO run_events VALUES (?, ?, ?, ?, ?)", {id, event.seq, event.time_ms, event.type, event.data_json}));
    }
    return database_.run("UPDATE runs SET state = ?, updated_ms = ?, n_events = ? WHERE id = ?", {state, now, seq, id});
  }

  std::mutex mutex_;
  Sqlite database_;
};

}  // namespace

Result<std::unique_ptr<RunStore>> open_sqlite_runs(const std::string& path) {
  HANLIN_ASSIGN(Sqlite database, Sqlite::open(path));
  HANLIN_TRY(database.script(kPragmas));
  int64_t version = -1;
  HANLIN_TRY(database.query("PRAGMA user_version", {}, [&](const SqlRow& row) { version = row.integer(0); }));
  if (version == 0) {
    HANLIN_TRY(database.script(kSchema));
  } else if (version != kSchemaVersion) {
    return Error{Code::kUnsupported, fmt::format("{}: expected a run store of version {}, got {}; it was written by another version of Hanlin", path, kSchemaVersion, version)};
  }
  return std::unique_ptr<RunStore>(std::make_unique<SqliteRuns>(std::move(database)));
}

}  // namespace hanlin::store
