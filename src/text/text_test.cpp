// UTF-8, Unicode, split expressions, added tokens and the scale of the models, on small hand-made cases.
#include <gtest/gtest.h>

#include "base/rng.h"
#include "text/pretokenizer.h"
#include "text/split_pattern.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace hanlin {
namespace {

TEST(Utf8, ReplacesEachMaximalInvalidPart) {
  EXPECT_EQ(replace_invalid_utf8("a\xC3\xA9z"), "a\xC3\xA9z");
  EXPECT_EQ(replace_invalid_utf8("\xE4\xB8"), "\xEF\xBF\xBD");                                        // truncated: one
  EXPECT_EQ(replace_invalid_utf8("\xF0\x9F\x98z"), "\xEF\xBF\xBDz");
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");          // surrogate: each byte
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD");                           // overlong
  EXPECT_FALSE(is_valid_utf8("\xF5\x80\x80\x80"));
  EXPECT_TRUE(is_valid_utf8("\xF4\x8F\xBF\xBF"));
}

TEST(Utf8, KnowsWhatCanStillBecomeACharacter) {
  EXPECT_EQ(incomplete_suffix_bytes("abc"), 0u);
  EXPECT_EQ(incomplete_suffix_bytes("a\xE4"), 1u);
  EXPECT_EQ(incomplete_suffix_bytes("a\xE4\xB8"), 2u);
  EXPECT_EQ(incomplete_suffix_bytes("a\xE4\xB8\xAD"), 0u);
  EXPECT_EQ(incomplete_suffix_bytes("\xF0\x9F\x98"), 3u);
  EXPECT_EQ(incomplete_suffix_bytes("\xED\xA0"), 0u);  // no character starts so
  EXPECT_EQ(incomplete_suffix_bytes("\x80\x80"), 0u);
}

TEST(Unicode, NormalForms) {
  EXPECT_EQ(normalize("e\u0301", NormalForm::kNfc), "\u00E9");
  EXPECT_EQ(normalize("\u00E9", NormalForm::kNfd), "e\u0301");
  EXPECT_EQ(normalize("\uFB01\u00BD", NormalForm::kNfkc), "fi1\u20442");
  EXPECT_EQ(normalize("\u1E9B\u0323", NormalForm::kNfc), "\u1E9B\u0323");      // from UAX #15
  EXPECT_EQ(normalize("\u1E9B\u0323", NormalForm::kNfkc), "\u1E69");
  EXPECT_EQ(normalize("\u1E9B\u0323", NormalForm::kNfkd), "s\u0323\u0307");
  EXPECT_EQ(normalize("\u1112\u1161\u11AB", NormalForm::kNfc), "\uD55C");      // Hangul
  EXPECT_EQ(normalize("\uD55C", NormalForm::kNfd), "\u1112\u1161\u11AB");
  EXPECT_EQ(normalize("\u212B", NormalForm::kNfc), "\u00C5");                  // a singleton
  EXPECT_EQ(normalize("\u0958", NormalForm::kNfc), "\u0915\u093C");            // a composition exclusion
  EXPECT_EQ(normalize("q\u0307\u0323", NormalForm::kNfc), "q\u0323\u0307");    // marks in order
}

TEST(Unicode, LowerCaseAndCategories) {
  EXPECT_EQ(to_lower("ABC \u00C9\u0130\u0391\u03A3\u01C5"), "abc \u00E9i\u0307\u03B1\u03C3\u01C6");
  EXPECT_EQ(to_lower("\U00010400"), "\U00010428");
  EXPECT_TRUE(is_letter(U'中') && is_letter(U'ʰ') && is_number(U'½') && is_mark(0x301) && is_punctuation(U'。') && is_symbol(U'🦙'));
  EXPECT_TRUE(is_space(0x85) && is_space(0x3000) && !is_space(0x200B));
}

TEST(SplitPattern, NamesTheExpressionItDoesNotKnow) {
  for (const char* regex : {"(a|b)*", "\\bfoo", "[a-z]++x", "[", "\\p{Foo}", "[z-a]", ""}) {
    const auto pattern = SplitPattern::from_regex(regex);
    ASSERT_FALSE(pattern.ok()) << regex;
    EXPECT_EQ(pattern.error().code, Code::kUnsupported);
    EXPECT_NE(pattern.error().message.find(std::string("'") + regex + "'"), std::string::npos);
  }
}

// A byte-level model of 256 bytes and a few merges.
std::string byte_level_json(const std::string& pre_tokenizer) {
  std::string vocab, merges = "\"a a\",\"aa aa\"";
  int next = 0x100;
  std::string symbols;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    std::string symbol;
    append_utf8(symbol, static_cast<char32_t>(printable ? byte : next++));
    if (symbol == "\"" || symbol == "\\") symbol.insert(0, "\\");
    vocab += "\"" + symbol + "\":" + std::to_string(byte) + ",";
  }
  vocab += "\"aa\":256,\"aaaa\":257,\"<|x|>\":258,\"tool\":259";
  return "{\"added_tokens\":[{\"id\":258,\"content\":\"<|x|>\",\"special\":true},{\"id\":259,\"content\":\"tool\",\"special\":false,"
         "\"normalized\":false}],\"pre_tokenizer\":" + pre_tokenizer + ",\"model\":{\"type\":\"BPE\",\"vocab\":{" + vocab +
         "},\"merges\":[" + merges + "]}}";
}

