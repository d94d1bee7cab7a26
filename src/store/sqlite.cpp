#include "store/sqlite.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>

namespace hanlin::store {
namespace {

constexpr int kBusyMs = 5000;  // how long to wait for another process's lock

}  // namespace

void Sqlite::Close::operator()(sqlite3* db) const { sqlite3_close_v2(db); }
void Sqlite::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
Sqlite::~Sqlite() = default;

int64_t SqlRow::integer(int column) const { return sqlite3_column_int64(statement_, column); }
std::string SqlRow::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return text == nullptr ? "" : std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

Result<Sqlite> Sqlite::open(const std::string& path) {
  Sqlite database;
  database.path_ = path;
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  database.db_.reset(raw);
  if (code != SQLITE_OK) return Error{Code::kIo, fmt::format("{}: cannot be opened as a database: {}", path, raw ? sqlite3_errmsg(raw) : sqlite3_errstr(code))};
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, kBusyMs);
  return database;
}

Error Sqlite::error() const { return {Code::kIo, fmt::format("{}: {}", path_, sqlite3_errmsg(db_.get()))}; }

Status Sqlite::script(const std::string& sql) {
  if (sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return error();
  return {};
}

Result<sqlite3_stmt*> Sqlite::prepare(std::string_view sql, const std::vector<SqlValue>& values) {
  auto found = std::find_if(prepared_.begin(), prepared_.end(), [&](const Prepared& p) { return p.sql == sql; });
  if (found == prepared_.end()) {
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &raw, nullptr) != SQLITE_OK) return error();
    prepared_.push_back({std::string(sql), std::unique_ptr<sqlite3_stmt, Finalize>(raw)});
    found = prepared_.end() - 1;
  }
  sqlite3_stmt* statement = found->statement.get();
  sqlite3_reset(statement);
  for (size_t i = 0; i < values.size(); ++i) {
    const int idx = static_cast<int>(i) + 1;
    int code = SQLITE_OK;
    if (const auto* number = std::get_if<int64_t>(&values[i])) code = sqlite3_bind_int64(statement, idx, *number);
    else {
      const auto& text = std::get<std::string>(values[i]);
      code = sqlite3_bind_text64(statement, idx, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
    }
    if (code != SQLITE_OK) return error();
  }
  return statement;
}

Result<bool> Sqlite::step(sqlite3_stmt* statement) {
  const int code = sqlite3_step(statement);
  if (code == SQLITE_ROW) return true;
  Result<bool> result = false;
  if (code != SQLITE_DONE) result = error();
  sqlite3_reset(statement);  // gives its lock back
  sqlite3_clear_bindings(statement);
  return result;
}

int64_t Sqlite::n_changed() const { return sqlite3_changes64(db_.get()); }

}  // namespace hanlin::store
