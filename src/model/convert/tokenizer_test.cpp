#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "base/rng.h"
#include "model/convert/hf_tokenizer.h"

namespace hanlin {
namespace {

namespace fs = std::filesystem;

constexpr const char* kByteLevel = R"({
  "added_tokens": [{"id": 5, "content": "<|end|>", "special": true}, {"id": 6, "content": "<tool>", "special": false}],
  "normalizer": {"type": "NFC"},
  "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}, "behavior": "Isolated"},
    {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]},
  "post_processor": {"type": "ByteLevel"},
  "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3, "Ġab": 4}, "merges": ["a b", ["Ġ", "ab"]]}})";

constexpr const char* kByteFallback = R"({
  "added_tokens": [{"id": 0, "content": "<unk>", "special": true}, {"id": 1, "content": "<s>", "special": true}],
  "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace"}]},
  "pre_tokenizer": null,
  "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]},
  "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true,
            "vocab": {"<unk>": 0, "<s>": 1, "<0x0A>": 2, "a": 3, "b": 4, "aa": 5, "aab": 6},
            "merges": ["a a", "aa b", "a ab"]}})";

TEST(TokenizerJson, ByteLevelBpe) {
  TokenizerMetadata out;
  const Status status = parse_tokenizer_json(kByteLevel, &out);
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(out.model, "gpt2");
  EXPECT_EQ(out.pre, "qwen2");
  EXPECT_EQ(out.tokens, (std::vector<std::string>{"a", "b", "ab", "Ġ", "Ġab", "<|end|>", "<tool>"}));
  EXPECT_EQ(out.types, (std::vector<int32_t>{1, 1, 1, 1, 1, 3, 4}));
  EXPECT_EQ(out.merges, (std::vector<std::string>{"a b", "Ġ ab"}));
  EXPECT_FALSE(out.add_bos.has_value());
}

TEST(TokenizerJson, ByteFallbackBpeGetsScoresFromItsMerges) {
  TokenizerMetadata out;
  const Status status = parse_tokenizer_json(kByteFallback, &out);
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(out.model, "llama");
  EXPECT_EQ(out.types, (std::vector<int32_t>{2, 3, 6, 1, 1, 1, 1}));
  EXPECT_GT(out.scores[5], out.scores[6]);   // merged earlier
  EXPECT_GT(out.scores[6], out.scores[3]);   // a single letter is made by no merge
  EXPECT_EQ(out.add_space_prefix, true);
  EXPECT_EQ(out.add_bos, true);
  EXPECT_EQ(out.add_eos, false);
  EXPECT_EQ(out.special.at("unknown"), 0u);
}

TEST(TokenizerJson, WhatIsNotKnownIsNamed) {
  const auto error_of = [](const std::string& text) {
    TokenizerMetadata out;
    const Status status = parse_tokenizer_json(text, &out);
    return status.ok() ? "" : status.error().message;
  };
  EXPECT_NE(error_of("[1]").find("object"), std::string::npos);
  EXPECT_NE(error_of("{").find("object"), std::string::npos);
  EXPECT_NE(error_of(R"({"model":{"type":"Unigram"}})").find("Unigram"), std::string::npos);
  EXPECT_NE(error_of(R"({"model":{"type":"BPE","vocab":{},"merges":[]}})").find("byte_fallback"), std::string::npos);
  const std::string odd = R"({"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"odd"}},{"type":"ByteLevel"}]},)";
  EXPECT_NE(error_of(odd + R"("model":{"type":"BPE","vocab":{},"merges":[]}})").find("odd"), std::string::npos);
  const std::string fine = R"({"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE",)";
  EXPECT_EQ(error_of(fine + R"("vocab":{"a":0},"merges":[]}})"), "");
  EXPECT_NE(error_of(fine + R"("vocab":{"a":-1},"merges":[]}})").find("ids from 0"), std::string::npos);
  EXPECT_NE(error_of(fine + R"("vocab":{"a":9999999999},"merges":[]}})").find("ids from 0"), std::string::npos);
  EXPECT_NE(error_of(fine + R"("vocab":{"a":0},"merges":["ab"]}})").find("pairs"), std::string::npos);
  EXPECT_NE(error_of(fine + R"("vocab":[],"merges":[]}})").find("vocab"), std::string::npos);
}

