// Every case of the shared tokenizer vectors: ids exact, and decoding gives the text back.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/mmap_file.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace hanlin {
namespace {

const std::string kDirectory = HANLIN_SOURCE_DIR "/../shared/oracles/tokenizers/";

std::vector<std::string> read_texts(const std::string& path) {
  std::string content = read_file(path).value();
  const std::string mark = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  size_t begin = 0;
  for (size_t end; (end = content.find(mark, begin)) != std::string::npos; begin = end + mark.size()) {
    texts.push_back(content.substr(begin, end - begin));
  }
  return texts;
}

class TokenizerOracle : public testing::TestWithParam<const char*> {};

TEST_P(TokenizerOracle, EncodesEveryTextExactly) {
  const std::string path = kDirectory + GetParam() + ".gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  auto loaded = load_tokenizer(path);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  const auto tokenizer = loaded.value();
  const std::vector<std::string> texts = read_texts(path + ".inp");
  std::ifstream expected_file(path + ".out");
  ASSERT_GE(texts.size(), 40u);
  for (size_t i = 0; i < texts.size(); ++i) {
    std::string line;
    ASSERT_TRUE(std::getline(expected_file, line)) << "line " << i;
    std::istringstream numbers(line);
    std::vector<int32_t> expected;
    for (int32_t id; numbers >> id;) expected.push_back(id);
    const std::vector<int32_t> ids = tokenizer->encode(texts[i], {.add_special = false});
    EXPECT_EQ(ids, expected) << "text " << i << ": '" << texts[i] << "'";
    if (std::string(GetParam()) != "bert-bge") {
      EXPECT_EQ(tokenizer->decode(ids), texts[i]) << "text " << i;
    }
    StreamDecoder stream(tokenizer);
    std::string streamed;
    for (const int32_t id : ids) streamed += stream.push(id);
    streamed += stream.flush();
    EXPECT_EQ(streamed, tokenizer->decode(ids, true)) << "text " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerOracle, testing::Values("llama-spm", "starcoder", "gpt-2", "deepseek-llm", "bert-bge"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace hanlin
