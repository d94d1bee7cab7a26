// Real databases: a SQLite file, and a PostgreSQL server that the test starts in a folder of its own.
#include "agent/tools/sql.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/json.h"

namespace hanlin::agent {
namespace {

namespace fs = std::filesystem;

fs::path make_folder(const char* name) {
  std::string pattern = (fs::temp_directory_path() / (std::string("hanlin-") + name + "-XXXXXX")).string();
  return mkdtemp(pattern.data());
}

// The two tools over some databases.
struct Tools {
  explicit Tools(SqlOptions options) {
    auto made = make_sql_tools(options);
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
    if (made.ok()) query_tool = made->at(0), schema_tool = made->at(1);
  }
  Result<std::string> query(const std::string& text, const ToolContext& context = {}) const { return query_tool->run({{"query", text}}, context); }
  std::string error(const std::string& text) const {
    const auto result = query(text);
    return result.ok() ? "no error: " + *result : result.error().message;
  }
  std::shared_ptr<RunnableTool> query_tool, schema_tool;
};

class SqliteTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = make_folder("sqlite");
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path().c_str(), &database), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(database,
                           "CREATE TABLE city (name TEXT PRIMARY KEY, people INTEGER, area REAL, flag BLOB);"
                           "INSERT INTO city VALUES ('北京', 21893095, 16410.5, x'0102'), ('Rome', 2755309, 1285, NULL), ('a\nb', 1, 1, NULL);"
                           "CREATE VIEW big AS SELECT name FROM city WHERE people > 1000000;",
                           nullptr, nullptr, nullptr),
              SQLITE_OK);
    sqlite3_close(database);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path() const { return (folder_ / "c.db").string(); }
  SqlOptions options() const { return {.databases = {{"cities", path()}}}; }
  fs::path folder_;
};

TEST_F(SqliteTest, AnswersQuestions) {
  const Tools tools(options());
  EXPECT_EQ(tools.query("SELECT name, people, area, flag FROM city ORDER BY people DESC;").value(),
            "name | people | area | flag\n北京 | 21893095 | 16410.5 | [2 bytes]\nRome | 2755309 | 1285.0 | NULL\na\\nb | 1 | 1.0 | NULL\n(3 rows)");
  EXPECT_EQ(tools.query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4) SELECT sum(i) AS s FROM n -- comment").value(), "s\n10\n(1 row)");
  EXPECT_EQ(tools.query("/* all */ SELECT count(*) FROM big").value(), "count(*)\n2\n(1 row)");
  EXPECT_EQ(tools.query("SELECT * FROM city WHERE 0").value(), "name | people | area | flag\n(0 rows)");
  EXPECT_EQ(tools.schema_tool->run(Json::object(), {}).value(), "big(name TEXT)\ncity(name TEXT, people INTEGER, area REAL, flag BLOB)");
  EXPECT_NE(tools.query_tool->tool().description.find("cities (SQLite)"), std::string::npos);
}

TEST_F(SqliteTest, ChangesNothing) {
  const Tools tools(options());
  const std::string other = (folder_ / "other.db").string();
  for (const std::string& bad : std::vector<std::string>{
           "DELETE FROM city", "INSERT INTO city VALUES ('x', 1, 1, NULL)", "UPDATE city SET people = 0 RETURNING name", "DROP TABLE city", "CREATE TABLE t (a)",
           "CREATE TEMP TABLE t (a)", "PRAGMA user_version = 7", "PRAGMA table_info(city)", "ATTACH '" + other + "' AS o", "VACUUM INTO '" + other + "'",
           "SELECT load_extension('x')", "SELECT fts3_tokenizer('simple')", "BEGIN", "REINDEX", "WITH a AS (SELECT 1) DELETE FROM city",
           "SELECT 1; DELETE FROM city", "SELECT 1; SELECT 2", "", "-- nothing", "SELECT ?", "EXPLAIN DELETE FROM city"}) {
    const auto result = tools.query(bad);
    ASSERT_FALSE(result.ok()) << bad << ": " << *result;
    EXPECT_EQ(result.error().code, Code::kInvalidArgument) << bad << ": " << result.error().message;
  }
  EXPECT_FALSE(fs::exists(other));
  EXPECT_EQ(tools.query("SELECT count(*) AS n, max(people) AS m FROM city").value(), "n | m\n3 | 21893095\n(1 row)");
  EXPECT_EQ(tools.error("SELECT nme FROM city"), "cities: no such column: nme");
  EXPECT_EQ(tools.error("DELETE FROM city"), "cities: only statements that read are allowed: SELECT, WITH, VALUES");
}

