#include "agent/react_parser.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/json.h"

namespace hanlin::agent {
namespace {

void check(const Json& test) {
  const auto id = test["id"].get<std::string>();
  const Json& expect = test["expect"];
  const ReactStep step = parse_react(test["text"].get<std::string>());
  static const char* kKinds[] = {"action", "final", "error"};
  ASSERT_EQ(kKinds[static_cast<int>(step.kind)], expect["kind"].get<std::string>()) << id << ": " << step.error;
  if (expect.contains("thought")) {
    EXPECT_EQ(step.thought, expect["thought"].get<std::string>()) << id;
  }
  if (expect.contains("tool")) {
    EXPECT_EQ(step.tool, expect["tool"].get<std::string>()) << id;
  }
  if (expect.contains("input")) {
    const Result<Json> input = parse_json(step.input_json);
    ASSERT_TRUE(input.ok()) << id << ": " << step.input_json;
    EXPECT_EQ(*input, expect["input"]) << id;
  }
  if (expect.contains("answer")) {
    EXPECT_EQ(step.answer, expect["answer"].get<std::string>()) << id;
  }
  if (expect.contains("error")) {
    EXPECT_EQ(step.error, expect["error"].get<std::string>()) << id;
  }
}

int run_cases(const std::string& path) {
  std::ifstream in(path);
  int n_cases = 0;
  for (std::string line; std::getline(in, line); ++n_cases) {
    const Result<Json> test = parse_json(line);
    if (test.ok()) check(*test);
    else ADD_FAILURE() << test.error().message;
  }
  return n_cases;
}

TEST(React, OwnCases) { EXPECT_GE(run_cases(HANLIN_SOURCE_DIR "/tests/react/cases.jsonl"), 20); }

TEST(React, SharedCases) {
  const int n_cases = run_cases(HANLIN_SOURCE_DIR "/../shared/cases/react/cases.jsonl");
  if (n_cases == 0) GTEST_SKIP() << "../shared/cases/react is absent";
  EXPECT_EQ(n_cases, 18);
}

}  // namespace
}  // namespace hanlin::agent
