#include <fmt/format.h>
#include <sqlite3.h>
#include <strings.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "agent/tools/arguments.h"
#include "agent/tools/sql_reader.h"

namespace hanlin::agent {
namespace {

constexpr int kOpsBetweenLooks = 2000;

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct FinishStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FinishStatement>;

bool only_reads(int action, const char* name) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE: return true;
    case SQLITE_FUNCTION:
      for (const char* bad : {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"}) {
        if (name != nullptr && strcasecmp(name, bad) == 0) return false;
      }
      return true;
    default: return false;
  }
}
// SQLite asks about everything that a statement does while it is compiled. `denied` is a bool: was anything refused?
int allow_reading(void* denied, int action, const char*, const char* name, const char*, const char*) {
  if (only_reads(action, name)) return SQLITE_OK;
  *static_cast<bool*>(denied) = true;
  return SQLITE_DENY;
}

int is_over(void* context) { return check_time(*static_cast<const ToolContext*>(context), "").ok() ? 0 : 1; }

// Another program writes: wait as long as the call may.
int wait_for_lock(void* context, int) {
  if (is_over(context) != 0) return 0;
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return 1;
}

class SqliteReader final : public SqlReader {
 public:
  explicit SqliteReader(std::string path) : path_(std::move(path)) {}
  const char* dialect() const override { return "SQLite"; }

  Result<SqlTable> query(const std::string& statement, const SqlBounds& bounds, const ToolContext& context) const override {
    return run(statement, true, bounds, context);
  }
  Result<SqlTable> schema(const SqlBounds& bounds, const ToolContext& context) const override {
    return run("SELECT m.name AS \"table\", c.name AS \"column\", c.type AS type FROM sqlite_schema m JOIN pragma_table_info(m.name) c "
               "WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY m.name, c.cid",
               false, bounds, context);
  }

 private:
  static Error failure(sqlite3* database, const ToolContext& context) {
    if (const Status time = check_time(context, "SQLite"); !time.ok()) return time.error();
    const int code = sqlite3_errcode(database) & 0xff;
    const bool theirs = code == SQLITE_ERROR || code == SQLITE_TOOBIG || code == SQLITE_MISMATCH || code == SQLITE_RANGE || code == SQLITE_READONLY;
    return {theirs ? Code::kInvalidArgument : code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? Code::kCorrupt : Code::kUnavailable, sqlite3_errmsg(database)};
  }