// --- SentencePiece files, built field by field.
void put_varint(std::string* out, uint64_t value) {
  for (; value >= 128; value >>= 7) out->push_back(static_cast<char>(value | 128));
  out->push_back(static_cast<char>(value));
}
void put_bytes(std::string* out, int field, const std::string& bytes) {
  put_varint(out, static_cast<uint64_t>(field) << 3 | 2);
  put_varint(out, bytes.size());
  *out += bytes;
}
void put_number(std::string* out, int field, uint64_t value) {
  put_varint(out, static_cast<uint64_t>(field) << 3);
  put_varint(out, value);
}
std::string piece(const std::string& text, float score, int type) {
  std::string out;
  put_bytes(&out, 1, text);
  out.push_back(2 << 3 | 5);
  out.append(reinterpret_cast<const char*>(&score), 4);
  put_number(&out, 3, static_cast<uint64_t>(type));
  return out;
}
std::string sample_model(int algorithm = 2) {
  std::string file, trainer, normalizer;
  put_bytes(&file, 1, piece("<unk>", 0, 2));
  put_bytes(&file, 1, piece("<s>", 0, 3));
  put_bytes(&file, 1, piece("<0x0A>", 0, 6));
  put_bytes(&file, 1, piece("▁a", -1.5f, 1));
  put_number(&trainer, 3, static_cast<uint64_t>(algorithm));
  put_number(&trainer, 40, 0);
  put_number(&trainer, 41, 1);
  put_number(&trainer, 42, ~uint64_t{0});  // −1: none
  put_bytes(&file, 2, trainer);
  put_number(&normalizer, 3, 0);
  put_bytes(&file, 3, normalizer);
  return file;
}

TEST(SentencePieceModel, PiecesScoresAndTypes) {
  TokenizerMetadata out;
  const Status status = parse_tokenizer_model(sample_model(), &out);
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(out.tokens, (std::vector<std::string>{"<unk>", "<s>", "<0x0A>", "▁a"}));
  EXPECT_EQ(out.types, (std::vector<int32_t>{2, 3, 6, 1}));
  EXPECT_EQ(out.scores[3], -1.5f);
  EXPECT_EQ(out.special, (std::map<std::string, uint32_t>{{"bos", 1}, {"unknown", 0}}));
  EXPECT_EQ(out.add_space_prefix, false);
}

TEST(SentencePieceModel, BrokenFilesAreErrors) {
  TokenizerMetadata unigram;
  EXPECT_EQ(parse_tokenizer_model(sample_model(1), &unigram).error().code, Code::kUnsupported);
  const std::string whole = sample_model();
  int n_refused = 0;
  for (size_t n = 0; n < whole.size(); ++n) {
    TokenizerMetadata out;
    n_refused += !parse_tokenizer_model(whole.substr(0, n), &out).ok();
  }
  EXPECT_GE(n_refused, static_cast<int>(whole.size()) - 1);  // whole but for the normaliser is a file too
  Rng rng(3);
  n_refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string changed = whole;
    changed[rng.next() % changed.size()] ^= static_cast<char>(1 << rng.next() % 8);
    TokenizerMetadata out;
    n_refused += !parse_tokenizer_model(changed, &out).ok();
    ASSERT_EQ(out.tokens.size(), out.types.size());
  }
  EXPECT_GT(n_refused, 200);
}

class TokenizerFiles : public ::testing::Test {
 protected:
  TokenizerFiles() : directory_(fs::temp_directory_path() / ("hanlin_convert_tokenizer_" + std::to_string(::getpid()))) {
    fs::create_directories(directory_);
  }
  ~TokenizerFiles() override { fs::remove_all(directory_); }
  void store(const std::string& name, const std::string& text) const { std::ofstream(directory_ / name, std::ios::binary) << text; }
  Result<std::optional<TokenizerMetadata>> read(const std::string& config, int64_t n_vocab) const {
    return read_hf_tokenizer(directory_.string(), parse_json(config).value(), n_vocab);
  }
  fs::path directory_;
};

