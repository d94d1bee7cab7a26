#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/test_vocabulary.h"
#include "grammar/token_trie.h"

namespace hanlin::grammar {
namespace {

// Two functions: a takes {"x": integer}, b takes {"y": boolean}.
CallGrammarSpec two_functions() {
  CallGrammarSpec spec;
  spec.values = {{"a", R"({"type":"object","properties":{"x":{"type":"integer"}},"required":["x"],"additionalProperties":false})"},
                 {"b", R"({"type":"object","properties":{"y":{"type":"boolean"}},"required":["y"],"additionalProperties":false})"}};
  spec.rules =
      "root ::= \"<call>\" inside\n"
      "inside ::= (\"a \" @a | \"b \" @b) \"</call>\"\n"
      "lead ::= \"{\" [ ]* \"\\\"name\\\":\" [ ]* (\"\\\"a\\\"\" ! \",\" @a | \"\\\"b\\\"\" ! \",\" @b) \"}\"\n";
  return spec;
}

std::shared_ptr<const CompiledGrammar> must(const CallGrammarSpec& spec) {
  const auto grammar = compiler().compile_calls(spec, {.max_whitespace = 1});
  EXPECT_TRUE(grammar.ok()) << (grammar.ok() ? "" : grammar.error().message);
  return grammar.ok() ? *grammar : nullptr;
}

TEST(Calls, RulesWithValuesInThem) {
  const auto grammar = must(two_functions());
  EXPECT_TRUE(takes(grammar, R"(<call>a {"x":12}</call>)"));
  EXPECT_TRUE(takes(grammar, R"(<call>b { "y":true}</call>)"));
  EXPECT_FALSE(takes(grammar, R"(<call>a {"y":true}</call>)"));
  EXPECT_FALSE(takes(grammar, R"(<call>a {"x":12})"));
  EXPECT_FALSE(takes(grammar, R"(<call>a {"x":12}</call> )"));
}

TEST(Calls, TriggersAndLeadsInFreeText) {
  CallGrammarSpec spec = two_functions();
  spec.triggers = {{"<call>", "inside"}};
  spec.lead = "lead";
  const auto grammar = must(spec);
  EXPECT_TRUE(takes(grammar, "ünd <cal> {\"name\": \"a\" what"));
  EXPECT_TRUE(takes(grammar, " \n{\"name\":  \"c\"}"));
  EXPECT_TRUE(takes(grammar, "{\"name\":\"a\",{\"x\":1}} then 今天 <call>b {\"y\":false}</call>今"));
  EXPECT_TRUE(takes(grammar, "{\"name\":\"a\",{\"x\":1}}\n{\"name\":\"b\",{\"y\":true}}"));
  EXPECT_FALSE(takes(grammar, "{\"name\": \"a\"}"));
  EXPECT_FALSE(takes(grammar, "{\"name\": \"a\",{\"x\":true}}"));
  EXPECT_FALSE(takes(grammar, "{\"name\":\"a\",{\"x\":1}}\n{\"name\":\"b\",{\"x\":1}}"));
  EXPECT_FALSE(takes(grammar, "so <call>b {\"x\":1}</call>"));
  // Free until the name is complete, in one piece or byte by byte.
  GrammarMatcher matcher(grammar);
  for (const char c : std::string("{\"name\":\"a")) ASSERT_TRUE(matcher.accept_bytes({&c, 1}));
  EXPECT_TRUE(matcher.is_free());
  ASSERT_TRUE(matcher.accept_bytes("\""));
  EXPECT_FALSE(matcher.is_free());
  EXPECT_EQ(matcher.forced_run(1), ",");
}

TEST(Calls, ThoughtsHaveNoCalls) {
  CallGrammarSpec spec = two_functions();
  spec.triggers = {{"<call>", "inside"}, {"<again>", ""}};
  spec.lead = "lead";
  spec.thoughts_begin = "<think>";
  spec.thoughts_end = "</think>";
  const auto grammar = must(spec);
  EXPECT_TRUE(takes(grammar, "<think> <call>nothing{</think>"));
  EXPECT_TRUE(takes(grammar, "no <think> here"));
  EXPECT_FALSE(takes(grammar, "no <think> here <call>x"));
  EXPECT_FALSE(takes(grammar, "<think>x</think>\n{\"name\":\"a\"}"));
  EXPECT_FALSE(takes(grammar, "text<again>{\"name\":\"a\"}"));
  spec.in_thoughts = true;
  const auto inside = must(spec);
  EXPECT_TRUE(takes(inside, "{\"name\":\"a\"} <call>x"));
  EXPECT_FALSE(takes(inside, "{\"name\":\"a\"} </think> <call>x"));
}

TEST(Calls, OneCall) {
  CallGrammarSpec spec = two_functions();
  spec.triggers = {{"<call>", "inside"}};
  spec.lead = "lead";
  spec.one_call = true;
  const auto grammar = must(spec);
  for (const char* text : {"so <call>a {\"x\":1}</call>", "{\"name\":\"a\",{\"x\":1}}"}) {
    GrammarMatcher matcher(grammar);
    ASSERT_TRUE(matcher.accept_bytes(text));
    EXPECT_TRUE(matcher.is_complete());
  }
}

TEST(Calls, MaskEqualsWhatAcceptTakesWithinTheBudget) {
  CallGrammarSpec spec = two_functions();
  spec.triggers = {{"<call>", "inside"}};
  spec.lead = "lead";
  const auto grammar = must(spec);
  std::vector<uint32_t> bits(mask_words(tiny_tokenizer().vocab_size()));
  const std::string text = "a <call>a {\"x\":1}</call>\n{\"name\":\"b\",{\"y\":true}}";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    GrammarMatcher matcher(grammar);
    ASSERT_TRUE(matcher.accept_bytes(text.substr(0, cut))) << cut;
    for (const int64_t n_left : {kNoTokenLimit, matcher.tokens_to_finish(), matcher.tokens_to_finish() + 2}) {
      matcher.fill_mask(bits, n_left);
      bool any = matcher.can_end();
      for (int32_t id = 0; id < tiny_tokenizer().vocab_size(); ++id) {
        GrammarMatcher fork = matcher;
        const bool fits = fork.accept(id) && (grammar->vocabulary().ends(id) || (n_left > 0 && fork.tokens_to_finish() <= n_left - 1));
        EXPECT_EQ(has_bit(bits, id), fits) << text.substr(0, cut) << " + " << tiny_tokenizer().token_text(id) << " of " << n_left;
        any = any || has_bit(bits, id);
      }
      EXPECT_TRUE(any) << text.substr(0, cut);
    }
  }
}

TEST(Calls, NamesWhatIsWrong) {
  CallGrammarSpec spec = two_functions();
  spec.values[1].json_schema = R"({"type":"object","properties":{"y":{"pattern":"(.)\\1"}}})";
  spec.values[1].where = "tools[1].function.parameters";
  const auto refused = compiler().compile_calls(spec);
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(refused.error().message.starts_with("tools[1].function.parameters: ")) << refused.error().message;
  EXPECT_NE(refused.error().message.find("/properties/y/pattern"), std::string::npos) << refused.error().message;
  spec.values[1].or_object = true;
  EXPECT_TRUE(takes(must(spec), R"(<call>b {"y":1}</call>)"));
  spec.rules = "root ::= @c";
  EXPECT_NE(compiler().compile_calls(spec).error().message.find("@c"), std::string::npos);
  EXPECT_FALSE(compiler().compile_ebnf("root ::= \"a\" ! \"b\"").ok());
}

}  // namespace
}  // namespace hanlin::grammar
