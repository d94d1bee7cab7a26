#include "agent/tools/arguments.h"

#include <gtest/gtest.h>

#include "agent/tools/builtin.h"
#include "base/json.h"

namespace hanlin::agent {
namespace {

struct GreetArgs {
  std::string name, tone = "warm";
  int64_t times = 1;
  bool loud = false;
  double volume = 0.5;
  std::vector<std::string> titles;
  void fields(ArgumentList& list) {
    list.add("name", &name, "Whom to greet").required().range(1, 20);
    list.add("tone", &tone, "").choices({"warm", "cold"});
    list.add("times", &times, "How often").range(1, 3);
    list.add("loud", &loud, "");
    list.add("volume", &volume, "").range(0, 1);
    list.add("titles", &titles, "").range(0, 2);
  }
};

// A user's own tool in C++: one list of fields.
class Greet final : public TypedTool<GreetArgs> {
 public:
  Greet() : TypedTool("greet", "Greets somebody") {}

 protected:
  Result<std::string> call(const GreetArgs& args, const ToolContext&) override {
    std::string text;
    for (int64_t i = 0; i < args.times; ++i) text += "Hi " + args.name + (args.loud ? "!" : ".");
    return text + args.tone + std::to_string(args.titles.size());
  }
};

TEST(Arguments, SchemaNamesEveryFieldOnce) {
  const Json schema = parse_json(Greet().tool().parameters_json).value();
  EXPECT_EQ(dump_json(schema["properties"]["times"]), R"({"type":"integer","minimum":1,"maximum":3,"description":"How often","default":1})");
  EXPECT_EQ(dump_json(schema["properties"]["tone"]), R"({"type":"string","enum":["warm","cold"],"default":"warm"})");
  EXPECT_EQ(dump_json(schema["required"]), R"(["name"])");
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_EQ(Greet().tool().parameters.size(), 6u);
}

TEST(Arguments, ReadsWhatFits) {
  Greet greet;
  const auto run = [&](const char* json) { return greet.run(parse_json(json).value(), {}); };
  EXPECT_EQ(run(R"({"name": "Li", "times": 2, "loud": true, "titles": ["a"]})").value(), "Hi Li!Hi Li!warm1");
  EXPECT_EQ(run(R"({"name": "Li", "times": 2.0, "tone": null})").value(), "Hi Li.Hi Li.warm0");
}

TEST(Arguments, SaysWhatDoesNotFit) {
  Greet greet;
  const auto error = [&](const char* json) { return greet.run(parse_json(json).value(), {}).error().message; };
  EXPECT_EQ(error("{}"), "argument name: is required");
  EXPECT_EQ(error(R"({"name": "Li", "times": 9})"), "argument times: expected an integer from 1 to 3, got 9");
  EXPECT_EQ(error(R"({"name": "Li", "times": 1.5})"), "argument times: expected an integer from 1 to 3, got 1.5");
  EXPECT_EQ(error(R"({"name": "Li", "times": 18446744073709551615})"), "argument times: expected an integer from 1 to 3, got 18446744073709551615");
  EXPECT_EQ(error(R"({"name": "Li", "times": 1e300})"), "argument times: expected an integer from 1 to 3, got 1e+300");
  EXPECT_EQ(error(R"({"name": 3})"), "argument name: expected a text of 1 to 20 bytes, got 3");
  EXPECT_EQ(error(R"({"name": "Li", "tone": "hot"})"), "argument tone: expected one of warm, cold, got \"hot\"");
  EXPECT_EQ(error(R"({"name": "Li", "volume": 2})"), "argument volume: expected a number from 0 to 1, got 2");
  EXPECT_EQ(error(R"({"name": "Li", "titles": [1]})"), "argument titles: expected a list of 0 to 2 texts, got [1]");
  EXPECT_EQ(error(R"({"name": "Li", "x": 1})"), "argument x: there is none; expected name, tone, times, loud, volume, titles");
  EXPECT_EQ(error("[]"), "arguments: expected an object, got []");
}

TEST(Arguments, CutsBetweenCodePointsAndSaysSo) {
  EXPECT_EQ(cap_text("天气", 6), "天气");
  EXPECT_EQ(cap_text("天气", 5), "天\n[cut here: 3 more bytes]");
}

TEST(BuiltinTools, OffersWhatTheOptionsAllow) {
  const ToolBox plain = make_tools({}).value();
  EXPECT_NE(plain.find("calculator"), nullptr);
  EXPECT_NE(plain.find("clock"), nullptr);
  EXPECT_EQ(plain.find("read_file"), nullptr);
  EXPECT_NE(make_tools({.read_roots = {"."}}).value().find("read_file"), nullptr);
  EXPECT_FALSE(make_tools({.time_zone = "Mars/Olympus"}).ok());
  EXPECT_FALSE(make_tools({.read_roots = {"/no/such/folder"}}).ok());
}

}  // namespace
}  // namespace hanlin::agent
