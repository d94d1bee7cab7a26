// The grammar of calls against the parser of calls: what random walks through the one write, the other reads as calls of
// offered tools with valid arguments, in every format.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "agent/call_grammar.h"
#include "agent/call_parser/parse_all.h"
#include "base/json.h"
#include "base/rng.h"
#include "engine/constraint.h"
#include "grammar/test_validator.h"
#include "grammar/test_vocabulary.h"
#include "grammar/token_trie.h"

namespace hanlin {
namespace {

constexpr char kTools[] = R"([
  {"type": "function", "function": {"name": "get_weather", "strict": true, "parameters": {"type": "object", "required": ["location"],
    "properties": {"location": {"type": "string", "maxLength": 8}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}, "days": {"type": "integer", "minimum": 1, "maximum": 14}}}}},
  {"type": "function", "function": {"name": "get", "parameters": {"type": "object", "properties": {"ids": {"type": "array", "items": {"$ref": "#/$defs/id"}, "minItems": 1}},
    "required": ["ids"], "$defs": {"id": {"type": "integer", "minimum": 0}}}}},
  {"type": "function", "function": {"name": "now"}}])";

std::shared_ptr<const agent::ToolSet> tools_of(const std::string& text) {
  auto tools = agent::ToolSet::from_openai(*parse_json(text));
  EXPECT_TRUE(tools.ok());
  return std::make_shared<const agent::ToolSet>(std::move(tools).value());
}

struct Walker {
  std::shared_ptr<const Tokenizer> tokenizer{&grammar::tiny_tokenizer(), [](const Tokenizer*) {}};
  engine::ConstraintCompiler compiler{tokenizer, tokenizer->vocab_size()};

  // A random answer of at most `budget` tokens that begins with `seed_text`, as far as that is allowed.
  std::string walk(const api::Constraint& constraint, std::string_view seed_text, int64_t budget, Rng& rng) {
    const auto grammar = compiler.prepare(constraint, budget + static_cast<int64_t>(seed_text.size()));
    EXPECT_TRUE(grammar.ok()) << (grammar.ok() ? "" : grammar.error().message);
    if (!grammar.ok()) return {};
    const int64_t vocab = tokenizer->vocab_size();
    engine::ConstraintState state(*grammar, vocab, constraint.calls.prefix);
    std::string text = constraint.calls.prefix;
    budget += static_cast<int64_t>(seed_text.size());
    for (; budget > 0 && !state.is_complete(); --budget) {
      const auto mask = state.mask(budget);
      std::vector<int32_t> allowed;
      int32_t wanted = -1;
      for (int32_t id = 0; id < vocab; ++id) {
        if (!grammar::has_bit(mask, id)) continue;
        const std::string_view bytes = tokenizer->token_bytes(id);
        if (!seed_text.empty() && bytes == seed_text.substr(0, 1)) wanted = id;
        if (!(*grammar)->vocabulary().is_text(id)) continue;
        allowed.push_back(id);
      }
      if (!seed_text.empty()) seed_text.remove_prefix(1);
      if (allowed.empty() || (wanted < 0 && state.may_end() && rng.next() % 64 == 0)) break;
      const int32_t id = wanted >= 0 ? wanted : allowed[rng.next() % allowed.size()];
      state.accept(id);
      text += tokenizer->token_bytes(id);
    }
    EXPECT_TRUE(state.may_end()) << text;
    return text;
  }
};

