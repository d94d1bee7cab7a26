// The engine over the real decoder: the tiny models of ../shared/oracles/models must continue exactly as the reference
// did, whatever the engine does to a request on its way.
#include <gtest/gtest.h>

#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "engine/engine.h"
#include "engine/test_tokenizer.h"
#include "formats/safetensors.h"
#include "kernels/table.h"
#include "model/loader.h"

namespace hanlin::engine {
namespace {

const std::string kModels = HANLIN_SOURCE_DIR "/../shared/oracles/models";
const std::vector<std::string> kDecoders = {"llama-mha", "llama-gqa-tied", "llama-rope-linear", "llama-rope-dynamic", "llama-rope-yarn", "llama-rope-llama3",
                                            "mistral-window", "qwen2", "qwen2-window", "qwen3", "gemma3"};

// Rows of a [S, T] tensor of integers.
std::vector<std::vector<int32_t>> read_rows(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor* stored = file.find(name);
  HANLIN_CHECK(stored != nullptr && stored->dtype == DType::kI64 && stored->shape.size() == 2, "oracle without " + name);
  std::vector<std::vector<int32_t>> rows(static_cast<size_t>(stored->shape[0]));
  const uint8_t* next = stored->data;
  for (auto& row : rows) {
    for (int64_t i = 0; i < stored->shape[1]; ++i, next += sizeof(int64_t)) {
      int64_t value;
      std::memcpy(&value, next, sizeof value);
      row.push_back(static_cast<int32_t>(value));
    }
  }
  return rows;
}

// What came out of one request: the ids of its tokens (log-probabilities carry them) and the last event.
struct Outcome {
  std::vector<int32_t> ids;
  std::vector<api::TokenLogprob> prompt;
  api::TokenEvent last;
};

// Submits all prompts and waits for all. The first event holds the engine until the last prompt is in its inbox: the
// requests run together, however late the submitting thread gets its turn.
std::vector<Outcome> generate(Engine& engine, const std::vector<std::vector<int32_t>>& prompts, int64_t max_tokens, int prompt_logprobs = -1) {
  std::vector<Outcome> outcomes(prompts.size());
  std::mutex mutex;
  std::condition_variable changed;
  size_t n_submitted = 0, n_done = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    api::GenerateRequest request;
    request.prompt = api::TokenPrompt{prompts[i]};
    request.sampling.temperature = 0;
    request.max_tokens = max_tokens;
    request.ignore_eos = true;
    request.logprobs = 0;
    request.prompt_logprobs = prompt_logprobs;
    const auto handle = engine.submit(request, [&, i](api::TokenEvent&& event) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return n_submitted == prompts.size(); });
      for (const auto& token : event.tokens) outcomes[i].ids.push_back(token.id);
      if (!event.prompt_tokens.empty()) outcomes[i].prompt = std::move(event.prompt_tokens);
      if (!event.last) return;
      outcomes[i].last = std::move(event);
      ++n_done;
      changed.notify_one();
    });
    HANLIN_CHECK(handle.ok(), handle.ok() ? "" : handle.error().message);
    std::lock_guard lock(mutex);
    ++n_submitted;
    changed.notify_one();
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return n_done == prompts.size(); });
  return outcomes;
}

class EngineOracle : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kModels)) GTEST_SKIP() << "no ../shared/oracles/models beside this checkout";
    auto file = SafetensorsFile::open(kModels + "/" + GetParam() + "/oracle.safetensors");
    ASSERT_TRUE(file.ok()) << file.error().message;
    prompts_ = read_rows(*file, "input_ids");
    if (file->find("greedy") != nullptr) greedy_ = read_rows(*file, "greedy");
  }

  std::unique_ptr<Engine> make_engine(EngineOptions options) {
    LoadOptions load;
    load.backend.activations = Activations::kF32;
    load.kv_dtype = KvDType::kF32;
    auto model = load_model(kModels + "/" + GetParam(), load);
    HANLIN_CHECK(model.ok(), model.ok() ? "" : model.error().message);
    for (const RopeSpec& rope : model->spec.ropes) {
      if (rope.scaling == RopeScaling::kDynamic) options.dynamic_rope_context = rope.original_context;
    }
    EngineParts parts;
    parts.model = std::move(model->decoder);
    parts.tokenizer = test_tokenizer();
    parts.kernels = &kernels::kernel_table(kernels::best_isa());
    auto engine = Engine::create(std::move(parts), options);
    HANLIN_CHECK(engine.ok(), engine.ok() ? "" : engine.error().message);
    return std::move(*engine);
  }
  int64_t n_new() const { return static_cast<int64_t>(greedy_[0].size()); }
  void expect_greedy(const std::vector<Outcome>& outcomes) const {
    ASSERT_EQ(outcomes.size(), greedy_.size());
    for (size_t i = 0; i < greedy_.size(); ++i) EXPECT_EQ(outcomes[i].ids, greedy_[i]) << "sequence " << i;
  }

  std::vector<std::vector<int32_t>> prompts_, greedy_;
};

