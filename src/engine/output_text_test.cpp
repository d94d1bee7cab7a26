#include "engine/output_text.h"

#include <gtest/gtest.h>

#include "engine/test_tokenizer.h"

namespace hanlin::engine {
namespace {

api::TokenLogprob logprob_of(int32_t id) {
  api::TokenLogprob logprob;
  logprob.id = id;
  return logprob;
}

// Pushes each byte of `text` as a token; returns the pieces.
std::vector<OutputText::Piece> push_bytes(OutputText& output, const std::string& text) {
  std::vector<OutputText::Piece> pieces;
  for (char c : text) {
    const int32_t id = static_cast<uint8_t>(c);
    pieces.push_back(output.push(id, logprob_of(id)));
    if (pieces.back().stopped) break;
  }
  return pieces;
}

TEST(OutputText, GivesWholeCharactersAndTheirTokensTogether) {
  OutputText output(test_tokenizer(), {});
  const auto pieces = push_bytes(output, "a翰");
  EXPECT_EQ(pieces[0].text, "a");
  EXPECT_EQ(pieces[1].text, "");
  EXPECT_EQ(pieces[2].text, "");
  EXPECT_EQ(pieces[3].text, "翰");
  size_t n_tokens = 0;
  for (const auto& piece : pieces) n_tokens += piece.tokens.size();
  EXPECT_EQ(n_tokens, 4u);
}

TEST(OutputText, HoldsTokensWithTheTextThatMayBecomeAStopString) {
  api::GenerateRequest request;
  request.stop = {"bcd"};
  OutputText output(test_tokenizer(), request);
  auto pieces = push_bytes(output, "abc");
  EXPECT_EQ(pieces[0].tokens.size(), 1u);
  EXPECT_EQ(pieces[1].tokens.size() + pieces[2].tokens.size(), 0u);
  pieces = push_bytes(output, "x");
  EXPECT_EQ(pieces[0].text, "bcx");
  EXPECT_EQ(pieces[0].tokens.size(), 3u);
}

TEST(OutputText, DropsTheTokensOfARemovedStopString) {
  for (bool include : {false, true}) {
    api::GenerateRequest request;
    request.stop = {"bc"};
    request.include_stop = include;
    OutputText output(test_tokenizer(), request);
    std::string text;
    size_t n_tokens = 0;
    bool stopped = false;
    for (const auto& piece : push_bytes(output, "abcd")) {
      text += piece.text;
      n_tokens += piece.tokens.size();
      stopped = piece.stopped;
    }
    EXPECT_TRUE(stopped);
    EXPECT_EQ(output.stop_reason(), "bc");
    EXPECT_EQ(text, include ? "abc" : "a");
    EXPECT_EQ(n_tokens, text.size());
  }
}

TEST(OutputText, ShowsAnIncompleteCharacterAtTheEndAsAReplacement) {
  OutputText output(test_tokenizer(), {});
  EXPECT_EQ(output.push(0xe7, logprob_of(0xe7)).text, "");
  const OutputText::Piece rest = output.flush();
  EXPECT_EQ(rest.text, "\xef\xbf\xbd");
  EXPECT_FALSE(rest.stopped);
}

TEST(OutputText, ShowsOnlyTheSpecialTokensAskedFor) {
  api::GenerateRequest request;
  request.visible_special_tokens = {"<|im_end|>", "no such token", "a"};
  OutputText output(test_tokenizer(), request);
  EXPECT_EQ(output.push(kEndOfTurn, {}).text, "<|im_end|>");
  EXPECT_EQ(output.push(kEos, {}).text, "");
  EXPECT_EQ(output.push('b', {}).text, "b");
}

}  // namespace
}  // namespace hanlin::engine
