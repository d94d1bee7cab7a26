// Every case of tests/toolcalls and ../shared/cases/toolcall-formats, whole and in pieces of every size.
#include "agent/call_parser/call_parser.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "agent/call_parser/parse_all.h"
#include "base/json.h"
#include "base/rng.h"

namespace hanlin::agent {
namespace {

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \n\t\r");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \n\t\r") - begin + 1);
}

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::shared_ptr<const ToolSet> read_tools(const std::string& path) {
  const Result<Json> json = parse_json(read_file(path));
  if (!json.ok()) return nullptr;
  Result<ToolSet> tools = ToolSet::from_openai(*json);
  EXPECT_TRUE(tools.ok());
  return std::make_shared<const ToolSet>(std::move(tools).value());
}

void check(const Json& test, const Reply& reply, const std::string& how) {
  const Json& expect = test["expect"];
  EXPECT_EQ(trimmed(reply.content), trimmed(expect["content"].get<std::string>())) << how;
  EXPECT_EQ(trimmed(reply.reasoning), trimmed(expect.value("reasoning", ""))) << how;
  const auto calls = reply.complete_calls();
  ASSERT_EQ(calls.size(), expect["tool_calls"].size()) << how << "; content: " << reply.content;
  for (size_t i = 0; i < calls.size(); ++i) {
    EXPECT_EQ(calls[i].name, expect["tool_calls"][i]["name"].get<std::string>()) << how;
    const Result<Json> arguments = parse_json(calls[i].arguments);
    ASSERT_TRUE(arguments.ok()) << how << ": " << calls[i].arguments;
    // Objects compare without order.
    EXPECT_EQ(nlohmann::json::parse(dump_json(*arguments)), nlohmann::json::parse(dump_json(expect["tool_calls"][i]["arguments"]))) << how;
  }
  if (test.contains("partial")) {
    ASSERT_EQ(reply.calls.size(), 1u) << how;
    EXPECT_EQ(reply.calls[0].name, test["partial"]["name"].get<std::string>());
    EXPECT_TRUE(test["partial"]["arguments_prefix"].get<std::string>().starts_with(reply.calls[0].arguments)) << reply.calls[0].arguments;
    EXPECT_GT(reply.calls[0].arguments.size(), 5u);
  }
}

// Runs the cases of a file; returns how many.
int run_cases(const std::string& cases_path, const std::shared_ptr<const ToolSet>& tools) {
  std::ifstream in(cases_path);
  int n_cases = 0;
  Rng rng(20240726);
  for (std::string line; std::getline(in, line);) {
    const Result<Json> parsed = parse_json(line);
    if (!parsed.ok()) {
      ADD_FAILURE() << parsed.error().message;
      continue;
    }
    const Json& test = *parsed;
    const auto id = test["id"].get<std::string>(), family = test["family"].get<std::string>(), raw = test["raw"].get<std::string>();
    const bool truncated = test["expect"]["finish_reason"] == "length";
    const Reply whole = parse_in_pieces(family, tools, raw, truncated, [&] { return raw.size(); });
    check(test, whole, id);
    for (const size_t n : {1, 2, 3, 7}) {
      const Reply pieces = parse_in_pieces(family, tools, raw, truncated, [n] { return n; });
      EXPECT_EQ(pieces, whole) << id << " in pieces of " << n;
    }
    for (int round = 0; round < 20; ++round) {
      const Reply pieces = parse_in_pieces(family, tools, raw, truncated, [&] { return 1 + rng.next() % 11; });
      EXPECT_EQ(pieces, whole) << id << " in random pieces";
    }
    ++n_cases;
  }
  return n_cases;
}

TEST(CallParser, OwnCases) {
  const std::string folder = HANLIN_SOURCE_DIR "/tests/toolcalls/";
  const auto tools = read_tools(folder + "tools.json");
  ASSERT_TRUE(tools);
  EXPECT_GT(run_cases(folder + "cases.jsonl", tools), 40);
}

TEST(CallParser, SharedCases) {
  const std::string folder = HANLIN_SOURCE_DIR "/../shared/cases/toolcall-formats/";
  const auto tools = read_tools(folder + "tools.json");
  if (!tools) GTEST_SKIP() << folder << " is absent";
  EXPECT_EQ(run_cases(folder + "cases.jsonl", tools), 177);
}

std::shared_ptr<const ToolSet> two_tools() {
  return std::make_shared<const ToolSet>(ToolSet({{"get_weather", "", "", {{"location"}, {"days", ParameterKind::kValue}}}, {"now"}}));
}

// What each piece alone lets out.
std::vector<std::string> steps(const std::string& format, const std::vector<std::string>& pieces) {
  const auto tools = two_tools();
  CallParser parser(make_call_format(format, *tools), tools);
  std::vector<std::string> shown;
  for (const std::string& piece : pieces) {
    std::vector<Delta> deltas;
    parser.feed(piece, &deltas);
    std::string text;
    for (const Delta& delta : deltas) text += "crbae"[static_cast<int>(delta.kind)] + std::string(":") + delta.text + "|";
    shown.push_back(text);
  }
  return shown;
}

