#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <chrono>

#include "agent/tools/arguments.h"
#include "agent/tools/sql_reader.h"

namespace hanlin::agent {
namespace {

constexpr int kPollMs = 20;

struct CloseConnection {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Connection = std::unique_ptr<PGconn, CloseConnection>;
using Answer = std::unique_ptr<PGresult, ClearResult>;

std::string trimmed(const char* message) {
  std::string text = message != nullptr ? message : "";
  while (text.ends_with('\n') || text.ends_with(' ')) text.pop_back();
  return text;
}

// Waits until the socket is ready for what libpq wants, looking at deadline and stop meanwhile.
Status wait_ready(PGconn* connection, short events, const ToolContext& context) {
  while (true) {
    HANLIN_TRY(check_time(context, "PostgreSQL"));
    pollfd fd{PQsocket(connection), events, 0};
    if (fd.fd < 0) return Error{Code::kUnavailable, "the connection is gone"};
    if (poll(&fd, 1, kPollMs) > 0) return {};
  }
}

class PostgresReader final : public SqlReader {
 public:
  explicit PostgresReader(std::string target) : target_(std::move(target)) {}
  const char* dialect() const override { return "PostgreSQL"; }

  Result<SqlTable> query(const std::string& statement, const SqlBounds& bounds, const ToolContext& context) const override {
    if (statement.find('\0') != std::string::npos) return Error{Code::kInvalidArgument, "a statement has no NUL byte"};
    // A read-only transaction still allows COPY … TO, DO, LOCK and others.
    const std::string word = first_word(statement);
    if (word != "select" && word != "with" && word != "values" && word != "table" && word != "explain" && word != "show") {
      return Error{Code::kInvalidArgument, "only statements that read are allowed: SELECT, WITH, VALUES, TABLE, EXPLAIN, SHOW"};
    }
    return run(statement, bounds, context);
  }
  Result<SqlTable> schema(const SqlBounds& bounds, const ToolContext& context) const override {
    return run("SELECT CASE WHEN c.table_schema = 'public' THEN '' ELSE c.table_schema || '.' END || c.table_name AS \"table\", "
               "c.column_name AS \"column\", c.data_type AS type FROM information_schema.columns c "
               "WHERE c.table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY c.table_schema, c.table_name, c.ordinal_position",
               bounds, context);
  }