TEST_P(EngineOracle, ContinuesAsTheReferenceAloneMixedAndInChunks) {
  if (greedy_.empty()) GTEST_SKIP() << "no continuation recorded for " << GetParam();
  for (const int64_t chunk : {2, 7, 16, 512}) {
    SCOPED_TRACE(chunk);
    // Alone: one place, so a prompt takes steps of `chunk` tokens. Mixed: the sequences share the steps.
    for (const int max_running : {1, static_cast<int>(std::min<int64_t>(chunk - 1, 6))}) {
      auto engine = make_engine({.max_running = max_running, .step_tokens = chunk, .prefix_cache = false});
      expect_greedy(generate(*engine, prompts_, n_new()));
    }
  }
}

TEST_P(EngineOracle, ContinuesAsTheReferenceAfterAPrefixHit) {
  if (greedy_.empty()) GTEST_SKIP() << "no continuation recorded for " << GetParam();
  auto engine = make_engine({.max_running = 4});
  expect_greedy(generate(*engine, prompts_, n_new()));
  const std::vector<Outcome> again = generate(*engine, prompts_, n_new());
  expect_greedy(again);
  for (size_t i = 0; i < again.size(); ++i) {
    EXPECT_EQ(again[i].last.usage.cached_tokens, (static_cast<int64_t>(prompts_[i].size()) - 1) / kKvBlockTokens * kKvBlockTokens);
  }
}

TEST_P(EngineOracle, ContinuesIdenticallyAfterPreemption) {
  std::vector<std::vector<int32_t>> prompts;  // short ones, so that all are admitted and then run out of blocks together
  for (const auto& prompt : prompts_) {
    prompts.emplace_back(prompt.begin(), prompt.begin() + 20);
    prompts.emplace_back(prompt.begin() + 10, prompt.begin() + 30);
  }
  constexpr int64_t kNew = 60;
  auto roomy = make_engine({.max_running = 4});
  const std::vector<Outcome> expected = generate(*roomy, prompts, kNew);
  auto tight = make_engine({.max_running = 4, .kv_blocks = KvSpace::blocks_for(20 + kNew) + 2, .prefix_cache = false});
  const std::vector<Outcome> got = generate(*tight, prompts, kNew);
  for (size_t i = 0; i < prompts.size(); ++i) EXPECT_EQ(got[i].ids, expected[i].ids) << "sequence " << i;
  EXPECT_EQ(roomy->stats().preemptions_total, 0);
  EXPECT_GT(tight->stats().preemptions_total, 0);
}

TEST_P(EngineOracle, ScoresPromptsTheSameInEveryChunking) {
  auto whole = make_engine({.max_running = 4, .step_score_rows = 512});
  const std::vector<Outcome> expected = generate(*whole, prompts_, 0, 1);
  auto chunked = make_engine({.max_running = 4, .step_tokens = 16, .step_score_rows = 5});
  const std::vector<Outcome> got = generate(*chunked, prompts_, 0, 1);
  for (size_t i = 0; i < prompts_.size(); ++i) {
    ASSERT_EQ(expected[i].prompt.size(), prompts_[i].size());
    ASSERT_EQ(got[i].prompt.size(), prompts_[i].size());
    for (size_t t = 1; t < prompts_[i].size(); ++t) {
      EXPECT_EQ(got[i].prompt[t].id, prompts_[i][t]);
      EXPECT_NEAR(got[i].prompt[t].logprob, expected[i].prompt[t].logprob, 1e-4);
      EXPECT_GE(got[i].prompt[t].top.at(0).logprob, got[i].prompt[t].logprob);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, EngineOracle, ::testing::ValuesIn(kDecoders), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace hanlin::engine
