#include "engine/constraint.h"

#include <gtest/gtest.h>

#include "engine/test_tokenizer.h"

namespace hanlin::engine {
namespace {

api::Constraint schema(const std::string& text) {
  api::Constraint c;
  c.source = text;
  c.param = "response_format";
  return c;
}

TEST(Constraint, KeepsWhatItCompiled) {
  ConstraintCompiler compiler(test_tokenizer(), kTestVocab);
  const auto a = compiler.prepare(schema(R"({"type":"object"})"), 100), b = compiler.prepare(schema(R"({"type":"object"})"), 100);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(*a, *b);
}

TEST(Constraint, NamesTheFieldAndThePlace) {
  ConstraintCompiler compiler(test_tokenizer(), kTestVocab);
  const auto bad = compiler.prepare(schema(R"({"properties":{"a":{"pattern":"("}}})"), 100);
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().param, "response_format");
  EXPECT_NE(bad.error().message.find("/properties/a/pattern"), std::string::npos) << bad.error().message;
  const auto tight = compiler.prepare(schema(R"({"const":"a long text"})"), 5);
  ASSERT_FALSE(tight.ok());
  EXPECT_EQ(tight.error().param, "max_tokens");
}

TEST(Constraint, LetsTheAnswerEndOnlyWhereTheGrammarDoes) {
  ConstraintCompiler compiler(test_tokenizer(), kTestVocab);
  api::Constraint c;
  c.kind = api::Constraint::Kind::kChoices;
  c.choices = {"a", "ab"};
  const auto grammar = compiler.prepare(c, 10);
  ASSERT_TRUE(grammar.ok()) << grammar.error().message;
  ConstraintState state(*grammar, kTestVocab);
  const auto allowed = [&](int32_t id) { return (state.mask(10)[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0; };
  EXPECT_TRUE(allowed('a'));
  EXPECT_FALSE(allowed('b'));
  EXPECT_FALSE(allowed(kEos));
  state.accept('a');
  EXPECT_TRUE(allowed('b'));
  EXPECT_TRUE(allowed(kEos));
  EXPECT_FALSE(state.is_complete());
  state.accept('b');
  EXPECT_TRUE(state.is_complete());
}

TEST(Constraint, ForcedTokensFitTheBudgetAndLeaveTheLastOneOpen) {
  ConstraintCompiler compiler(test_tokenizer(), kTestVocab);
  const auto grammar = compiler.prepare(schema(R"({"type":"object","properties":{"name":{"enum":["xyz","xyw"]}},"required":["name"],"additionalProperties":false})"), 100);
  ASSERT_TRUE(grammar.ok()) << grammar.error().message;
  const auto text_of = [](const std::vector<int32_t>& ids) {
    std::string text;
    for (int32_t id : ids) text += test_tokenizer()->token_bytes(id);
    return text;
  };
  ConstraintState state(*grammar, kTestVocab);
  const auto forced = [&](int64_t n_left, bool skip_layout) { return text_of(state.forced_tokens(*test_tokenizer(), {}, n_left, skip_layout)); };
  EXPECT_EQ(forced(100, false), "");  // after the brace white space is a choice
  EXPECT_EQ(forced(100, true), R"({"name": "x)");
  EXPECT_EQ(forced(15, true), R"({"name": "x)");
  EXPECT_EQ(forced(14, true), R"({"name":)");  // {"name":"xyz"} takes 14
  for (const char c : std::string(R"({"n)")) state.accept(c);
  EXPECT_EQ(forced(100, false), "ame");
  for (const char c : std::string(R"(ame":"xyz")")) state.accept(c);
  EXPECT_EQ(forced(100, true), "");  // one token is not worth it
}

}  // namespace
}  // namespace hanlin::engine