TEST_F(SqliteTest, KeepsItsBounds) {
  SqlOptions few = options();
  few.max_rows = 2;
  EXPECT_EQ(Tools(few).query("SELECT name FROM city ORDER BY people DESC").value(), "name\n北京\nRome\n[cut here after 2 rows: there are more; ask for fewer columns, add conditions or count]");
  SqlOptions small = options();
  small.max_bytes = 100;
  const std::string cut = Tools(small).query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 'some text ' || i FROM n").value();
  EXPECT_LT(cut.size(), 300u);
  EXPECT_NE(cut.find("[cut here after"), std::string::npos);
  EXPECT_NE(Tools(options()).query("SELECT printf('%.*c', 5000, 'x')").value().find("[cut here: 3000 more bytes]"), std::string::npos);
  EXPECT_NE(Tools(options()).error("SELECT zeroblob(1000000000)").find("too big"), std::string::npos);
  const std::string endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
  EXPECT_EQ(Tools(options()).query(endless, {.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(30)}).error().code, Code::kDeadlineExceeded);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(Tools(options()).query(endless, {.stop = stop.get_token()}).error().code, Code::kCancelled);
}

TEST_F(SqliteTest, SaysWhichDatabaseIsWrong) {
  EXPECT_EQ(make_sql_tools({}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(make_sql_tools({.databases = {{"a", "/no/such.db"}}}).error().code, Code::kNotFound);
  EXPECT_EQ(make_sql_tools({.databases = {{"a", path()}, {"a", path()}}}).error().message, "sql: the database a is there twice");
  std::ofstream(folder_ / "text.db") << "this is a text and no database at all, however long it may become";
  EXPECT_NE(make_sql_tools({.databases = {{"a", (folder_ / "text.db").string()}}}).error().message.find("sql a: "), std::string::npos);
  EXPECT_EQ(make_sql_tools({.databases = {{"a", "${HANLIN_TEST_NOTHING}"}}}).error().message, "sql a#: the environment has no variable HANLIN_TEST_NOTHING");
  EXPECT_EQ(Tools(options()).query_tool->run({{"query", "SELECT 1"}, {"database", "other"}}, {}).error().message, "argument database: expected one of cities, got \"other\"");
  EXPECT_EQ(parse_sql_database("shop=postgresql://localhost/shop").value().target, "postgresql://localhost/shop");
  for (const char* bad : {"", "x", "x=", "=y", "a b=c"}) EXPECT_FALSE(parse_sql_database(bad).ok()) << bad;
}

// A server of its own; PostgreSQL refuses to run as root, so root starts it as nobody.
class PostgresTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::error_code ec;
    for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", ec)) {
      if (fs::exists(version.path() / "bin/initdb", ec)) bin_ = version.path() / "bin";
    }
    if (bin_.empty()) {
      why_not_ = "no PostgreSQL server in /usr/lib/postgresql (tools/setup.sh --tests installs it)";
      return;
    }
    folder_ = make_folder("postgres");
    if (geteuid() == 0) {
      const passwd* nobody = getpwnam("nobody");
      if (nobody == nullptr || chown(folder_.c_str(), nobody->pw_uid, nobody->pw_gid) != 0) {
        why_not_ = "there is no user nobody to run PostgreSQL as";
        return;
      }
    }
    const std::string data = (folder_ / "data").string();
    std::ofstream(folder_ / "setup.sql") << "CREATE ROLE reader LOGIN; CREATE TABLE city (name text, people int); INSERT INTO city VALUES ('北京', 21893095), ('Rome', NULL);"
                                            "GRANT SELECT ON city TO reader; GRANT ALL ON city TO reader; CREATE SCHEMA s; CREATE TABLE s.t (a int); GRANT USAGE ON SCHEMA s TO reader;"
                                            "GRANT SELECT ON s.t TO reader; CREATE SEQUENCE q; GRANT ALL ON q TO reader;";
    const bool up = as_server("initdb -D '" + data + "' -A trust -U owner --no-sync -E UTF8 --locale=C.UTF-8") &&
                    as_server("pg_ctl start -w -D '" + data + "' -l '" + (folder_ / "log").string() + "' -o \"-k '" + folder_.string() + "' -c listen_addresses='' -c fsync=off\"") &&
                    as_server("psql -q -v ON_ERROR_STOP=1 -h '" + folder_.string() + "' -U owner -d postgres -f '" + (folder_ / "setup.sql").string() + "'");
    if (!up) why_not_ = "PostgreSQL does not start here";
  }
  static void TearDownTestSuite() {
    if (folder_.empty()) return;
    as_server("pg_ctl stop -w -m immediate -D '" + (folder_ / "data").string() + "'");
    fs::remove_all(folder_);
  }
  void SetUp() override {
    if (!why_not_.empty()) GTEST_SKIP() << why_not_;
  }
  static bool as_server(const std::string& command) {
    const std::string line = (geteuid() == 0 ? "runuser -u nobody -- " : "") + bin_.string() + "/" + command + " >>'" + folder_.string() + ".log' 2>&1";
    const bool ok = std::system(("cd / && " + line).c_str()) == 0;
    if (ok) fs::remove(folder_.string() + ".log");
    return ok;
  }
  static std::string target(const std::string& user) { return fmt::format("host={} dbname=postgres user={}", folder_.string(), user); }
  static SqlOptions options() { return {.databases = {{"main", target("reader")}}}; }

  static inline fs::path bin_, folder_;
  static inline std::string why_not_;
};

