#include "agent/run/check_arguments.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace hanlin::agent {
namespace {

bool valid(const char* schema, const char* arguments) { return check_arguments(schema, *parse_json(arguments)).ok(); }

TEST(CheckArguments, FollowsTheSchema) {
  const char* schema = R"({"type":"object","properties":{"n":{"type":"integer","minimum":1},"unit":{"enum":["a","b"]}},"required":["n"],"additionalProperties":false})";
  EXPECT_TRUE(valid(schema, R"({"n":1})"));
  EXPECT_TRUE(valid(schema, R"({"n":3,"unit":"b"})"));
  EXPECT_FALSE(valid(schema, R"({"n":0})"));
  EXPECT_FALSE(valid(schema, R"({"n":"1"})"));
  EXPECT_FALSE(valid(schema, R"({})"));
  EXPECT_FALSE(valid(schema, R"({"n":1,"unit":"c"})"));
  EXPECT_FALSE(valid(schema, R"({"n":1,"more":true})"));
}

TEST(CheckArguments, ReadsReferencesAndCombinations) {
  const char* schema = R"({"type":"object","properties":{"p":{"$ref":"#/$defs/point"}},"$defs":{"point":{"type":"array","items":{"type":"number"}}},"anyOf":[{"required":["p"]},{"required":["q"]}]})";
  EXPECT_TRUE(valid(schema, R"({"p":[1,2.5]})"));
  EXPECT_FALSE(valid(schema, R"({"p":["x"]})"));
  EXPECT_FALSE(valid(schema, R"({})"));
}

TEST(CheckArguments, LeavesPatternsToTheTool) {
  // A pattern that takes exponential time, and one that std::regex does not know.
  EXPECT_TRUE(valid(R"({"type":"object","properties":{"s":{"type":"string","pattern":"^(a+)+$"}}})", R"({"s":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"})"));
  EXPECT_TRUE(valid(R"({"type":"object","properties":{"s":{"pattern":"\\p{L}"}}})", R"({"s":"1"})"));
  EXPECT_TRUE(valid(R"({"type":"object","patternProperties":{"^x":{"type":"string"}},"additionalProperties":false})", R"({"x1":"s"})"));
  // Names of arguments are no keywords.
  EXPECT_FALSE(valid(R"({"type":"object","properties":{"pattern":{"type":"string"}}})", R"({"pattern":1})"));
}

TEST(CheckArguments, SaysWhatIsWrong) {
  const Status status = check_arguments(R"({"type":"object","properties":{"n":{"type":"integer"}}})", *parse_json(R"({"n":"many"})"));
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("arguments[n]"), std::string::npos) << status.error().message;
  EXPECT_NE(status.error().message.find("\"integer\""), std::string::npos) << status.error().message;
}

TEST(CheckArguments, ASchemaThatCannotBeReadChecksNothing) {
  EXPECT_TRUE(valid("no json", "{}"));
  EXPECT_TRUE(valid(R"({"$ref":"https://example.com/schema.json"})", "{}"));
  EXPECT_TRUE(valid("", "{}"));
}

}  // namespace
}  // namespace hanlin::agent
