// Loading models that are wrong in some way: every mistake is an error that names the file and what was expected.
#include "model/loader.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>

#include "base/json.h"
#include "formats/safetensors.h"
#include "model/arch/registry.h"
#include "model/rope.h"

namespace hanlin {
namespace {

namespace fs = std::filesystem;

// A llama of one layer, width 8, in a temporary directory; `change` spoils configuration or tensors before writing.
class TinyModel {
 public:
  using Change = std::function<void(Json& config, std::vector<std::pair<std::string, std::vector<int64_t>>>& tensors)>;
  explicit TinyModel(const Change& change) : path_(::testing::TempDir() + "hanlin_loader_test") {
    fs::remove_all(path_);
    fs::create_directories(path_);
    Json config = {{"model_type", "llama"}, {"num_hidden_layers", 1}, {"hidden_size", 8}, {"intermediate_size", 16}, {"num_attention_heads", 2},
                   {"num_key_value_heads", 1}, {"vocab_size", 10}, {"max_position_embeddings", 64}, {"rms_norm_eps", 1e-5}, {"hidden_act", "silu"}};
    std::vector<std::pair<std::string, std::vector<int64_t>>> shapes = {
        {"model.embed_tokens.weight", {10, 8}}, {"model.norm.weight", {8}}, {"model.layers.0.input_layernorm.weight", {8}},
        {"model.layers.0.self_attn.q_proj.weight", {8, 8}}, {"model.layers.0.self_attn.k_proj.weight", {4, 8}},
        {"model.layers.0.self_attn.v_proj.weight", {4, 8}}, {"model.layers.0.self_attn.o_proj.weight", {8, 8}},
        {"model.layers.0.post_attention_layernorm.weight", {8}}, {"model.layers.0.mlp.gate_proj.weight", {16, 8}},
        {"model.layers.0.mlp.up_proj.weight", {16, 8}}, {"model.layers.0.mlp.down_proj.weight", {8, 16}}};
    change(config, shapes);
    std::vector<float> values(4096, 0.01f);
    std::vector<StoredTensor> tensors;
    for (const auto& [name, shape] : shapes) {
      StoredTensor tensor{name, DType::kF32, shape, reinterpret_cast<const uint8_t*>(values.data()), 0};
      tensor.bytes = static_cast<size_t>(tensor.n_values()) * sizeof(float);
      tensors.push_back(tensor);
    }
    EXPECT_TRUE(write_safetensors(path_ + "/model.safetensors", tensors).ok());
    EXPECT_TRUE(write_file_atomic(path_ + "/config.json", dump_json(config)).ok());
  }
  ~TinyModel() { fs::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The message of loading the spoilt model; "" if it loads.
std::string load_error(const TinyModel::Change& change) {
  const TinyModel model(change);
  const auto loaded = load_model(model.path(), {});
  return loaded.ok() ? "" : loaded.error().message;
}

TEST(Loader, LoadsAndComputes) {
  const TinyModel files([](Json&, auto&) {});
  auto model = load_model(files.path(), {});
  ASSERT_TRUE(model.ok()) << model.error().message;
  ASSERT_TRUE(model->decoder->allocate_kv(1));
  const std::vector<int32_t> blocks = {0};
  Batch batch;
  batch.tokens = {1, 2, 3};
  batch.chunks.push_back({0, 3, 1, blocks, 3});
  const auto logits = model->decoder->forward(batch);
  ASSERT_EQ(logits.size(), 10u);
  for (float value : logits) EXPECT_TRUE(std::isfinite(value));
}

TEST(Loader, CacheMemoryIsPreparedUpToItsEnd) {
  const TinyModel files([](Json&, auto&) {});
  auto model = load_model(files.path(), {});
  ASSERT_TRUE(model.ok()) << model.error().message;
  Decoder& decoder = *model->decoder;
  EXPECT_FALSE(decoder.prepare_memory()) << "there is no cache yet";
  ASSERT_TRUE(decoder.allocate_kv((10 << 20) / decoder.kv_block_bytes()));
  const std::vector<int32_t> blocks = {3};
  Batch batch;
  batch.tokens = {1, 2, 3};
  batch.chunks.push_back({0, 3, 1, blocks, 3});
  const auto first = decoder.forward(batch);
  const std::vector<float> logits(first.begin(), first.end());
  int n_calls = 0;
  while (decoder.prepare_memory()) ASSERT_LE(++n_calls, 3) << "of 4 MiB each";
  batch.tokens = {3};
  batch.chunks[0] = {2, 1, 1, blocks, 3};  // the others are read from the cache
  const auto again = decoder.forward(batch);
  EXPECT_EQ(std::vector<float>(again.begin(), again.end()), logits);
}

TEST(Loader, MistakesAreNamed) {
  const auto set = [](const char* key, Json value) { return [key, value](Json& config, auto&) { config[key] = value; }; };
  const std::pair<TinyModel::Change, const char*> cases[] = {
      {set("model_type", "quantum"), "got 'quantum'"},
      {set("model_type", 7), "'model_type' to be a string"},
      {[](Json& config, auto&) { config.erase("hidden_size"); }, "'hidden_size', which is missing"},
      {set("hidden_size", "eight"), "'hidden_size' to be an integer"},
      {set("hidden_size", -8), "got -8"},
      {set("num_hidden_layers", 1000000), "got 1000000"},
      {set("num_attention_heads", 0), "got 0"},
      {set("num_key_value_heads", 3), "multiple of the kv heads"},
      {set("head_dim", 3), "even head size"},
      {set("rms_norm_eps", "small"), "'rms_norm_eps' to be a finite number"},
      {set("hidden_act", "relu6"), "got 'relu6'"},
      {set("rope_scaling", {{"rope_type", "spiral"}, {"factor", 2.0}}), "got 'spiral'"},
      {set("rope_scaling", {{"rope_type", "linear"}, {"factor", 0.0}}), "positive rotary base and factor"},
      {set("vocab_size", 11), "expected 'model.embed_tokens.weight' of shape [11, 8], got F32 of [10, 8]"},
      {set("num_hidden_layers", 2), "'model.layers.1.input_layernorm.weight', which is missing"},
      {[](Json&, auto& tensors) { tensors.erase(tensors.begin()); }, "embed_tokens.weight"},
      {[](Json&, auto& tensors) { tensors[3].second = {8, 9}; }, "of shape [8, 8], got [8, 9]"},
      {[](Json&, auto& tensors) { tensors[1].second = {9}; }, "'model.norm.weight' of 8 values"},
  };
  for (const auto& [change, expected] : cases) {
    const std::string message = load_error(change);
    EXPECT_NE(message.find(expected), std::string::npos) << "expected '" << expected << "' in: " << message;
    EXPECT_NE(message.find("hanlin_loader_test"), std::string::npos) << message;
  }
}

TEST(Loader, MissingFilesAreNamed) {
  EXPECT_EQ(load_model("/nowhere/at/all", {}).error().code, Code::kNotFound);
  const std::string empty = ::testing::TempDir() + "hanlin_empty_model";
  fs::create_directories(empty);
  EXPECT_NE(load_model(empty, {}).error().message.find("config.json"), std::string::npos);
  fs::remove_all(empty);
  LoadOptions options;
  options.backend.isa = "abacus";
  const TinyModel files([](Json&, auto&) {});
  EXPECT_EQ(load_model(files.path(), options).error().code, Code::kInvalidArgument);
}

TEST(Rope, TablesGrowWithoutChangingAndStartAtOne) {
  RopeSpec spec;
  spec.n_rot = 8;
  RopeTable table(spec);
  std::vector<float> cos(4 * 700), sin(4 * 700), again(4 * 700);
  table.fill(0, 3, 3, cos.data(), sin.data());
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(cos[static_cast<size_t>(i)], 1.0f);
    EXPECT_EQ(sin[static_cast<size_t>(i)], 0.0f);
  }
  EXPECT_FLOAT_EQ(cos[4], std::cos(1.0f));
  table.fill(0, 700, 700, again.data(), sin.data());
  for (size_t i = 0; i < 12; ++i) EXPECT_EQ(again[i], cos[i]);
  EXPECT_FLOAT_EQ(again[4 * 699 + 1], static_cast<float>(std::cos(699 * std::pow(10000.0, -0.25))));
}

TEST(Rope, TheMeanOfARotatedBiasIsThatOfItsPositions) {
  RopeSpec spec;
  spec.n_rot = 6;
  constexpr int64_t kPositions = 4096, kHeadDim = 8;  // the last two components are not rotated
  const std::vector<float> bias = {100, -3, 70, 5, -200, 2, 30, -1, 1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<float> cos(kPositions * 3), sin(kPositions * 3);
  RopeTable(spec).fill(0, kPositions, kPositions, cos.data(), sin.data());
  for (const bool neox : {false, true}) {
    const std::vector<float> got = mean_rotated_bias(bias, kHeadDim, spec, neox, kPositions);
    std::vector<double> expected(bias.size());
    for (size_t head = 0; head < bias.size(); head += kHeadDim) {
      for (size_t p = 0; p < kPositions; ++p) {
        for (size_t i = 0; i < 3; ++i) {
          const size_t a = head + (neox ? i : 2 * i), b = head + (neox ? i + 3 : 2 * i + 1);
          expected[a] += (bias[a] * cos[p * 3 + i] - bias[b] * sin[p * 3 + i]) / kPositions;
          expected[b] += (bias[a] * sin[p * 3 + i] + bias[b] * cos[p * 3 + i]) / kPositions;
        }
      }
      for (size_t i = 6; i < kHeadDim; ++i) expected[head + i] = bias[head + i];
    }
    for (size_t i = 0; i < bias.size(); ++i) EXPECT_NEAR(got[i], expected[i], 0.05) << "component " << i << (neox ? " neox" : "");
  }
}

}  // namespace
}  // namespace hanlin
