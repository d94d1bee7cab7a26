// One database that is only read. Private to the SQL tools.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/runnable_tool.h"

namespace hanlin::agent {

struct SqlTable {
  std::vector<std::string> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;  // without a value: NULL
  bool cut = false;                                           // there are more rows than allowed
};

struct SqlBounds {
  int64_t max_rows;
  size_t max_bytes;  // of all values; the row that passes it is the last
};

// Safe from any thread: every query has a connection of its own.
class SqlReader {
 public:
  virtual ~SqlReader() = default;
  // Runs one statement that reads. kInvalidArgument: the database's own message, a statement that would change something, or more
  // than one; kUnavailable: the database is not there; kDeadlineExceeded, kCancelled.
  virtual Result<SqlTable> query(const std::string& statement, const SqlBounds& bounds, const ToolContext& context) const = 0;
  // Columns "table", "column", "type" of all tables and views, in order.
  virtual Result<SqlTable> schema(const SqlBounds& bounds, const ToolContext& context) const = 0;
  virtual const char* dialect() const = 0;
};

// kNotFound, kInvalidArgument: no such file, or no database.
Result<std::unique_ptr<SqlReader>> make_sqlite_reader(const std::string& path);
// `target` as libpq reads it. Connects at each query.
std::unique_ptr<SqlReader> make_postgres_reader(const std::string& target);

// A value longer than this many bytes is cut.
inline constexpr size_t kMaxSqlValueBytes = 2000;

}  // namespace hanlin::agent
