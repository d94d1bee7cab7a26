#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/mmap_file.h"
#include "model/arch/registry.h"
#include "model/convert/quantize.h"
#include "model/convert/source.h"
#include "model/convert/target.h"
#include "model/loader.h"
#include "quant/quant.h"

namespace hanlin {
namespace {

namespace fs = std::filesystem;
const std::string kTinyModels = HANLIN_SOURCE_DIR "/../shared/oracles/models";

class Convert : public ::testing::Test {
 protected:
  Convert() : directory_(fs::temp_directory_path() / ("hanlin_convert_test_" + std::to_string(::getpid()))) { fs::create_directories(directory_); }
  ~Convert() override { fs::remove_all(directory_); }
  std::string path(const std::string& name) const { return (directory_ / name).string(); }

  fs::path directory_;
};

QuantizeOptions to(const std::string& target) {
  QuantizeOptions options;
  options.target = target;
  options.n_threads = 2;
  return options;
}

class ConvertOracle : public Convert, public ::testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    if (!fs::exists(kTinyModels)) GTEST_SKIP() << "the shared tiny models are not here";
  }
};

// Logits [T, V] of the first sequence of a model's oracle.
std::vector<float> logits_of(const std::string& model_path, const std::string& name, std::vector<float>* expected) {
  const auto oracle = SafetensorsFile::open(kTinyModels + "/" + name + "/oracle.safetensors");
  HANLIN_CHECK(oracle.ok(), oracle.error().message);
  const StoredTensor& ids = *oracle->find("input_ids");
  const StoredTensor& logits = *oracle->find("logits");
  const int64_t n_tokens = ids.shape[1], n_vocab = logits.shape[2];
  LoadOptions options;
  options.backend = {2, "auto", Activations::kF32};
  options.kv_dtype = KvDType::kF32;
  auto model = load_model(model_path, options);
  EXPECT_TRUE(model.ok()) << model.error().message;
  if (!model.ok()) return {};
  std::vector<int32_t> blocks;
  for (int32_t b = 0; b * kKvBlockTokens < n_tokens; ++b) blocks.push_back(b);
  EXPECT_TRUE(model->decoder->allocate_kv(static_cast<int64_t>(blocks.size())));
  Batch batch;
  for (int64_t t = 0; t < n_tokens; ++t) {
    int64_t id;
    std::memcpy(&id, ids.data + 8 * t, 8);
    batch.tokens.push_back(static_cast<int32_t>(id));
  }
  batch.chunks.push_back({0, static_cast<int>(n_tokens), static_cast<int>(n_tokens), blocks, n_tokens});
  const auto got = model->decoder->forward(batch);
  expected->resize(static_cast<size_t>(n_tokens * n_vocab));
  std::memcpy(expected->data(), logits.data, expected->size() * 4);
  return {got.begin(), got.end()};
}

TEST_P(ConvertOracle, GgufComputesWhatTheDirectoryComputes) {
  const auto report = quantize(kTinyModels + "/" + GetParam(), path("model.gguf"), to("F32"));
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_FALSE(report->has_tokenizer);
  std::vector<float> expected;
  const std::vector<float> got = logits_of(path("model.gguf"), GetParam(), &expected);
  ASSERT_EQ(got.size(), expected.size());
  float largest = 0, difference = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    largest = std::max(largest, std::fabs(expected[i]));
    difference = std::max(difference, std::fabs(expected[i] - got[i]));
  }
  EXPECT_LE(difference, 1e-4f * largest);
}

class ConvertTypes : public ConvertOracle {};

TEST_P(ConvertTypes, EveryTypeIsWritten) {
  for (const QuantTarget& target : quant_targets()) {
    SCOPED_TRACE(target.name);
    const auto report = quantize(kTinyModels + "/" + GetParam(), path("model.gguf"), to(std::string(target.name)));
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_EQ(report->n_requantised, 0);
    const auto file = GgufFile::open(path("model.gguf"));
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ(file->get_u64("general.file_type"), target.file_type);
    int64_t n_bytes = 0;
    for (const GgufTensor& entry : file->tensors()) {
      ASSERT_TRUE(entry.dtype.has_value());
      n_bytes += static_cast<int64_t>(entry.tensor.bytes);
      EXPECT_TRUE(entry.tensor.shape.size() > 1 || entry.tensor.dtype == DType::kF32) << entry.tensor.name;
    }
    EXPECT_EQ(n_bytes, report->output_bytes);
  }
}