TEST_F(PostgresTest, AnswersQuestions) {
  const Tools tools(options());
  EXPECT_EQ(tools.query("SELECT name, people FROM city ORDER BY name DESC;").value(), "name | people\n北京 | 21893095\nRome | NULL\n(2 rows)");
  EXPECT_EQ(tools.query("( SELECT 1 AS a ) UNION VALUES (2) ORDER BY a").value(), "a\n1\n2\n(2 rows)");
  EXPECT_EQ(tools.query("/* a */ -- b\n with x AS (SELECT 3 AS y) SELECT y FROM x").value(), "y\n3\n(1 row)");
  EXPECT_EQ(tools.query("SHOW transaction_read_only").value(), "transaction_read_only\non\n(1 row)");
  EXPECT_EQ(tools.schema_tool->run(Json::object(), {}).value(), "city(name text, people integer)\ns.t(a integer)");
}

TEST_F(PostgresTest, ChangesNothing) {
  const Tools tools(options());
  for (const char* bad : {"DELETE FROM city", "WITH d AS (DELETE FROM city RETURNING name) SELECT * FROM d", "SELECT 1; DELETE FROM city", "SELECT * INTO t FROM city", "COPY city TO '/tmp/x'",
                          "DO $$ BEGIN NULL; END $$", "SET default_transaction_read_only = off", "SELECT set_config('transaction_read_only', 'off', true)", "SELECT nextval('q')",
                          "SELECT name FROM city FOR UPDATE", "EXPLAIN ANALYZE DELETE FROM city", "SELECT lo_export(1, '/tmp/x')", "SELECT pg_read_file('/etc/passwd')", "SELECT $1"}) {
    const auto result = tools.query(bad);
    ASSERT_FALSE(result.ok()) << bad << ": " << *result;
    EXPECT_EQ(result.error().code, Code::kInvalidArgument) << bad << ": " << result.error().message;
  }
  EXPECT_EQ(tools.query("SELECT count(*) FROM city").value(), "count\n2\n(1 row)");
  EXPECT_EQ(tools.error("DELETE FROM city"), "main: only statements that read are allowed: SELECT, WITH, VALUES, TABLE, EXPLAIN, SHOW");
  EXPECT_EQ(tools.error("SELECT nme FROM city"), "main: column \"nme\" does not exist (Perhaps you meant to reference the column \"city.name\".)");
  EXPECT_NE(Tools({.databases = {{"main", target("owner")}}}).error("SELECT 1").find("owner is a superuser"), std::string::npos);
}

TEST_F(PostgresTest, KeepsItsBounds) {
  SqlOptions few = options();
  few.max_rows = 3;
  EXPECT_EQ(Tools(few).query("SELECT generate_series(1, 100000000) AS i").value(),
            "i\n1\n2\n3\n[cut here after 3 rows: there are more; ask for fewer columns, add conditions or count]");
  const Tools tools(options());
  EXPECT_EQ(tools.query("SELECT pg_sleep(1000)", {.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(300)}).error().code, Code::kDeadlineExceeded);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(tools.query("SELECT pg_sleep(1000)", {.stop = stop.get_token()}).error().code, Code::kCancelled);
  const auto gone = Tools({.databases = {{"main", "host=/no/such/folder dbname=x"}}}).query("SELECT 1");
  EXPECT_EQ(gone.error().code, Code::kUnavailable) << gone.error().message;
  EXPECT_EQ(Tools({.databases = {{"main", target("stranger")}}}).query("SELECT 1").error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace hanlin::agent