 private:
  // In lower case, after white space, comments and opening parentheses.
  static std::string first_word(std::string_view text) {
    while (!text.empty()) {
      if (text.starts_with("--")) text.remove_prefix(std::min(text.find('\n'), text.size()));
      else if (text.starts_with("/*")) text.remove_prefix(std::min(text.find("*/", 2) == std::string_view::npos ? text.size() : text.find("*/", 2) + 2, text.size()));
      else if (text[0] == ' ' || text[0] == '\n' || text[0] == '\t' || text[0] == '\r' || text[0] == '(') text.remove_prefix(1);
      else break;
    }
    std::string word;
    for (const char c : text) {
      if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z')) break;
      word += c < 'a' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return word;
  }

  Result<Connection> connect(const ToolContext& context) const {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(context.deadline - std::chrono::steady_clock::now());
    const std::string options = fmt::format("-c default_transaction_read_only=on -c statement_timeout={}", std::clamp<int64_t>(left.count(), 1, 3600000));
    // What stands after "dbname" overrides what it holds.
    const char* const names[] = {"fallback_application_name", "dbname", "options", "client_encoding", nullptr};
    const char* const values[] = {"hanlin", target_.c_str(), options.c_str(), "UTF8", nullptr};
    Connection connection(PQconnectStartParams(names, values, 1));
    if (!connection) return Error{Code::kUnavailable, "no memory"};
    PQsetNoticeProcessor(connection.get(), [](void*, const char*) {}, nullptr);
    auto wanted = PGRES_POLLING_WRITING;
    while (PQstatus(connection.get()) != CONNECTION_BAD && wanted != PGRES_POLLING_OK) {
      HANLIN_TRY(wait_ready(connection.get(), wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT, context));
      wanted = PQconnectPoll(connection.get());
      if (wanted == PGRES_POLLING_FAILED) break;
    }
    if (PQstatus(connection.get()) != CONNECTION_OK) return Error{Code::kUnavailable, trimmed(PQerrorMessage(connection.get()))};
    // A read-only transaction keeps nobody from files and programs of the server who may reach them.
    const char* const superuser = PQparameterStatus(connection.get(), "is_superuser");
    if (superuser == nullptr || std::string_view(superuser) != "off") {
      return Error{Code::kUnsupported, fmt::format("the user {} is a superuser, who can do more than read; expected a role that may only read "
                                                   "(CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader)",
                                                   PQuser(connection.get()))};
    }
    if (PQsetnonblocking(connection.get(), 1) != 0) return Error{Code::kUnavailable, trimmed(PQerrorMessage(connection.get()))};
    return connection;
  }

  Result<SqlTable> run(const std::string& statement, const SqlBounds& bounds, const ToolContext& context) const {
    HANLIN_ASSIGN(const Connection connection, connect(context));
    // With parameters, even none, the server takes one statement only.
    if (PQsendQueryParams(connection.get(), statement.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) == 0 || PQsetSingleRowMode(connection.get()) == 0) {
      return Error{Code::kUnavailable, trimmed(PQerrorMessage(connection.get()))};
    }
    SqlTable table;
    Status status = receive(connection.get(), bounds, context, &table);
    if (!status.ok() || table.cut) cancel(connection.get());
    if (!status.ok()) return status.error();
    return table;
  }

  static Status receive(PGconn* connection, const SqlBounds& bounds, const ToolContext& context, SqlTable* table) {
    size_t n_bytes = 0;
    while (true) {
      HANLIN_TRY(check_time(context, "PostgreSQL"));
      const int unsent = PQflush(connection);
      if (unsent < 0) return Error{Code::kUnavailable, trimmed(PQerrorMessage(connection))};
      if (unsent > 0 || PQisBusy(connection) != 0) {
        HANLIN_TRY(wait_ready(connection, static_cast<short>(POLLIN | (unsent > 0 ? POLLOUT : 0)), context));
        if (PQconsumeInput(connection) == 0) return Error{Code::kUnavailable, trimmed(PQerrorMessage(connection))};
        continue;
      }
      const Answer answer(PQgetResult(connection));
      if (!answer) return {};
      const ExecStatusType kind = PQresultStatus(answer.get());
      if (kind != PGRES_SINGLE_TUPLE && kind != PGRES_TUPLES_OK) return failure(answer.get());
      if (table->columns.empty()) {
        for (int i = 0; i < PQnfields(answer.get()); ++i) table->columns.emplace_back(PQfname(answer.get(), i));
      }
      for (int r = 0; r < PQntuples(answer.get()); ++r) {
        if (static_cast<int64_t>(table->rows.size()) == bounds.max_rows || n_bytes > bounds.max_bytes) {
          table->cut = true;
          return {};
        }
        auto& row = table->rows.emplace_back();
        for (int i = 0; i < PQnfields(answer.get()); ++i) {
          const bool is_null = PQgetisnull(answer.get(), r, i) != 0;
          row.push_back(is_null ? std::nullopt : std::optional<std::string>(std::string(PQgetvalue(answer.get(), r, i), static_cast<size_t>(PQgetlength(answer.get(), r, i)))));
          n_bytes += row.back() ? row.back()->size() : 4;
        }
      }
    }
  }
  static Status failure(const PGresult* answer) {
    const char* const state = PQresultErrorField(answer, PG_DIAG_SQLSTATE);
    const char* const hint = PQresultErrorField(answer, PG_DIAG_MESSAGE_HINT);
    std::string message = trimmed(PQresultErrorField(answer, PG_DIAG_MESSAGE_PRIMARY));
    if (hint != nullptr) message += fmt::format(" ({})", hint);
    const std::string_view code = state != nullptr ? state : "";
    if (code == "57014") return Error{Code::kDeadlineExceeded, "took longer than it may; ask for less: " + message};  // query_canceled
    if (code == "08P01") return Error{Code::kInvalidArgument, message};  // protocol_violation: parameters such as $1
    return Error{code.starts_with("08") || code.starts_with("57") || code.starts_with("53") ? Code::kUnavailable : Code::kInvalidArgument, message};
  }
  // The server stops working for us; closing the connection alone would not make it.
  static void cancel(PGconn* connection) {
    if (PQtransactionStatus(connection) != PQTRANS_ACTIVE) return;
    PGcancel* const handle = PQgetCancel(connection);
    char reason[256];
    if (handle != nullptr) PQcancel(handle, reason, sizeof reason);
    PQfreeCancel(handle);
  }

  const std::string target_;
};

}  // namespace

std::unique_ptr<SqlReader> make_postgres_reader(const std::string& target) { return std::make_unique<PostgresReader>(target); }

}  // namespace hanlin::agent