// Rows of 288 and 256 values; rows of 96 and norms that change.
INSTANTIATE_TEST_SUITE_P(Models, ConvertTypes, ::testing::Values("llama-gqa-tied", "gemma3"),
                         [](const auto& info) { return info.param == "gemma3" ? "gemma3" : "llama_gqa_tied"; });

INSTANTIATE_TEST_SUITE_P(Models, ConvertOracle,
                         ::testing::Values("llama-mha", "llama-gqa-tied", "llama-mqa", "llama-bias", "llama-headdim", "llama-rope-linear",
                                           "llama-rope-yarn", "llama-rope-llama3", "mistral-window", "qwen2", "qwen3", "gemma3"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_F(Convert, WhatGgufCannotSayIsRefused) {
  if (!fs::exists(kTinyModels)) GTEST_SKIP() << "the shared tiny models are not here";
  for (const char* name : {"llama-rope-dynamic", "qwen2-window", "bert"}) {
    const auto report = quantize(kTinyModels + "/" + name, path("model.gguf"), to("F16"));
    ASSERT_FALSE(report.ok()) << name;
    EXPECT_EQ(report.error().code, Code::kUnsupported);
    EXPECT_NE(report.error().message.find(name), std::string::npos) << report.error().message;
  }
  EXPECT_TRUE(fs::is_empty(directory_));
}

TEST_F(Convert, BetweenGgufTypes) {
  if (!fs::exists(kTinyModels)) GTEST_SKIP() << "the shared tiny models are not here";
  const std::string source = path("f32.gguf");
  ASSERT_TRUE(quantize(kTinyModels + "/llama-gqa-tied", source, to("F32")).ok());
  const auto report = quantize(source, path("q8.gguf"), to("Q8_0"));
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->n_requantised, 0);
  const auto from = GgufFile::open(source), quantised = GgufFile::open(path("q8.gguf"));
  ASSERT_TRUE(from.ok() && quantised.ok());
  EXPECT_EQ(from->metadata().size(), quantised->metadata().size());
  for (const auto& [key, value] : from->metadata()) {
    ASSERT_NE(quantised->find(key), nullptr) << key;
    EXPECT_TRUE(key == "general.file_type" || quantised->find(key)->as_string() == value.as_string()) << key;
  }
  for (const GgufTensor& entry : from->tensors()) {
    const auto other = quantised->tensor(entry.tensor.name);
    ASSERT_TRUE(other.ok());
    EXPECT_EQ(other->shape, entry.tensor.shape);
    const std::vector<float> exact = tensor_to_f32(entry.tensor).value(), rounded = tensor_to_f32(*other).value();
    float largest = 0;
    for (const float value : exact) largest = std::max(largest, std::fabs(value));
    for (size_t i = 0; i < exact.size(); ++i) ASSERT_NEAR(exact[i], rounded[i], largest / 127);
  }
  // The same type again changes nothing; another type from a quantised file is counted.
  ASSERT_TRUE(quantize(path("q8.gguf"), path("again.gguf"), to("q8_0")).ok());
  EXPECT_EQ(read_file(path("q8.gguf")).value(), read_file(path("again.gguf")).value());
  EXPECT_GT(quantize(path("q8.gguf"), path("q4.gguf"), to("Q4_0"))->n_requantised, 0);
  EXPECT_EQ(quantize(source, source, to("Q8_0")).error().param, "output");
  EXPECT_EQ(quantize(source, path("x.gguf"), to("Q9_Z")).error().param, "target");
  EXPECT_EQ(quantize(path("none.gguf"), path("x.gguf"), to("Q8_0")).error().code, Code::kNotFound);
}

TEST_F(Convert, ProgressReachesTheEndAndCanStop) {
  if (!fs::exists(kTinyModels)) GTEST_SKIP() << "the shared tiny models are not here";
  QuantizeOptions options = to("Q4_K_M");
  QuantizeProgress last;
  options.progress = [&](const QuantizeProgress& progress) {
    EXPECT_GE(progress.n_bytes_done, last.n_bytes_done);
    last = progress;
    return true;
  };
  ASSERT_TRUE(quantize(kTinyModels + "/qwen3", path("model.gguf"), options).ok());
  EXPECT_EQ(last.n_tensors_done, last.n_tensors);
  EXPECT_EQ(last.n_bytes_done, last.n_bytes);
  fs::remove(path("model.gguf"));
  options.progress = [](const QuantizeProgress& progress) { return progress.n_tensors_done < 5; };
  EXPECT_EQ(quantize(kTinyModels + "/qwen3", path("model.gguf"), options).error().code, Code::kCancelled);
  EXPECT_TRUE(fs::is_empty(directory_));
}

TEST(QuantTargets, ChoicesFollowTheMixes) {
  const std::vector<int64_t> wide{640, 2048}, narrow{2048, 640}, vector{640}, odd{10, 33};
  const auto choose = [&](const char* target, std::string_view name, std::span<const int64_t> shape, bool has_output = true) {
    return choose_dtype(*find_quant_target(target), {name, shape, 18, has_output}, DType::kF16);
  };
  // Layers 0, 1, 4, 7, 10, 13 and from 15 on are the finer half of 18.
  for (const int layer : {0, 1, 4, 7, 10, 13, 15, 16, 17}) {
    EXPECT_EQ(choose("Q4_K_M", "blk." + std::to_string(layer) + ".ffn_down.weight", wide), DType::kQ6_K) << layer;
  }
  for (const int layer : {2, 3, 5, 6, 8, 9, 11, 12, 14}) {
    EXPECT_EQ(choose("Q4_K_M", "blk." + std::to_string(layer) + ".ffn_down.weight", wide), DType::kQ4_K) << layer;
  }
  EXPECT_EQ(choose("Q4_K_M", "blk.0.attn_v.weight", narrow), DType::kQ8_0);
  EXPECT_EQ(choose("Q4_K_M", "blk.2.attn_v.weight", narrow), DType::kQ5_0);
  EXPECT_EQ(choose("Q4_K_M", "blk.0.attn_q.weight", wide), DType::kQ4_K);
  EXPECT_EQ(choose("Q4_K_S", "blk.3.attn_v.weight", wide), DType::kQ5_K);
  EXPECT_EQ(choose("Q4_K_S", "blk.4.attn_v.weight", wide), DType::kQ4_K);
  EXPECT_EQ(choose("Q5_K_M", "blk.0.ffn_down.weight", wide), DType::kQ6_K);
  EXPECT_EQ(choose("Q4_0", "output.weight", wide), DType::kQ6_K);
  EXPECT_EQ(choose("Q4_0", "output.weight", narrow), DType::kQ8_0);
  EXPECT_EQ(choose("Q8_0", "output.weight", wide), DType::kQ8_0);
  EXPECT_EQ(choose("Q4_K_M", "token_embd.weight", wide), DType::kQ4_K);
  EXPECT_EQ(choose("Q4_K_M", "token_embd.weight", wide, false), DType::kQ6_K);
  EXPECT_EQ(choose("Q4_K_M", "blk.0.attn_norm.weight", vector), DType::kF32);
  EXPECT_EQ(choose("F16", "blk.0.attn_q.bias", vector), DType::kF32);
  EXPECT_EQ(choose("BF16", "blk.0.attn_q.weight", wide), DType::kBF16);
  EXPECT_EQ(choose("Q4_0", "blk.0.attn_q.weight", odd), DType::kF16);
  EXPECT_EQ(choose("Q4_0", "position_embd.weight", wide), DType::kF16);
  EXPECT_EQ(find_quant_target("q4_k_m")->file_type, 15u);
  EXPECT_EQ(find_quant_target("q4"), nullptr);
}

TEST(SourceTensors, RowsOfAHeadInterleave) {
  const SourceTensor tensor{"q", {}, TensorChange::kInterleaveHeads, 6};
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < 12; ++row) rows.push_back(tensor.stored_row(row));
  EXPECT_EQ(rows, (std::vector<int64_t>{0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11}));
}

}  // namespace
}  // namespace hanlin