TEST_F(TokenizerFiles, ConfigsFillInTheRest) {
  EXPECT_FALSE(read("{}", 8)->has_value());
  store("tokenizer.json", kByteLevel);
  store("tokenizer_config.json", R"({"eos_token": {"content": "<|end|>"}, "bos_token": null, "add_bos_token": false,
    "chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})");
  const auto tokenizer = read(R"({"bos_token_id": [6, 5], "pad_token_id": 99})", 9);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const TokenizerMetadata& got = **tokenizer;
  EXPECT_EQ(got.special, (std::map<std::string, uint32_t>{{"bos", 6}, {"eos", 5}}));
  EXPECT_EQ(got.add_bos, false);
  EXPECT_EQ(got.chat_template, "D");
  ASSERT_EQ(got.tokens.size(), 9u);
  EXPECT_EQ(got.tokens[8], "[PAD8]");
  EXPECT_EQ(got.types[8], 5);
  store("chat_template.jinja", "J");
  EXPECT_EQ((*read("{}", 9))->chat_template, "J");
}

TEST_F(TokenizerFiles, SentencePieceComesFirstAndTakesAddedTokens) {
  store("tokenizer.json", kByteLevel);
  store("tokenizer.model", sample_model());
  store("tokenizer_config.json", R"({"added_tokens_decoder": {"1": {"content": "<s>", "special": true},
    "5": {"content": "<end_of_turn>", "special": true}}, "eos_token": "<end_of_turn>"})");
  const auto tokenizer = read("{}", 6);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const TokenizerMetadata& got = **tokenizer;
  EXPECT_EQ(got.model, "llama");
  EXPECT_EQ(got.tokens[5], "<end_of_turn>");
  EXPECT_EQ(got.types[5], 3);
  EXPECT_EQ(got.tokens[4], "[PAD4]");
  EXPECT_EQ(got.special.at("eos"), 5u);
  EXPECT_EQ(got.scores.size(), 6u);
  store("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "bad"}}})");
  EXPECT_EQ(read("{}", 6).error().code, Code::kCorrupt);
}

TEST_F(TokenizerFiles, VocabularyAndMergesServeToo) {
  store("vocab.json", R"({"a": 0, "b": 1, "ab": 2})");
  store("merges.txt", "#version: 0.2\na b\n");
  store("tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": {"3": {"content": "<|end|>", "special": true}}})");
  const auto tokenizer = read("{}", 5);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->model, "gpt2");
  EXPECT_EQ((*tokenizer)->pre, "qwen2");
  EXPECT_EQ((*tokenizer)->tokens, (std::vector<std::string>{"a", "b", "ab", "<|end|>", "[PAD4]"}));
  EXPECT_EQ((*tokenizer)->types[3], 3);
  EXPECT_EQ((*tokenizer)->merges, (std::vector<std::string>{"a b"}));
}

TEST_F(TokenizerFiles, WhatIsWrittenCanBeRead) {
  TokenizerMetadata tokenizer;
  ASSERT_TRUE(parse_tokenizer_json(kByteFallback, &tokenizer).ok());
  tokenizer.chat_template = "{{ x }}";
  const std::string path = (directory_ / "t.gguf").string();
  auto writer = GgufWriter::create(path);
  ASSERT_TRUE(writer.ok());
  write_tokenizer(tokenizer, *writer);
  ASSERT_TRUE(writer->finish().ok());
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->get_string("tokenizer.ggml.model"), "llama");
  EXPECT_EQ(file->get_strings("tokenizer.ggml.tokens")->at(6), "aab");
  EXPECT_EQ(file->get_floats("tokenizer.ggml.scores"), tokenizer.scores);
  EXPECT_EQ(file->get_u64("tokenizer.ggml.unknown_token_id"), 0u);
  EXPECT_EQ(file->get_bool("tokenizer.ggml.add_space_prefix"), true);
  EXPECT_EQ(file->get_string("tokenizer.chat_template"), "{{ x }}");
  EXPECT_EQ(file->find("tokenizer.ggml.merges"), nullptr);
}

}  // namespace
}  // namespace hanlin