TEST(CallParser, ArgumentsStreamAsTheyCome) {
  EXPECT_EQ(steps("hermes", {"Hi ", "there", "\n<tool", "_call>\n{\"name\": \"get_", "weather\", \"arguments\": ", "{\"loc", "ation\": \"Par", "is\"", "}}", "\n</tool_call>"}),
            (std::vector<std::string>{"c:Hi|", "c: there|", "", "", "", "b:get_weather|a:{\"loc|", "a:ation\": \"Par|", "a:is\"|", "a:}|e:|", ""}));
}

TEST(CallParser, TextIsHeldBackOnlyWhileItMayBeAMarker) {
  EXPECT_EQ(steps("hermes", {"a < b", " <tool", "box> ", "x"}), (std::vector<std::string>{"c:a < b|", "", "c: <toolbox>|", "c: x|"}));
  EXPECT_EQ(steps("hermes", {"{", "\"answer\"", ": 4}"}), (std::vector<std::string>{"", "c:{\"answer\"|", "c:: 4}|"}));
}

TEST(CallParser, SpaceBeforeANameMayBeCutAnywhere) {
  const auto tools = std::make_shared<const ToolSet>(ToolSet({{"get_weather", "", "", {{"location"}}}}));
  const std::string text = "<function=\r\n get_weather>\n<parameter=location>\nOslo\n</parameter>\n</function>";
  for (const size_t size : {text.size(), size_t{1}, size_t{11}}) {
    const Reply reply = parse_in_pieces("qwen3_coder_xml", tools, text, false, [size] { return size; });
    ASSERT_EQ(reply.complete_calls().size(), 1u) << "pieces of " << size << "; content: " << reply.content;
    EXPECT_EQ(reply.calls[0].arguments, R"({"location": "Oslo"})");
  }
}

TEST(CallParser, FencedReplyIsACall) {
  const auto shown = steps("hermes", {"```", "json\n", "{\"name\": \"get_weather\", ", "\"arguments\": {\"location\": \"北京\"}", "}\n", "```", "\n"});
  EXPECT_EQ(shown, (std::vector<std::string>{"", "", "", "b:get_weather|a:{\"location\": \"北京\"}|", "e:|", "", ""}));
}

TEST(CallParser, FurtherCallsVanishWhereOneIsAllowed) {
  const auto tools = two_tools();
  const std::string raw = "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>\n<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>";
  const Reply reply = parse_in_pieces("hermes", tools, raw, false, [] { return 5; }, {.max_calls = 1});
  EXPECT_EQ(reply.calls.size(), 1u);
  EXPECT_EQ(reply.content, "");
}

TEST(CallParser, PromptMayOpenTheThoughts) {
  const Reply reply = parse_in_pieces("hermes", two_tools(), "\nHm.\n</think>\n\nYes.", false, [] { return 3; }, {.in_reasoning = true});
  EXPECT_EQ(reply.reasoning, "Hm.");
  EXPECT_EQ(reply.content, "Yes.");
}

TEST(CallParser, BeginAndEndOfEveryFormatMakeACall) {
  for (const std::string& name : call_format_names()) {
    const CallSyntax syntax = call_syntax(name);
    std::string arguments = R"({"location": "Oslo"})";
    if (syntax.arguments == CallSyntax::Arguments::kPython) arguments = "location=\"Oslo\"";
    if (syntax.arguments == CallSyntax::Arguments::kBrace) arguments = name == "gemma4" ? "{location:<|\"|>Oslo<|\"|>}" : "{location:<escape>Oslo<escape>}";
    if (syntax.arguments == CallSyntax::Arguments::kTagged) {
      arguments = name == "glm45"             ? "<arg_key>location</arg_key>\n<arg_value>Oslo</arg_value>\n"
                  : name == "deepseek_dsml"   ? "<｜DSML｜parameter name=\"location\" string=\"true\">Oslo</｜DSML｜parameter>\n"
                  : name == "minimax_m2"      ? "<parameter name=\"location\">Oslo</parameter>\n"
                                              : "<parameter=location>\nOslo\n</parameter>\n";
    }
    const std::string raw = syntax.begin + "get_weather" + syntax.before_arguments + arguments + syntax.end;
    for (const size_t n : {size_t{1}, raw.size()}) {
      const Reply reply = parse_in_pieces(name, two_tools(), raw, false, [n] { return n; });
      ASSERT_EQ(reply.complete_calls().size(), 1u) << name << ": " << raw << " → " << reply.content;
      EXPECT_EQ(reply.calls[0].name, "get_weather") << name;
      const Result<Json> parsed = parse_json(reply.calls[0].arguments);
      ASSERT_TRUE(parsed.ok()) << name;
      EXPECT_EQ(dump_json(*parsed), R"({"location":"Oslo"})") << name;
      EXPECT_EQ(reply.content, "") << name;
    }
  }
}

}  // namespace
}  // namespace hanlin::agent