std::shared_ptr<const Tokenizer> tokenizer_of(const std::string& json) {
  auto parts = parse_tokenizer_json(json);
  if (!parts.ok()) {
    ADD_FAILURE() << parts.error().message;
    return nullptr;
  }
  parts->finish();
  return std::make_shared<Tokenizer>(std::move(parts).value());
}

const char* kByteLevel = R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":true})";

TEST(Tokenizer, SpecialNamesArePlainTextWhenAsked) {
  const auto tokenizer = tokenizer_of(byte_level_json(kByteLevel));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->encode("<|x|>tool"), (std::vector<int32_t>{258, 259}));
  EXPECT_EQ(tokenizer->encode("<|x|>", {.parse_special = false}), (std::vector<int32_t>{'<', '|', 'x', '|', '>'}));
  EXPECT_EQ(tokenizer->encode("tool", {.parse_special = false}), (std::vector<int32_t>{259}));
  EXPECT_TRUE(tokenizer->is_special(258));
  EXPECT_FALSE(tokenizer->is_special(259));
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{'h', 258, 'i'}), "h<|x|>i");
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{'h', 258, 'i', -5, 100000}, true), "hi");
  EXPECT_EQ(tokenizer->find_token("tool"), 259);
  EXPECT_FALSE(tokenizer->find_token("nothing").has_value());
}

TEST(Tokenizer, BytesThatAreNoTextGoThrough) {
  const auto tokenizer = tokenizer_of(byte_level_json(kByteLevel));
  ASSERT_NE(tokenizer, nullptr);
  Rng rng(7);
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    for (uint64_t n = rng.next() % 40; n > 0; --n) bytes.push_back(static_cast<char>(rng.next()));
    std::string joined;
    const std::vector<int32_t> ids = tokenizer->encode(bytes);
    for (const int32_t id : ids) joined += tokenizer->token_bytes(id);
    EXPECT_EQ(joined, bytes);
    EXPECT_EQ(tokenizer->decode(ids), replace_invalid_utf8(bytes));
    StreamDecoder stream(tokenizer);
    std::string streamed;
    for (const int32_t id : ids) {
      const std::string piece = stream.push(id);
      EXPECT_TRUE(is_valid_utf8(piece));
      streamed += piece;
    }
    EXPECT_EQ(streamed + stream.flush(), tokenizer->decode(ids, true));
  }
}

