#include "agent/tools/sql.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "agent/tools/arguments.h"
#include "agent/tools/sql_reader.h"
#include "agent/tools/tool_file.h"
#include "base/json.h"

namespace hanlin::agent {
namespace {

constexpr int64_t kMaxSchemaColumns = 2000;

// The databases by name; both tools share them.
class Databases {
 public:
  Databases(SqlOptions options, std::vector<std::unique_ptr<SqlReader>> readers) : options_(std::move(options)), readers_(std::move(readers)) {}
  const SqlOptions& options() const { return options_; }
  std::string names() const {
    std::vector<std::string> names;
    for (size_t i = 0; i < readers_.size(); ++i) names.push_back(fmt::format("{} ({})", options_.databases[i].name, readers_[i]->dialect()));
    return fmt::format("{}", fmt::join(names, ", "));
  }
  const std::string& first() const { return options_.databases[0].name; }
  const SqlReader* find(const std::string& name) const {
    for (size_t i = 0; i < readers_.size(); ++i) {
      if (options_.databases[i].name == name) return readers_[i].get();
    }
    return nullptr;
  }
  std::vector<std::string> choices() const {
    std::vector<std::string> names;
    for (const SqlDatabase& database : options_.databases) names.push_back(database.name);
    return names;
  }

 private:
  const SqlOptions options_;
  const std::vector<std::unique_ptr<SqlReader>> readers_;
};

std::string shown(const std::optional<std::string>& value) {
  if (!value) return "NULL";
  std::string text;
  for (const char c : value->size() > kMaxSqlValueBytes ? cap_text(*value, kMaxSqlValueBytes) : *value) text += c == '\n' ? "\\n" : c == '\r' ? "\\r" : std::string(1, c);
  return text;
}

std::string describe(const SqlTable& table, size_t max_bytes) {
  std::string text = fmt::format("{}\n", fmt::join(table.columns, " | "));
  size_t n_shown = 0;
  for (const auto& row : table.rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += (i == 0 ? "" : " | ") + shown(row[i]);
    if (n_shown > 0 && text.size() + line.size() > max_bytes) break;
    text += line + "\n";
    ++n_shown;
  }
  text = cap_text(std::move(text), max_bytes + kMaxSqlValueBytes);
  if (table.cut || n_shown < table.rows.size()) return text + fmt::format("[cut here after {} rows: there are more; ask for fewer columns, add conditions or count]", n_shown);
  return text + fmt::format("({} row{})", n_shown, n_shown == 1 ? "" : "s");
}

// The arguments' choices are the databases of this tool, so TypedTool does not fit.
class SqlTool : public RunnableTool {
 public:
  SqlTool(std::shared_ptr<const Databases> databases, const char* name, const std::string& description, bool has_query) : databases_(std::move(databases)) {
    std::string query, database = databases_->first();
    ArgumentList list;
    if (has_query) list.add("query", &query, "One statement that reads").required().range(1, 20000);
    list.add("database", &database, "Which database").choices(databases_->choices());
    tool_ = list.describe(name, description);
  }
  const Tool& tool() const final { return tool_; }

 protected:
  struct Request {
    std::string query, database;
    const SqlReader* reader;
  };
  Result<Request> read(const Json& arguments, bool has_query) const {
    Request request{"", databases_->first(), nullptr};
    ArgumentList list;
    if (has_query) list.add("query", &request.query, "").required().range(1, 20000);
    list.add("database", &request.database, "").choices(databases_->choices());
    HANLIN_TRY(list.read(arguments));
    request.reader = databases_->find(request.database);
    return request;
  }
  const std::shared_ptr<const Databases> databases_;

 private:
  Tool tool_;
};

class SqlQuery final : public SqlTool {
 public:
  explicit SqlQuery(const std::shared_ptr<const Databases>& databases)
      : SqlTool(databases, "sql_query", fmt::format("Asks a database with SQL; reading only. Databases: {}. sql_schema tells their tables.", databases->names()), true) {}
  Result<std::string> run(const Json& arguments, const ToolContext& context) override {
    HANLIN_ASSIGN(const Request request, read(arguments, true));
    const SqlOptions& options = databases_->options();
    auto table = request.reader->query(request.query, {options.max_rows, options.max_bytes}, with_limit(context, options.timeout));
    if (!table.ok()) return std::move(table).error().with_context(request.database);
    return describe(*table, options.max_bytes);
  }
};

class SqlSchema final : public SqlTool {
 public:
  explicit SqlSchema(const std::shared_ptr<const Databases>& databases)
      : SqlTool(databases, "sql_schema", fmt::format("Lists tables, columns and types of a database. Databases: {}.", databases->names()), false) {}
  Result<std::string> run(const Json& arguments, const ToolContext& context) override {
    HANLIN_ASSIGN(const Request request, read(arguments, false));
    const SqlOptions& options = databases_->options();
    auto columns = request.reader->schema({kMaxSchemaColumns, options.max_bytes}, with_limit(context, options.timeout));
    if (!columns.ok()) return std::move(columns).error().with_context(request.database);
    std::string text, table;
    for (const auto& row : columns->rows) {
      const std::string name = shown(row[0]), column = shown(row[1]), type = shown(row[2]);
      const std::string item = type.empty() ? column : column + " " + type;
      text += name == table ? ", " + item : fmt::format("{}{}({}", table.empty() ? "" : ")\n", name, item);
      table = name;
    }
    if (text.empty()) return std::string("(no tables)");
    return cap_text(text + ")" + (columns->cut ? "\n[cut here: there are more]" : ""), options.max_bytes);
  }
};

bool is_postgres(const std::string& target) {
  return target.starts_with("postgresql://") || target.starts_with("postgres://") || target.find("host=") != std::string::npos || target.find("dbname=") != std::string::npos;
}

}  // namespace

Result<SqlDatabase> parse_sql_database(std::string_view text) {
  const size_t equals = std::min(text.find('='), text.size());
  SqlDatabase database{std::string(text.substr(0, equals)), std::string(text.substr(std::min(equals + 1, text.size())))};
  if (!is_tool_name(database.name) || database.target.empty()) {
    return Error{Code::kInvalidArgument, fmt::format("expected NAME=FILE or NAME=postgresql://…, got \"{}\"", text)};
  }
  return database;
}

Result<std::vector<std::shared_ptr<RunnableTool>>> make_sql_tools(const SqlOptions& options) {
  std::vector<std::unique_ptr<SqlReader>> readers;
  for (const SqlDatabase& database : options.databases) {
    const auto n_same = std::count_if(options.databases.begin(), options.databases.end(), [&](const SqlDatabase& other) { return other.name == database.name; });
    if (n_same > 1) return Error{Code::kInvalidArgument, fmt::format("sql: the database {} is there twice", database.name)};
    const Json text = database.target;
    HANLIN_ASSIGN(const std::string target, expand_environment(JsonPlace("sql " + database.name, text), {}));
    if (is_postgres(target)) {
      readers.push_back(make_postgres_reader(target));
      continue;
    }
    auto reader = make_sqlite_reader(target);
    if (!reader.ok()) return std::move(reader).error().with_context("sql " + database.name);
    readers.push_back(std::move(reader).value());
  }
  if (readers.empty()) return Error{Code::kInvalidArgument, "sql: expected at least one database"};
  const auto databases = std::make_shared<const Databases>(options, std::move(readers));
  return std::vector<std::shared_ptr<RunnableTool>>{std::make_shared<SqlQuery>(databases), std::make_shared<SqlSchema>(databases)};
}

}  // namespace hanlin::agent
