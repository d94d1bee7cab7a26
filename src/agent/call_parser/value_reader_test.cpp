#include "agent/call_parser/value_reader.h"

#include <gtest/gtest.h>

namespace hanlin::agent {
namespace {

std::string in_pieces(const std::string& text, const ValueStyle& style, size_t n) {
  ValueReader reader(style);
  std::string json, seen;
  size_t pos = 0;
  while (true) {
    const bool at_end = seen.size() == text.size();
    Cursor cursor{seen, at_end, pos};
    const auto state = reader.read(cursor, &json);
    pos = cursor.pos;
    if (state == ValueReader::State::kDone) return json + "|" + text.substr(pos);
    if (state == ValueReader::State::kFailed) return "failed";
    if (at_end) return json + "…";
    seen = text.substr(0, seen.size() + n);
  }
}

void expect(const std::string& text, const std::string& json, const ValueStyle& style = {}) {
  for (const size_t n : {1, 2, 3, 100}) EXPECT_EQ(in_pieces(text, style, n), json) << text << " in pieces of " << n;
}

TEST(ValueReader, ValidJsonStaysAsItIs) {
  for (const std::string text : {R"({"a": [1, -2.5e3, true, null], "b":{} , "c" : "x\"\\\u00e9\n/é北"})", "[]", "[ ]", "\"\"", R"({"a":[[],{"b":"}"}]})"}) {
    expect(text + " tail", text + "| tail");
  }
  expect("12 ", "12| ");
  expect("true", "true|");
}

TEST(ValueReader, PythonBecomesJson) {
  expect("{'a': True, 'b': None, 'c': 'it\\'s \"x\"'}", R"({"a": true, "b": null, "c": "it's \"x\""}|)");
  expect("('a', (1, 2),)", R"(["a", [1, 2]]|)", {.python = true});
  expect("'''a\n'b' ''')", R"("a\n'b' "|))", {.python = true});
  expect("\"\",", R"(""|,)", {.python = true});
}

TEST(ValueReader, RepairsStrings) {
  expect("\"a\nb\tc\"", R"("a\nb\tc"|)");
  expect(R"("\d+ \x41\xe9 \u12 \')" "\"", R"("\\d+ A\u00e9 \\u12 '"|)");
  expect("{\"a\": 1, }", R"({"a": 1 }|)");
}

TEST(ValueReader, OwnQuotesAndBareWords) {
  expect("{a:{b:[1,<q>x\"\\<q>]},unit:celsius}", R"({"a":{"b":[1,"x\"\\"]},"unit":"celsius"}|)", {.bare_words = true, .quote = "<q>"});
}

TEST(ValueReader, RefusesWhatIsNoValue) {
  for (const std::string text : {"}", "{a:1}", "{\"a\" 1}", "[1 2]", "celsius", "{\"a\": 1]", "01", "{,}", ""}) {
    if (!text.empty()) expect(text, "failed");
  }
  expect(std::string(200, '['), "failed");
  expect("{\"a\": \"b", "{\"a\": \"b…");
}

TEST(JsonUnescaped, TakesAnyText) {
  EXPECT_EQ(json_unescaped(R"(a\"b\n\/\u4f60\ud83d\ude00)"), "a\"b\n/你😀");
  EXPECT_EQ(json_unescaped(R"(\ud83d x \ude00\u12\)"), "\xef\xbf\xbd x \xef\xbf\xbdu12\\");
}

}  // namespace
}  // namespace hanlin::agent
