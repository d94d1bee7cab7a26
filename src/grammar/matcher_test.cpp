#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/test_vocabulary.h"
#include "grammar/token_trie.h"

namespace hanlin::grammar {
namespace {

std::shared_ptr<const CompiledGrammar> must(GrammarCompiler::Grammar grammar) {
  EXPECT_TRUE(grammar.ok()) << (grammar.ok() ? "" : grammar.error().message);
  return grammar.ok() ? *grammar : nullptr;
}

int32_t id_of(const std::string& text) {
  const auto ids = tiny_tokenizer().encode(text, {.add_special = false});
  EXPECT_EQ(ids.size(), 1u) << text;
  return ids.at(0);
}

// At every byte of a text the mask must say of every token what accept() does.
void expect_mask_is_exact(const std::string& schema, const std::string& text, const JsonSchemaOptions& options) {
  const auto grammar = must(compiler().compile_json_schema(schema, options));
  std::vector<uint32_t> bits(mask_words(tiny_tokenizer().vocab_size()));
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    GrammarMatcher matcher(grammar);
    ASSERT_TRUE(matcher.accept_bytes(text.substr(0, cut))) << schema << " " << text.substr(0, cut);
    matcher.fill_mask(bits);
    for (int32_t id = 0; id < tiny_tokenizer().vocab_size(); ++id) {
      GrammarMatcher fork = matcher;
      EXPECT_EQ(has_bit(bits, id), fork.accept(id)) << schema << " " << text.substr(0, cut) << " + " << tiny_tokenizer().token_text(id);
    }
  }
}

TEST(Matcher, MaskEqualsWhatAcceptTakes) {
  expect_mask_is_exact(R"({"type":"object","properties":{"name":{"type":"string","maxLength":5},"n":{"type":"integer","minimum":-3,"maximum":120}},"required":["name"]})",
                       R"({"name": "a\u00e4b","n":-2})", {.max_whitespace = 1});
  // Several patterns at once, with borders above ASCII.
  expect_mask_is_exact(R"({"oneOf":[{"pattern":"the"},{"pattern":"^[a-zé-ü北]+$","minLength":3},{"const":"ähm"}],"type":"string"})", R"("äh北the 天")", {});
  // Names: declared, by pattern, and none twice.
  expect_mask_is_exact(R"({"type":"object","properties":{"the":{},"äb":{"type":"null"}},"patternProperties":{"^[^0-9]{2,}$":{"type":"boolean"}},"additionalProperties":{"type":"integer"}})",
                       R"({"äc":true,"äcä":false,"the":false,"1ä":7,"1é":3})", {.any_order = true, .max_whitespace = 0});
}

TEST(Matcher, RollsBack) {
  const auto grammar = must(compiler().compile_json_schema(R"({"enum":["abc","abd"]})"));
  GrammarMatcher matcher(grammar);
  ASSERT_TRUE(matcher.accept_bytes("\"ab"));
  ASSERT_TRUE(matcher.accept_bytes("c"));
  ASSERT_TRUE(matcher.accept_bytes("\""));
  EXPECT_TRUE(matcher.is_complete());
  matcher.rollback(2);
  EXPECT_FALSE(matcher.can_end());
  EXPECT_TRUE(matcher.accept_bytes("d\""));
  EXPECT_TRUE(matcher.is_complete());
}

TEST(Matcher, KnowsWhatIsForced) {
  const auto grammar = must(compiler().compile_json_schema(R"({"properties":{"kind":{"const":"x"}},"required":["kind"],"additionalProperties":false,"type":"object"})", {.max_whitespace = 0}));
  GrammarMatcher matcher(grammar);
  EXPECT_EQ(matcher.forced_run(), R"({"kind":"x"})");
  const auto spaced = must(compiler().compile_json_schema(R"({"properties":{"a b":{"enum":["x y","xy"]},"l":{"type":"array","minItems":1,"items":{"type":"string"}}},
    "required":["a b","l"],"additionalProperties":false,"type":"object"})"));
  GrammarMatcher other(spaced);
  EXPECT_EQ(other.forced_run(), "{");
  EXPECT_EQ(other.forced_run(256, true), R"({"a b": "x)");
  ASSERT_TRUE(other.accept_bytes(R"({"a b": "x )"));
  EXPECT_EQ(other.forced_run(256), "y\"");
  EXPECT_EQ(other.forced_run(256, true), R"(y", "l": [")");
}

TEST(Matcher, CountsTokensToTheEnd) {
  const auto grammar = must(compiler().compile_json_schema(R"({"type":"array","minItems":2,"items":{"type":"integer"}})", {.max_whitespace = 0}));
  GrammarMatcher matcher(grammar);
  EXPECT_EQ(matcher.tokens_to_finish(), 5);
  ASSERT_TRUE(matcher.accept_bytes("[1"));
  EXPECT_EQ(matcher.tokens_to_finish(), 3);
}

TEST(Schema, DeclaredOrderUnlessAsked) {
  const std::string schema = R"({"type":"object","properties":{"a":{},"b":{},"c":{}},"required":["b"]})";
  const auto ordered = must(compiler().compile_json_schema(schema)), any = must(compiler().compile_json_schema(schema, {.any_order = true}));
  EXPECT_TRUE(takes(ordered, R"({"a":1,"b":2,"c":3})"));
  EXPECT_TRUE(takes(ordered, R"({"b":2,"zz":3})"));
  EXPECT_FALSE(takes(ordered, R"({"b":2,"a":1})"));
  EXPECT_TRUE(takes(any, R"({"b":2,"a":1})"));
  for (const auto& g : {ordered, any}) {
    EXPECT_FALSE(takes(g, R"({"a":1})"));
    EXPECT_FALSE(takes(g, R"({"b":1,"b":2})"));
    EXPECT_FALSE(takes(g, R"({"b":1,"\u0062":2})"));
    EXPECT_FALSE(takes(g, R"({"b":1,"x":2,"x":3})"));
  }
}

TEST(Schema, RefusesWhatItCannotEnforce) {
  const auto refused = [](const char* schema, const char* place) {
    const auto grammar = compiler().compile_json_schema(schema);
    ASSERT_FALSE(grammar.ok()) << schema;
    EXPECT_NE(grammar.error().message.find(place), std::string::npos) << grammar.error().message;
  };
  refused(R"({"properties":{"a":{"pattern":"(a)\\1"}}})", "/properties/a/pattern");
  refused(R"({"$ref":"http://elsewhere/x.json"})", "/$ref");
  refused(R"({"$ref":"#"})", "$ref");
  refused(R"({"type":"strin"})", "/type");
  refused(R"({"allOf":[{"type":"string"},{"type":"number"}]})", "no value");
  refused(R"(17)", "expected an object");
  refused(R"({"a":)", "JSON");
}

// A number that is right in decimal arithmetic must be so, too, for a validator that reads doubles.
TEST(Schema, WithoutAnyValueAllowsNothingWhereThatIsNoError) {
  const auto grammar = must(compiler().compile_json_schema("false", {.allow_empty = true}));
  GrammarMatcher matcher(grammar);
  std::vector<uint32_t> bits(mask_words(tiny_tokenizer().vocab_size()), ~0u);
  matcher.fill_mask(bits);
  EXPECT_EQ(std::count(bits.begin(), bits.end(), 0u), static_cast<std::ptrdiff_t>(bits.size()));
  EXPECT_FALSE(matcher.accept_bytes("1"));
}

TEST(Schema, NumbersAreRightInDoublesToo) {
  const auto grammar = must(compiler().compile_json_schema(R"({"type":"number","exclusiveMinimum":3,"maximum":1000000})"));
  EXPECT_TRUE(takes(grammar, "3.00000000000001"));
  EXPECT_TRUE(takes(grammar, "3e2"));
  EXPECT_FALSE(takes(grammar, "3.0000000000000002"));
  EXPECT_FALSE(takes(grammar, "30000000000000002e-16"));
  EXPECT_FALSE(takes(grammar, "99999.99999999999999"));
  const auto integers = must(compiler().compile_json_schema(R"({"type":"integer","minimum":0})"));
  EXPECT_TRUE(takes(integers, "1234567890123456789"));  // identifiers
  EXPECT_TRUE(takes(integers, "12345678901234.0"));
  EXPECT_FALSE(takes(integers, "123456789012345.0"));
  EXPECT_TRUE(takes(must(compiler().compile_json_schema(R"({"const":3.141592653589793})")), "3.141592653589793"));
  const auto below = must(compiler().compile_json_schema(R"({"type":"number","minimum":0,"exclusiveMaximum":0.30000000000000004})"));
  EXPECT_TRUE(takes(below, "0.299999999999999"));
  EXPECT_FALSE(takes(below, "0.3"));  // not surely less
  EXPECT_FALSE(compiler().compile_json_schema(R"({"type":"number","exclusiveMinimum":3,"exclusiveMaximum":3.0000000000000004})").ok());
}

TEST(Schema, RecursionNeedsAnEnd) {
  const auto tree = must(compiler().compile_json_schema(R"({"type":"object","properties":{"kids":{"type":"array","items":{"$ref":"#"}}},"additionalProperties":false})"));
  EXPECT_TRUE(takes(tree, R"({"kids":[{"kids":[]},{}]})"));
  EXPECT_FALSE(takes(tree, R"({"kids":[{"kid":[]}]})"));
  EXPECT_FALSE(compiler().compile_json_schema(R"({"type":"object","properties":{"next":{"$ref":"#"}},"required":["next"]})").ok());
}

TEST(Regex, MatchesTheWholeText) {
  const auto grammar = must(compiler().compile_regex("[a-c]+(?:-\\d{2,3})?|é"));
  EXPECT_TRUE(takes(grammar, "abc"));
  EXPECT_TRUE(takes(grammar, "a-123"));
  EXPECT_TRUE(takes(grammar, "é"));
  EXPECT_FALSE(takes(grammar, "a-1"));
  EXPECT_FALSE(takes(grammar, "abcd"));
  EXPECT_FALSE(compiler().compile_regex("(").ok());
  EXPECT_FALSE(compiler().compile_regex("\\bword").ok());
  EXPECT_FALSE(compiler().compile_regex("(a{1000}){1000}").ok());
}

TEST(Choices, OneOfThem) {
  const std::vector<std::string> list = {"yes", "no", "nobody"};
  const auto grammar = must(compiler().compile_choices(list));
  for (const auto& c : list) EXPECT_TRUE(takes(grammar, c));
  EXPECT_FALSE(takes(grammar, "nob"));
  EXPECT_FALSE(takes(grammar, ""));
  EXPECT_FALSE(compiler().compile_choices({}).ok());
}

TEST(Ebnf, NestsAndRepeats) {
  const auto grammar = must(compiler().compile_ebnf(R"x(# sums
root ::= term ("+" term)*
term ::= [0-9]{1,3} | "(" root ")"   # nested
)x"));
  EXPECT_TRUE(takes(grammar, "1+(22+333)+4"));
  EXPECT_FALSE(takes(grammar, "1+"));
  EXPECT_FALSE(takes(grammar, "1234"));
  EXPECT_FALSE(takes(grammar, "(1"));
  const auto lines = must(compiler().compile_ebnf("root ::= (\"- \" [^\\n]+ \"\\n\"){2,3}\n"));
  EXPECT_TRUE(takes(lines, "- ä\n- b\n"));
  EXPECT_FALSE(takes(lines, "- a\n"));
  EXPECT_FALSE(takes(lines, "- a\n- b\n- c\n- d\n"));
}

TEST(Ebnf, RefusesWithTheLine) {
  EXPECT_NE(compiler().compile_ebnf("root ::= \"a\"\nroot ::= \"b\"").error().message.find("line 2"), std::string::npos);
  EXPECT_NE(compiler().compile_ebnf("root ::= root \"a\" | \"b\"").error().message.find("left recursion"), std::string::npos);
  EXPECT_FALSE(compiler().compile_ebnf("root ::= missing").ok());
  EXPECT_FALSE(compiler().compile_ebnf("root ::= \"a\" root").ok());
  EXPECT_FALSE(compiler().compile_ebnf("").ok());
}

TEST(Tags, FreeTextUntilATrigger) {
  const std::vector<TagSpec> tags = {{"<call>", R"({"type":"object","properties":{"x":{"type":"integer"}},"required":["x"],"additionalProperties":false})", "</call>"}, {"[n]", R"({"type":"boolean"})", ""}};
  const auto grammar = must(compiler().compile_tags(tags, {.max_whitespace = 1}));
  EXPECT_TRUE(takes(grammar, "any < text <cal>"));
  EXPECT_TRUE(takes(grammar, "so: <call>{\"x\":5}</call> done, [n]true and <<call>\n{\"x\":1}</call>"));
  EXPECT_FALSE(takes(grammar, "<call>{\"x\":5}"));
  EXPECT_FALSE(takes(grammar, "<call>{\"y\":5}</call>"));
  // The trigger may begin in one token and end inside another.
  GrammarMatcher matcher(grammar);
  ASSERT_TRUE(matcher.accept_bytes("hello <ca"));
  EXPECT_TRUE(matcher.is_free());
  ASSERT_TRUE(matcher.accept_bytes("ll>{"));
  EXPECT_FALSE(matcher.is_free());
  EXPECT_FALSE(matcher.can_end());
  std::vector<uint32_t> bits(mask_words(tiny_tokenizer().vocab_size()));
  matcher.fill_mask(bits);
  EXPECT_TRUE(has_bit(bits, id_of("\"")));
  EXPECT_FALSE(has_bit(bits, id_of("5")));
}

TEST(Hostile, FailsFast) {
  std::string deep = "true";
  for (int i = 0; i < 90; ++i) deep = R"({"not":)" + deep + "}";
  (void)compiler().compile_json_schema(deep);
  std::string one_of = R"({"oneOf":[)";
  for (int i = 0; i < 40; ++i) one_of += (i ? "," : "") + std::string(R"({"properties":{"p)") + std::to_string(i) + R"(":{"type":"string"},"q":{"minLength":)" + std::to_string(i) + "}}}";
  EXPECT_FALSE(compiler().compile_json_schema(one_of + "]}").ok());
  EXPECT_FALSE(compiler().compile_json_schema(R"({"pattern":"(a|b)*a(a|b){40}"})").ok());
  EXPECT_FALSE(compiler().compile_json_schema(R"({"pattern":"a.*b","minLength":100000000})").ok());
  EXPECT_TRUE(compiler().compile_json_schema(R"({"type":"string","maxLength":100000000})").ok());
}

}  // namespace
}  // namespace hanlin::grammar