// How many calls there are, each of them right.
size_t check(const std::string& format, const std::shared_ptr<const agent::ToolSet>& tools, const std::string& text, const agent::CallParserOptions& options, Rng& rng) {
  agent::CallParser parser(agent::make_call_format(format, *tools, /*exact=*/true), tools, options);
  agent::Reply reply;
  std::vector<agent::Delta> deltas;
  for (size_t at = 0; at < text.size();) {
    const size_t n = 1 + rng.next() % 7;
    parser.feed(std::string_view(text).substr(at, n), &deltas);
    at += n;
  }
  parser.finish(/*truncated=*/true, &deltas);
  reply.add(deltas);
  EXPECT_EQ(reply.complete_calls().size(), reply.calls.size()) << format << ": " << text;
  for (const agent::Reply::Call& call : reply.calls) {
    const agent::Tool* tool = tools->find(call.name);
    const auto arguments = parse_json(call.arguments);
    EXPECT_TRUE(tool && arguments.ok() && arguments->is_object()) << format << ": " << text;
    if (!tool || !arguments.ok()) continue;
    const Json schema = *parse_json(tool->parameters_json.empty() ? "{}" : tool->parameters_json);
    EXPECT_TRUE(grammar::TestValidator(schema).valid(*arguments)) << format << ": " << call.name << call.arguments << " in " << text;
  }
  return reply.calls.size();
}

TEST(CallConstraint, DemandedCallsAreThereAndValidInEveryFormat) {
  const auto tools = tools_of(kTools);
  Walker walker;
  Rng rng(7);
  for (const std::string& format : agent::call_format_names()) {
    for (const char* name : {"", "get_weather"}) {
      for (const int max_calls : {1, 100}) {
        const agent::CallGrammarOptions options{.forced = {true, name}, .max_calls = max_calls};
        const auto some = *name ? std::make_shared<const agent::ToolSet>(tools->only({name})) : tools;
        const api::Constraint constraint = agent::call_constraint(format, *some, options);
        for (int i = 0; i < 6; ++i) {
          const std::string text = walker.walk(constraint, "", 150 + i * 40, rng);
          const size_t n = check(format, some, text, {.max_calls = max_calls, .only_calls = true}, rng);
          EXPECT_GE(n, 1u) << format << ": " << text;
          EXPECT_LE(n, static_cast<size_t>(max_calls)) << format << ": " << text;
        }
      }
    }
  }
}

TEST(CallConstraint, CallsInFreeTextAreValid) {
  const auto tools = tools_of(kTools);
  Walker walker;
  Rng rng(11);
  for (const std::string& format : agent::call_format_names()) {
    std::vector<std::string> begins = {"", R"({"name": "get_weather")", "\n ```json\n{\n  \"name\":\"get\"", R"([{ "name" : "now")", "<think>{\"name\": \"get\"</think>\n{\"name\":\"now\"", R"({"name": "other", "arguments": {}})",
                                       R"({"arguments": {"x": 1}, "name": "now"})", "{'name': 'now', 'arguments': {\"z\": 1}}", R"({"type": "function", "name": "get", "arguments": {}})", R"({"name": "n\u006fw", "arguments": {}})"};
    const agent::CallSyntax syntax = agent::call_syntax(format);
    // Its objects are answers, too, which are read leniently; docs/TOOLS.md says so.
    if (format == "generic_llamacpp") begins.resize(6);
    size_t n_sure = 0;  // those that cannot but end in a call
    if (agent::is_exact_in_free_text(format, *tools)) {
      for (const std::string& trigger : syntax.triggers) begins.push_back("hm " + trigger);
      for (const agent::CallFrame& frame : syntax.more_frames) begins.push_back(frame.trigger);
      n_sure = syntax.triggers.size() + syntax.more_frames.size();
      if (syntax.bare_python) begins.insert(begins.end() - static_cast<std::ptrdiff_t>(n_sure), {"[get_weather(", "now(", "now(), get(ids=3)"});
    }
    for (const int max_calls : {1, 100}) {
      const api::Constraint constraint = agent::call_constraint(format, *tools, {.max_calls = max_calls});
      for (size_t i = 0; i < begins.size(); ++i) {
        for (int64_t budget : {60, 250}) {
          const std::string text = walker.walk(constraint, begins[i], budget, rng);
          const size_t n = check(format, tools, text, {.max_calls = max_calls}, rng);
          if ((i >= begins.size() - n_sure || (i >= 1 && i <= 4)) && budget == 250) {
            EXPECT_GE(n, 1u) << format << ": " << text;
          }
        }
      }
    }
  }
}

