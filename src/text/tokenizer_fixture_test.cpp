// The fixtures of tests/tokenizers (made by its generate.py with the reference libraries).
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/mmap_file.h"
#include "text/pretokenizer.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

namespace hanlin {
namespace {

const std::string kFixtures = HANLIN_SOURCE_DIR "/tests/tokenizers/";

std::vector<Json> read_lines(const std::string& name) {
  const std::string content = read_file(kFixtures + name).value();
  std::vector<Json> rows;
  for (size_t begin = 0, end; (end = content.find('\n', begin)) != std::string::npos; begin = end + 1) {
    rows.push_back(parse_json(std::string_view(content).substr(begin, end - begin)).value());
  }
  EXPECT_GT(rows.size(), 50u) << name;
  return rows;
}

TEST(SplitFixture, PiecesEqualTheReference) {
  const std::pair<const char*, SplitBehavior> behaviors[] = {
      {"isolated", SplitBehavior::kIsolated}, {"removed", SplitBehavior::kRemoved},
      {"merged_with_previous", SplitBehavior::kMergedWithPrevious}, {"merged_with_next", SplitBehavior::kMergedWithNext},
      {"contiguous", SplitBehavior::kContiguous}};
  size_t n_rows = 0;
  for (const Json& row : read_lines("splits.jsonl")) {
    PreTokenizer pre_tokenizer;
    for (const auto& [name, behavior] : behaviors) {
      if (row["behavior"] != name) continue;
      ASSERT_TRUE(pre_tokenizer.add_regex(row["regex"].get<std::string>(), behavior).ok());
    }
    auto text = row["text"].get<std::string>();
    std::vector<PreTokenizer::Span> spans;
    pre_tokenizer.run(text, true, spans);
    std::vector<std::string> pieces;
    for (const auto& span : spans) pieces.push_back(text.substr(span.begin, span.end - span.begin));
    EXPECT_EQ(pieces, row["pieces"].get<std::vector<std::string>>()) << row.dump();
    ++n_rows;
  }
  EXPECT_GT(n_rows, 400u);
}

std::shared_ptr<const Tokenizer> load_fixture(const std::string& name, bool sentencepiece) {
  const std::string content = read_file(kFixtures + name + (sentencepiece ? ".model" : ".json")).value();
  auto parts = sentencepiece ? parse_sentencepiece_model(content) : parse_tokenizer_json(content);
  if (!parts.ok()) {
    ADD_FAILURE() << parts.error().message;
    return nullptr;
  }
  parts->finish();
  return std::make_shared<Tokenizer>(std::move(parts).value());
}

class JsonFixture : public testing::TestWithParam<const char*> {};

TEST_P(JsonFixture, IdsAndTextsEqualTheReference) {
  const auto tokenizer = load_fixture(GetParam(), false);
  ASSERT_NE(tokenizer, nullptr);
  for (const Json& row : read_lines(std::string(GetParam()) + ".jsonl")) {
    const auto text = row["text"].get<std::string>();
    const auto ids = row["ids"].get<std::vector<int32_t>>();
    if (row.contains("second")) {
      const EncodedPair pair = tokenizer->encode_pair(text, row["second"].get<std::string>());
      EXPECT_EQ(pair.ids, ids);
      EXPECT_EQ(pair.type_ids, row["type_ids"].get<std::vector<int32_t>>());
      continue;
    }
    EXPECT_EQ(tokenizer->encode(text), ids) << row.dump();
    EXPECT_EQ(tokenizer->decode(ids, true), row["decoded"].get<std::string>()) << row.dump();
    StreamDecoder stream(tokenizer);
    std::string streamed;
    for (const int32_t id : ids) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.flush(), tokenizer->decode(ids, true)) << row.dump();
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, JsonFixture, testing::Values("tiny-byte-level", "tiny-metaspace", "tiny-wordpiece"),
                         [](const auto& info) { return "Case" + std::to_string(info.index); });

class SentencePieceFixture : public testing::TestWithParam<const char*> {};

TEST_P(SentencePieceFixture, IdsEqualTheReference) {
  const auto tokenizer = load_fixture(GetParam(), true);
  ASSERT_NE(tokenizer, nullptr);
  for (const Json& row : read_lines(std::string(GetParam()) + ".jsonl")) {
    EXPECT_EQ(tokenizer->encode(row["text"].get<std::string>(), {.add_special = false}), row["ids"].get<std::vector<int32_t>>())
        << row.dump();
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, SentencePieceFixture, testing::Values("tiny-unigram", "tiny-spm-bpe"),
                         [](const auto& info) { return "Case" + std::to_string(info.index); });

// Every prefix of a file and a file with any one byte changed either loads or is refused; neither crashes.
TEST(DamagedFiles, AreRefusedOrWork) {
  for (const char* name : {"tiny-byte-level.json", "tiny-wordpiece.json", "tiny-unigram.model", "tiny-spm-bpe.model"}) {
    const std::string content = read_file(kFixtures + name).value();
    const bool json = std::string(name).ends_with(".json");
    size_t n_refused = 0;
    const auto attempt = [&](const std::string& bytes) {
      auto parts = json ? parse_tokenizer_json(bytes) : parse_sentencepiece_model(bytes);
      if (!parts.ok()) {
        EXPECT_FALSE(parts.error().message.empty());
        ++n_refused;
        return;
      }
      parts->finish();
      const Tokenizer tokenizer(std::move(parts).value());
      tokenizer.decode(tokenizer.encode("Hello \xFF 中 <tag> 12"));
    };
    for (size_t n = 0; n < content.size(); n += 97) attempt(content.substr(0, n));
    for (size_t i = 0; i < content.size(); i += 89) {
      std::string changed = content;
      changed[i] = static_cast<char>(changed[i] ^ 0x15);
      attempt(changed);
    }
    EXPECT_GT(n_refused, 0u) << name;
  }
}

}  // namespace
}  // namespace hanlin
