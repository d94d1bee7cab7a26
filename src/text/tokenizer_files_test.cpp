// Directories as the older tokenisers of Hugging Face leave them: vocab.json with merges.txt, tokenizer.model with tokens
// that stand beside it.
#include "text/tokenizer_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "base/mmap_file.h"
#include "text/tokenizer.h"

namespace hanlin {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

class TokenizerFiles : public testing::Test {
 protected:
  TokenizerFiles() : directory_(fs::temp_directory_path() / ("hanlin_tokenizer_files_" + std::to_string(::getpid()))) {
    fs::create_directories(directory_);
  }
  ~TokenizerFiles() override { fs::remove_all(directory_); }
  void store(const std::string& name, const std::string& text) const { std::ofstream(directory_ / name, std::ios::binary) << text; }
  std::shared_ptr<const Tokenizer> load() const {
    auto loaded = load_tokenizer(directory_.string());
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    return loaded.ok() ? *loaded : nullptr;
  }
  std::string error() const {
    const auto loaded = load_tokenizer(directory_.string());
    return loaded.ok() ? "" : loaded.error().message;
  }
  void store_bpe() const {
    store("vocab.json", R"({"a": 0, "b": 1, "ab": 2, "Ġ": 3, "Ġab": 4, "1": 5, "#": 6, "##": 7, "<|endoftext|>": 8, "Ģ": 9, "<s>": 10, "</s>": 11})");
    store("merges.txt", "#version: 0.2\na b\n\xC4\xA0 ab\n# #\n\n");
  }
  fs::path directory_;
};

TEST_F(TokenizerFiles, VocabAndMergesAreGpt2UnlessSomethingElseIsSaid) {
  store_bpe();
  const auto tokenizer = load();
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->encode("ab ab11##<|endoftext|>"), (Ids{2, 4, 5, 5, 7, 8}));
  EXPECT_EQ(tokenizer->decode(Ids{2, 4, 5}), "ab ab1");
}

TEST_F(TokenizerFiles, TheClassSaysHowToSplit) {
  store_bpe();
  store("tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|end|>",
    "added_tokens_decoder": {"12": {"content": "<|end|>", "special": true}, "14": {"content": "tool", "special": false, "lstrip": true}}})");
  const auto qwen = load();
  ASSERT_NE(qwen, nullptr);
  EXPECT_EQ(qwen->encode("ab tool<|end|>"), (Ids{2, 14, 12}));
  EXPECT_EQ(qwen->vocab_size(), 15);
  store("tokenizer_config.json", R"({"tokenizer_class": "RobertaTokenizerFast"})");
  EXPECT_EQ(load()->encode("ab"), (Ids{10, 2, 11}));
  store("tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true, "bos_token": "<s>"})");
  EXPECT_EQ(load()->encode("ab"), (Ids{10, 2}));
  store("tokenizer_config.json", R"({"tokenizer_class": "OddTokenizer"})");
  EXPECT_NE(error().find("got 'OddTokenizer'"), std::string::npos) << error();
  store("tokenizer_config.json", "{}");
  store("config.json", R"({"model_type": "roberta"})");
  EXPECT_EQ(load()->encode("ab"), (Ids{10, 2, 11}));
}

TEST_F(TokenizerFiles, WhatIsMissingIsNamed) {
  EXPECT_NE(error().find("vocab.json with merges.txt"), std::string::npos) << error();
  store_bpe();
  fs::remove(directory_ / "merges.txt");
  EXPECT_NE(error().find("merges.txt: expected beside"), std::string::npos) << error();
  store("merges.txt", "a b\n");
  fs::remove(directory_ / "vocab.json");
  EXPECT_NE(error().find("vocab.json: expected beside"), std::string::npos) << error();
}

TEST_F(TokenizerFiles, DamagedOnesAreRefused) {
  store_bpe();
  for (const char* vocab : {"", "[]", "{\"a\": -1}", "{\"a\": 99999999}", "{\"a\": \"x\"}", "{\"a\": 0"}) {
    store("vocab.json", vocab);
    EXPECT_NE(error(), "") << vocab;
  }
  store_bpe();
  for (const char* merges : {"a\n", "a zz\n", "a b c\n"}) {
    store("merges.txt", merges);
    EXPECT_NE(error(), "") << merges;
  }
  store_bpe();
  for (const char* added : {R"({"<x>": -1})", R"({"<x>": 99999999})", R"({"<x>": "1"})", R"({"": 1})", "[]"}) {
    store("added_tokens.json", added);
    EXPECT_NE(error(), "") << added;
  }
  fs::remove(directory_ / "added_tokens.json");
  for (const char* decoder : {R"({"x": "<x>"})", R"({"-1": "<x>"})", R"({"5": {}})", R"({"88888888888": "<x>"})"}) {
    store("tokenizer_config.json", std::string(R"({"added_tokens_decoder": )") + decoder + "}");
    EXPECT_NE(error(), "") << decoder;
  }
}

class SentencePieceFiles : public TokenizerFiles {
 protected:
  SentencePieceFiles() {
    fs::copy_file(HANLIN_SOURCE_DIR "/tests/tokenizers/tiny-spm-bpe.model", directory_ / "tokenizer.model");
    plain_ = load();
    n_ = plain_->vocab_size();
  }
  std::shared_ptr<const Tokenizer> plain_;
  int32_t n_ = 0;
};

TEST_F(SentencePieceFiles, AddedTokensOfTheConfiguration) {
  store("tokenizer_config.json", R"({"eos_token": "<|im_end|>", "added_tokens_decoder": {"0": {"content": "<unk>", "special": true},
    "1": {"content": "<s>", "special": true}, ")" + std::to_string(n_) + R"(": {"content": "<|im_end|>", "special": true}, ")" +
                                     std::to_string(n_ + 2) + R"(": {"content": "<tool>", "special": false}}})");
  const auto tokenizer = load();
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->vocab_size(), n_ + 3);
  EXPECT_EQ(tokenizer->encode("<|im_end|><tool>", {false, true}), (Ids{n_, n_ + 2}));
  EXPECT_EQ(tokenizer->decode(Ids{n_ + 2}), "<tool>");
  EXPECT_TRUE(std::ranges::count(tokenizer->end_of_generation(), n_) == 1);
  Ids expected = plain_->encode("Hello");
  expected.push_back(n_);
  EXPECT_EQ(tokenizer->encode("Hello<|im_end|>"), expected);
  // As plain text the special name is split like any other; the other token is found all the same.
  EXPECT_EQ(tokenizer->encode("<|im_end|>", {false, false}), plain_->encode("<|im_end|>", {false, false}));
  EXPECT_EQ(tokenizer->encode("<tool>", {false, false}), (Ids{n_ + 2}));
}

TEST_F(SentencePieceFiles, AddedTokensOfTheirOwnFile) {
  store("added_tokens.json", "{\"<pad>\": " + std::to_string(n_) + ", \"<x>\": " + std::to_string(n_ + 1) + "}");
  store("special_tokens_map.json", R"({"pad_token": "<pad>"})");
  const auto tokenizer = load();
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->encode("<pad><x>", {false, true}), (Ids{n_, n_ + 1}));
  EXPECT_NE(tokenizer->encode("<pad>", {false, false}), (Ids{n_}));
}

TEST_F(SentencePieceFiles, IdsFarAwayAreRefused) {
  store("added_tokens.json", R"({"<x>": 8000000})");
  EXPECT_NE(error().find("added token '<x>'"), std::string::npos) << error();
}

}  // namespace
}  // namespace hanlin