  Result<Database> open(const ToolContext& context) const {
    sqlite3* opened = nullptr;
    const int failed = sqlite3_open_v2(path_.c_str(), &opened, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr);
    Database database(opened);
    if (failed != SQLITE_OK) return Error{Code::kUnavailable, opened != nullptr ? sqlite3_errmsg(opened) : "no memory"};
    void* const looked_at = const_cast<ToolContext*>(&context);
    sqlite3_extended_result_codes(opened, 1);
    sqlite3_db_config(opened, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(opened, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    sqlite3_db_config(opened, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, nullptr);
    // What a hostile statement could make large; SQLite's page on running untrusted SQL recommends such limits.
    for (const auto& [limit, value] : {std::pair{SQLITE_LIMIT_LENGTH, 16 << 20}, {SQLITE_LIMIT_SQL_LENGTH, 100000}, {SQLITE_LIMIT_ATTACHED, 0}, {SQLITE_LIMIT_EXPR_DEPTH, 200},
                                       {SQLITE_LIMIT_COMPOUND_SELECT, 100}, {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000}, {SQLITE_LIMIT_WORKER_THREADS, 0}}) {
      sqlite3_limit(opened, limit, value);
    }
    sqlite3_progress_handler(opened, kOpsBetweenLooks, is_over, looked_at);
    sqlite3_busy_handler(opened, wait_for_lock, looked_at);
    return database;
  }

  Result<SqlTable> run(const std::string& text, bool checked, const SqlBounds& bounds, const ToolContext& context) const {
    HANLIN_ASSIGN(const Database database, open(context));
    bool denied = false;
    if (checked) sqlite3_set_authorizer(database.get(), allow_reading, &denied);
    auto prepared = prepare(database.get(), text, context);
    if (denied) return Error{Code::kInvalidArgument, "only statements that read are allowed: SELECT, WITH, VALUES"};
    HANLIN_ASSIGN(const Statement statement, std::move(prepared));
    SqlTable table;
    for (int i = 0; i < sqlite3_column_count(statement.get()); ++i) {
      const char* const name = sqlite3_column_name(statement.get(), i);
      table.columns.emplace_back(name != nullptr ? name : "?");
    }
    size_t n_bytes = 0;
    while (true) {
      const int step = sqlite3_step(statement.get());
      if (step == SQLITE_DONE) return table;
      if (step != SQLITE_ROW) return failure(database.get(), context);
      if (static_cast<int64_t>(table.rows.size()) == bounds.max_rows || n_bytes > bounds.max_bytes) {
        table.cut = true;
        return table;
      }
      auto& row = table.rows.emplace_back();
      for (int i = 0; i < static_cast<int>(table.columns.size()); ++i) {
        row.push_back(value_at(statement.get(), i));
        n_bytes += row.back() ? row.back()->size() : 4;
      }
    }
  }

  // One statement that returns rows.
  static Result<Statement> prepare(sqlite3* database, const std::string& text, const ToolContext& context) {
    if (text.find('\0') != std::string::npos) return Error{Code::kInvalidArgument, "a statement has no NUL byte"};
    const char* rest = text.c_str();
    Statement first;
    while (*rest != '\0') {
      sqlite3_stmt* prepared = nullptr;
      if (sqlite3_prepare_v2(database, rest, -1, &prepared, &rest) != SQLITE_OK) {
        if (first) return Error{Code::kInvalidArgument, "expected one statement, got several"};  // whatever the second one is
        return failure(database, context);
      }
      Statement statement(prepared);
      if (!statement) continue;  // white space or a comment
      if (first) return Error{Code::kInvalidArgument, "expected one statement, got several"};
      first = std::move(statement);
    }
    if (!first) return Error{Code::kInvalidArgument, "expected a statement, got none"};
    if (sqlite3_stmt_readonly(first.get()) == 0 || sqlite3_column_count(first.get()) == 0) return Error{Code::kInvalidArgument, "only statements that read are allowed: SELECT, WITH, VALUES"};
    if (sqlite3_bind_parameter_count(first.get()) > 0) return Error{Code::kInvalidArgument, "expected values in the statement, got parameters such as ?"};
    return first;
  }

  static std::optional<std::string> value_at(sqlite3_stmt* statement, int column) {
    const int type = sqlite3_column_type(statement, column);
    if (type == SQLITE_NULL) return std::nullopt;
    if (type == SQLITE_BLOB) return fmt::format("[{} bytes]", sqlite3_column_bytes(statement, column));
    const auto* const text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
    if (text == nullptr) return std::nullopt;
    return std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement, column)));
  }

  const std::string path_;
};

}  // namespace

Result<std::unique_ptr<SqlReader>> make_sqlite_reader(const std::string& path) {
  std::error_code ec;
  if (!std::filesystem::is_regular_file(path, ec)) return Error{Code::kNotFound, fmt::format("{}: expected a SQLite file, found none", path)};
  // An absolute path is never read as an option or a "file:" address.
  auto reader = std::make_unique<SqliteReader>(std::filesystem::absolute(path, ec).string());
  const auto tried = reader->schema({1, 1000}, {.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5)});
  if (!tried.ok() && tried.error().code == Code::kCorrupt) return Error{Code::kInvalidArgument, fmt::format("{}: expected a SQLite file: {}", path, tried.error().message)};
  return std::unique_ptr<SqlReader>(std::move(reader));
}

}  // namespace hanlin::agent