TEST(StreamDecoder, HoldsACharacterUntilItIsWhole) {
  const auto tokenizer = tokenizer_of(byte_level_json(kByteLevel));
  ASSERT_NE(tokenizer, nullptr);
  StreamDecoder stream(tokenizer);
  EXPECT_EQ(stream.push(0xE4), "");
  EXPECT_EQ(stream.push(0xB8), "");
  EXPECT_EQ(stream.push(0xAD), "中");
  EXPECT_EQ(stream.push(0xE4), "");
  EXPECT_EQ(stream.push('a'), "\uFFFDa");
  EXPECT_EQ(stream.push(0xF0), "");
  EXPECT_EQ(stream.flush(), "\uFFFD");
  EXPECT_EQ(stream.flush(), "");
}

// Longer than any quadratic method could stand within the time limit of the test.
TEST(Tokenizer, AMegabyteWithoutBordersIsNoProblem) {
  const auto tokenizer = tokenizer_of(byte_level_json(kByteLevel));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->encode(std::string(1 << 20, 'a')), std::vector<int32_t>(1 << 18, 257));
  EXPECT_EQ(tokenizer->encode(std::string((1 << 20) + 1, 'a')).back(), 'a');
  std::string chinese;
  while (chinese.size() < (1u << 20)) chinese += "中";
  EXPECT_EQ(tokenizer->encode(chinese).size(), chinese.size());
  EXPECT_EQ(tokenizer->encode(std::string(1 << 20, ' ') + "x").size(), (1u << 20) + 1);
  std::string marks = "e";
  while (marks.size() < (1u << 20)) marks += "\u0301\u0323";
  EXPECT_GT(normalize(marks, NormalForm::kNfc).size(), 1u << 19);
}

TEST(TokenizerJson, SaysWhatItDoesNotUnderstand) {
  const auto message = [](const std::string& json) {
    const auto parts = parse_tokenizer_json(json);
    return parts.ok() ? std::string("loaded") : parts.error().message;
  };
  EXPECT_NE(message("{").find("JSON object"), std::string::npos);
  EXPECT_NE(message("{}").find("model"), std::string::npos);
  EXPECT_NE(message(R"({"model":{"type":"WordLevel","vocab":{}}})").find("WordLevel"), std::string::npos);
  EXPECT_NE(message(R"({"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}})").find("id"), std::string::npos);
  EXPECT_NE(message(R"({"model":{"type":"BPE","vocab":{"a":99999999999},"merges":[]}})").find("id"), std::string::npos);
  EXPECT_NE(message(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}})").find("merge 0"), std::string::npos);
  EXPECT_NE(message(byte_level_json(R"({"type":"Split","pattern":{"Regex":"(x+x+)+y"},"behavior":"Isolated"})")).find("(x+x+)+y"),
            std::string::npos);
  std::string nested = R"({"type":"Sequence","pretokenizers":[)", close = "]}";
  std::string deep = kByteLevel;
  for (int i = 0; i < 2000; ++i) deep = nested + deep + close;
  EXPECT_NE(message(byte_level_json(deep)).find("nested"), std::string::npos);
}

TEST(AddedTokens, StripAndSingleWord) {
  AddedToken mask{.id = 1, .content = "[M]", .special = true, .lstrip = true, .rstrip = true};
  AddedToken word{.id = 2, .content = "cat", .single_word = true};
  const AddedTokens added = AddedTokens::build({mask, word}).value();
  std::vector<AddedTokens::Segment> segments;
  const auto shape = [&](std::string_view text) {
    added.split(text, true, segments);
    std::string out;
    for (const auto& s : segments) {
      out += (s.id < 0 ? "'" : "<") + std::string(text.substr(s.begin, s.end - s.begin)) + (s.id < 0 ? "'" : ">");
    }
    return out;
  };
  EXPECT_EQ(shape("a \u3000[M]  b"), "'a'< \u3000[M]  >'b'");
  EXPECT_EQ(shape("[M] [M]"), "<[M] ><[M]>");
  EXPECT_EQ(shape("cat concat cat."), "<cat>' concat '<cat>'.'");
  EXPECT_EQ(shape(""), "");
}

}  // namespace
}  // namespace hanlin
