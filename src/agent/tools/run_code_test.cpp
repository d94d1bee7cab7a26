#include "agent/tools/run_code.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace hanlin::agent {
namespace {

TEST(RunCode, RunsWhatTheModelWrote) {
  const auto python = make_python({}), shell = make_shell({});
  if (!python.ok()) GTEST_SKIP() << python.error().message;
  const auto run = [](const auto& tool, const char* code) { return (*tool)->run(Json{{"code", code}}, {}).value(); };
  EXPECT_EQ(run(python, "print(sum(range(101)))"), "5050\n");
  EXPECT_EQ(run(python, "x = 1"), "(no output)");
  EXPECT_NE(run(python, "1/0").find("ZeroDivisionError: division by zero\n[exit status 1]"), std::string::npos);
  EXPECT_EQ(run(shell, "echo a; echo b >&2; exit 2"), "a\n[stderr]\nb\n[exit status 2]");
  EXPECT_EQ(run(shell, "cat /etc/passwd 2>/dev/null; kill -9 $$"), "[ended by signal 9]");
  EXPECT_EQ((*shell)->run(Json{{"code", ""}}, {}).error().code, Code::kInvalidArgument);
  EXPECT_NE((*shell)->run(Json{{"code", "sleep 1000"}}, {.deadline = std::chrono::steady_clock::now()}).value().find("[stopped"), std::string::npos);
}

TEST(RunCode, SaysWhatIsMissing) {
  const auto python = make_python({.python = "/usr/bin/no-such-python"});
  ASSERT_FALSE(python.ok());
  EXPECT_EQ(python.error().message.find("python: sandbox: "), 0u);
}

TEST(RunCode, DescribesCutOutput) {
  EXPECT_EQ(describe_output({.out = {"abc", 7}}, {}), "abc\n[cut here: 7 more bytes]");
}

}  // namespace
}  // namespace hanlin::agent