TEST(CallConstraint, AnAnswerIsACallOrFollowsItsSchema) {
  const auto tools = tools_of(kTools);
  const std::string schema = R"({"type": "object", "required": ["name", "n"], "properties": {"name": {"type": "string", "maxLength": 5}, "n": {"type": "integer"}}, "additionalProperties": false})";
  const Json parsed = *parse_json(schema);
  grammar::TestValidator validator(parsed);
  Walker walker;
  Rng rng(5);
  for (const std::string& format : agent::call_format_names()) {
    const agent::CallSyntax syntax = agent::call_syntax(format);
    std::vector<std::string> begins = {"{\"name\": \"get\", \"arg", "[{\"name\":\"now\"", "{\"name\": \"Anna\"", "{\"name\": \"get\", \"n", ""};
    if (agent::is_exact_in_free_text(format, *tools)) begins.insert(begins.begin(), syntax.begin + "get" + syntax.before_arguments);
    for (const int max_calls : {1, 100}) {
      const agent::CallGrammarOptions options{.max_calls = max_calls, .answer_schema = schema, .answer_param = "response_format"};
      const api::Constraint constraint = agent::call_constraint(format, *tools, options);
      for (size_t i = 0; i < begins.size(); ++i) {
        const std::string text = walker.walk(constraint, begins[i], 250, rng);
        const size_t n = check(format, tools, text, {.max_calls = max_calls}, rng);
        const auto answer = parse_json(text);
        const bool follows = answer.ok() && validator.valid(*answer);
        EXPECT_EQ(n == 0, follows) << format << ": " << text;
        if (i + 1 < begins.size()) {
          EXPECT_EQ(n > 0, i + 3 < begins.size()) << format << ": " << text;
        }
      }
    }
  }
  const auto refused = walker.compiler.prepare(agent::call_constraint("hermes", *tools, {.answer_schema = R"({"pattern": "(.)\\1"})", .answer_param = "response_format"}), 100);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().param, "response_format");
}

TEST(CallConstraint, StrictIsEnforcedOrRefused) {
  const std::string odd = R"({"type": "object", "properties": {"w": {"pattern": "(.)\\1"}}})";
  Walker walker;
  const auto prepare = [&](bool strict) {
    const auto tools = tools_of(R"([{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b","strict":)" + std::string(strict ? "true" : "false") + R"(,"parameters":)" + odd + "}}]");
    return walker.compiler.prepare(agent::call_constraint("hermes", *tools, {}), 100);
  };
  EXPECT_TRUE(prepare(false).ok());
  const auto refused = prepare(true);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kUnsupported);
  EXPECT_EQ(refused.error().param, "tools[1].function.parameters");
  EXPECT_NE(refused.error().message.find("/properties/w/pattern"), std::string::npos) << refused.error().message;
}

TEST(CallConstraint, DeclaredPropertiesOnlyUnlessTheSchemaAsksForOthers) {
  const auto schema = [](const std::string& parameters) { return *parse_json(agent::arguments_schema({.name = "a", .parameters_json = parameters})); };
  EXPECT_EQ(schema(R"({"properties":{"x":{}}})")["additionalProperties"], false);
  EXPECT_EQ(schema(R"({"properties":{"x":{}},"additionalProperties":true})")["additionalProperties"], true);
  EXPECT_FALSE(schema(R"({"properties":{"x":{}},"required":["y"]})").contains("additionalProperties"));
  EXPECT_FALSE(schema(R"({"properties":{"x":{}},"minProperties":2})").contains("additionalProperties"));
  EXPECT_EQ(schema("")["type"], "object");
}

}  // namespace
}  // namespace hanlin
