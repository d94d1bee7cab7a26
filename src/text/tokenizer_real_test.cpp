// The real models' files (a directory named by HANLIN_TEST_MODELS): ids exact against the shared oracles.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/json.h"
#include "base/mmap_file.h"
#include "text/tokenizer.h"

namespace hanlin {
namespace {

const std::string kOracles = HANLIN_SOURCE_DIR "/../shared/oracles/";

std::string model_path(const std::string& name) {
  const char* directory = std::getenv("HANLIN_TEST_MODELS");
  return directory == nullptr ? std::string() : std::string(directory) + "/" + name;
}

struct RealModel {
  const char* file;
  const char* oracle;
};

class RealTokenizer : public testing::TestWithParam<RealModel> {};

TEST_P(RealTokenizer, EncodesThePromptsOfTheOracle) {
  const std::string path = model_path(GetParam().file), oracle_path = kOracles + "real/" + GetParam().oracle;
  if (path.empty() || !std::filesystem::exists(path)) GTEST_SKIP() << "no " << GetParam().file << " in $HANLIN_TEST_MODELS";
  if (!std::filesystem::exists(oracle_path)) GTEST_SKIP() << "no " << oracle_path;
  auto loaded = load_tokenizer(path);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  const Json oracle = parse_json(read_file(oracle_path).value()).value();
  size_t n_prompts = 0;
  for (const Json& prompt : oracle["prompts"]) {
    const auto text = prompt["text"].get<std::string>();
    const auto ids = prompt["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ((*loaded)->encode(text), ids) << text;
    if (prompt.contains("greedy_text")) {
      EXPECT_EQ((*loaded)->decode(prompt["greedy_ids"].get<std::vector<int32_t>>()), prompt["greedy_text"].get<std::string>());
    }
    ++n_prompts;
  }
  EXPECT_GT(n_prompts, 0u);
  EXPECT_FALSE((*loaded)->end_of_generation().empty());
}

INSTANTIATE_TEST_SUITE_P(Files, RealTokenizer,
                         testing::Values(RealModel{"smollm2-135m.gguf", "smollm2-135m-instruct.json"},
                                         RealModel{"qwen2.5-coder-0.5b.gguf", "qwen2.5-coder-0.5b-instruct.json"},
                                         RealModel{"gemma-3-270m.gguf", "gemma-3-270m.json"}),
                         [](const auto& info) { return "File" + std::to_string(info.index); });

TEST(RealMiniLm, EncodesTheTextsOfTheOracle) {
  const std::string path = model_path("all-minilm-l6-v2"), oracle_path = kOracles + "embeddings/all-minilm-l6-v2.json";
  if (path.empty() || !std::filesystem::exists(path)) GTEST_SKIP() << "no all-minilm-l6-v2 in $HANLIN_TEST_MODELS";
  if (!std::filesystem::exists(oracle_path)) GTEST_SKIP() << "no " << oracle_path;
  auto loaded = load_tokenizer(path);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  const Json oracle = parse_json(read_file(oracle_path).value()).value();
  size_t n_texts = 0;
  for (const Json& item : oracle["items"]) {
    const auto expected = item["ids"].get<std::vector<int32_t>>();
    std::vector<int32_t> ids = (*loaded)->encode(item["text"].get<std::string>());
    if (ids.size() > 256) {  // the oracle keeps the first 256 with the last one [SEP]
      ids.resize(255);
      ids.push_back((*loaded)->sep().value());
    }
    EXPECT_EQ(ids, expected) << item["text"];
    ++n_texts;
  }
  EXPECT_GT(n_texts, 0u);
  const EncodedPair pair = (*loaded)->encode_pair("a question", "an answer");
  EXPECT_EQ(pair.ids.size(), 7u);
  EXPECT_EQ(pair.type_ids, (std::vector<int32_t>{0, 0, 0, 0, 1, 1, 1}));
  EXPECT_EQ((*loaded)->max_length(), 512);
  EXPECT_EQ((*loaded)->decode((*loaded)->encode("Hello, world! How is it?"), true), "hello, world! how is it?");
}

}  // namespace
}  // namespace hanlin
