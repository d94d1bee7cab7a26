// The tools "sql_query" and "sql_schema": questions to SQLite and PostgreSQL databases, which they cannot change.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/runnable_tool.h"

namespace hanlin::agent {

struct SqlDatabase {
  std::string name;    // what the model calls it
  // The path of a SQLite file, or "postgresql://user@host/name" or "host=… dbname=…", as libpq reads it. "${NAME}" is replaced by
  // the environment's variable; libpq's own variables and ~/.pgpass count as well.
  std::string target;
};

// "NAME=TARGET", as a user writes it. kInvalidArgument.
Result<SqlDatabase> parse_sql_database(std::string_view text);

struct SqlOptions {
  std::vector<SqlDatabase> databases;  // names each once; at least one
  int64_t max_rows = 200;
  size_t max_bytes = 32 << 10;         // of the result
  std::chrono::milliseconds timeout{15000};
};

// sql_query and sql_schema. Every call opens its own connection, read-only, and takes one statement. A SQLite file must exist
// (kNotFound); a PostgreSQL server is first asked at the first call. Errors name the database.
Result<std::vector<std::shared_ptr<RunnableTool>>> make_sql_tools(const SqlOptions& options);

}  // namespace hanlin::agent
