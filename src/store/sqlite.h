// SQLite with Result instead of codes. The only place, with its source, that knows sqlite3.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace hanlin::store {

using SqlValue = std::variant<int64_t, std::string>;

// A result row: texts and integers by column.
class SqlRow {
 public:
  explicit SqlRow(sqlite3_stmt* statement) : statement_(statement) {}
  int64_t integer(int column) const;
  std::string text(int column) const;

 private:
  sqlite3_stmt* statement_;
};

// One connection. Not thread-safe: its owner holds a lock.
class Sqlite {
 public:
  // Creates the file; its folder must exist.
  static Result<Sqlite> open(const std::string& path);
  Sqlite(Sqlite&&) = default;
  Sqlite& operator=(Sqlite&&) = default;
  ~Sqlite();

  // Statements without values, separated by semicolons.
  Status script(const std::string& sql);
  // One statement with values for its "?"; rows go to `on_row`. Prepared once for each text.
  template <typename OnRow>
  Status query(std::string_view sql, const std::vector<SqlValue>& values, OnRow&& on_row) {
    HANLIN_ASSIGN(sqlite3_stmt * statement, prepare(sql, values));
    while (true) {
      HANLIN_ASSIGN(const bool row, step(statement));
      if (!row) return {};
      on_row(SqlRow(statement));
    }
  }
  Status run(std::string_view sql, const std::vector<SqlValue>& values) {
    return query(sql, values, [](const SqlRow&) {});
  }
  int64_t n_changed() const;  // rows, by the last statement

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  struct Prepared {
    std::string sql;
    std::unique_ptr<sqlite3_stmt, Finalize> statement;
  };
  Sqlite() = default;
  Result<sqlite3_stmt*> prepare(std::string_view sql, const std::vector<SqlValue>& values);
  Result<bool> step(sqlite3_stmt* statement);
  Error error() const;

  std::string path_;
  std::unique_ptr<sqlite3, Close> db_;
  std::vector<Prepared> prepared_;
};

}  // namespace hanlin::store
