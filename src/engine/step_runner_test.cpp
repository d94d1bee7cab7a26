// The engine's core, step by step on one thread, against the plain reference.
#include "engine/step_runner.h"

#include <gtest/gtest.h>

#include <map>

#include "base/json.h"
#include "engine/constraint.h"
#include "engine/test_reference.h"

namespace hanlin::engine {
namespace {

std::vector<int32_t> make_prompt(uint64_t seed, size_t n) {
  Rng rng(seed);
  std::vector<int32_t> prompt(n);
  for (int32_t& token : prompt) token = static_cast<int32_t>('a' + rng.next() % 26);
  return prompt;
}

struct Job {
  std::vector<int32_t> prompt;
  int64_t max_tokens = 16;
  uint64_t seed = 1;
  api::GenerateRequest params;
  std::shared_ptr<const grammar::CompiledGrammar> grammar = nullptr;
};

Job greedy(uint64_t prompt_seed, size_t n_prompt, int64_t max_tokens) {
  Job job{make_prompt(prompt_seed, n_prompt), max_tokens};
  job.params.sampling.temperature = 0;
  job.params.ignore_eos = true;
  return job;
}

// A StepRunner over a HashModel, with what came out of it.
class Bench {
 public:
  explicit Bench(int32_t n_blocks = 64, SchedulerOptions scheduling = {.max_running = 8, .step_tokens = 64}, bool share = true)
      : model(kModelVocab, 4096, scheduling.step_tokens),
        runner(model, test_tokenizer(), test_kernels(), {.n_blocks = n_blocks, .share_prefixes = share}, scheduling, counters),
        n_blocks_(n_blocks) {
    model.allocate_kv(n_blocks);
  }

  // Returns the request's number.
  size_t add(const Job& job) {
    jobs_.push_back(job);
    observed.push_back(std::make_unique<Observed>(job.params.n));
    auto request = std::make_unique<Request>();
    request->params = job.params;
    request->prompt = job.prompt;
    request->max_tokens = job.max_tokens;
    request->seed = job.seed;
    request->grammar = job.grammar;
    request->submitted = Clock::now();
    controls.push_back(request->control);
    Observed* target = observed.back().get();
    request->sink = [this, target](api::TokenEvent&& event) {
      if (target->first_event_step < 0) {
        target->first_event_step = model.n_steps;
        target->blocks_at_first_event = counters.kv_blocks_used;
      }
      target->take(std::move(event));
    };
    ++counters.n_requests;
    runner.add(std::move(request));
    return observed.size() - 1;
  }
  void step() {
    runner.apply_controls(Clock::now());
    if (runner.has_work()) runner.step();
  }
  void run() {
    for (int i = 0; i < 100000 && !runner.is_empty(); ++i) step();
    ASSERT_TRUE(runner.is_empty()) << "requests that never finish";
    expect_clean();
  }
  void expect_clean() {
    EXPECT_EQ(counters.kv_blocks_used, 0) << "blocks leaked";
    EXPECT_LE(counters.kv_blocks_cached, n_blocks_);
    EXPECT_EQ(counters.n_requests, 0);
    EXPECT_EQ(model.n_bad_reads, 0) << "a chunk read a cell of another position, or one computed in another way";
  }
  void expect_reference(size_t idx) const {
    const Job& job = jobs_[idx];
    ASSERT_TRUE(observed[idx]->is_done) << "request " << idx;
    EXPECT_FALSE(observed[idx]->last.error.has_value());
    int64_t n_tokens = 0;
    for (int i = 0; i < job.params.n; ++i) {
      const Answer expected = reference_answer(job.prompt, job.params, job.seed, job.max_tokens, i);
      EXPECT_EQ(observed[idx]->answers[static_cast<size_t>(i)], expected) << "request " << idx << ", choice " << i;
      n_tokens += expected.n_tokens;
    }
    EXPECT_EQ(observed[idx]->last.usage.completion_tokens, n_tokens);
    EXPECT_EQ(observed[idx]->last.usage.prompt_tokens, static_cast<int64_t>(job.prompt.size()));
  }
  void expect_all_reference() const {
    for (size_t i = 0; i < jobs_.size(); ++i) expect_reference(i);
  }

  Counters counters;
  HashModel model;
  StepRunner runner;
  std::vector<std::unique_ptr<Observed>> observed;
  std::vector<std::shared_ptr<RequestControl>> controls;

 private:
  int32_t n_blocks_;
  std::vector<Job> jobs_;
};

TEST(StepRunner, AnswersTheSameAloneAndInAMixedBatchWithEveryChunkSize) {
  for (int64_t chunk : {2, 7, 16, 33, 64, 512}) {
    Bench bench(256, {.max_running = chunk == 2 ? 1 : 6, .step_tokens = chunk});
    for (size_t n : {1u, 2u, 31u, 32u, 33u, 63u, 64u, 65u, 200u}) bench.add(greedy(n, n, 40));
    bench.run();
    bench.expect_all_reference();
  }
}

TEST(StepRunner, SampledTextDependsOnTheSeedOnly) {
  Bench bench(256);
  for (uint64_t i = 0; i < 12; ++i) {
    Job job{make_prompt(1, 40), 30, /*seed=*/i % 3};
    job.params.sampling.top_p = 0.9f;
    job.params.ignore_eos = true;
    bench.add(job);
  }
  bench.run();
  bench.expect_all_reference();
  EXPECT_EQ(bench.observed[0]->answers[0].text, bench.observed[3]->answers[0].text);
  EXPECT_NE(bench.observed[0]->answers[0].text, bench.observed[1]->answers[0].text);
}

TEST(StepRunner, StartsFromCachedBlocksAndAnswersTheSame) {
  Bench bench(64, {.max_running = 8, .step_tokens = 64, .step_draft_rows = 0});
  Job job = greedy(5, 100, 50);
  bench.add(job);
  bench.run();
  const int64_t n_first = bench.model.n_tokens;
  bench.add(job);
  job.prompt.resize(80);
  bench.add(job);  // only a part is common
  bench.run();
  bench.expect_all_reference();
  EXPECT_EQ(bench.observed[0]->last.usage.cached_tokens, 0);
  EXPECT_EQ(bench.observed[1]->last.usage.cached_tokens, 96);
  EXPECT_EQ(bench.observed[2]->last.usage.cached_tokens, 64);
  EXPECT_EQ(bench.model.n_tokens - n_first, 4 + 49 + 16 + 49);
}

// Guesses that come true save steps; those that do not, and blocks that run out in the middle, change nothing.
TEST(StepRunner, GuessedTokensNeverChangeTheAnswer) {
  for (const int32_t n_blocks : {64, 9}) {
    int64_t n_steps[2];
    for (const int64_t draft_rows : {0, 8}) {
      SCOPED_TRACE(draft_rows);
      Bench bench(n_blocks, {.max_running = 4, .step_tokens = 64, .step_draft_rows = draft_rows});
      for (uint64_t i = 0; i < 6; ++i) {
        Job job = greedy(i, 20 + i, 90);
        job.params.sampling.temperature = i % 2 == 0 ? 0.0f : 0.4f;
        if (i == 3) job.params.stop = {"dab"};
        if (i == 4) job.params.n = 2;
        if (i == 5) job.params.ignore_eos = false;
        bench.add(job);
      }
      bench.run();
      bench.expect_all_reference();
      n_steps[draft_rows > 0] = bench.model.n_steps;
      EXPECT_EQ(bench.counters.draft_tokens > 0, draft_rows > 0);
      EXPECT_EQ(bench.counters.draft_tokens_right > 0, draft_rows > 0);
    }
    if (n_blocks == 64) {
      EXPECT_LT(n_steps[1], n_steps[0]);
    }
  }
}

// A job whose answer has much that its schema leaves no choice about.
Job constrained(ConstraintCompiler& compiler, uint64_t seed, int64_t max_tokens) {
  Job job{make_prompt(seed, 20 + seed), max_tokens, seed};
  job.params.sampling.temperature = seed % 2 == 0 ? 0.0f : 1.0f;
  api::Constraint& constraint = job.params.constraint.emplace();
  constraint.source = R"({"type":"object","properties":{"a rather long name":{"enum":["one thing","another thing"]},"kind":{"const":"always the same"},
    "text":{"type":"string","maxLength":12}},"required":["a rather long name","kind","text"],"additionalProperties":false})";
  const auto grammar = compiler.prepare(constraint, max_tokens);
  EXPECT_TRUE(grammar.ok());
  job.grammar = *grammar;
  return job;
}

TEST(StepRunner, ForcedTokensSaveStepsAndNeverChangeTheAnswer) {
  ConstraintCompiler compiler(test_tokenizer(), kModelVocab);
  std::vector<std::string> first;
  std::map<std::pair<int64_t, int32_t>, int64_t> n_steps_alone;
  for (const int logprobs : {0, -1}) {  // with log-probabilities each token has a step of its own
    for (const int64_t draft_rows : {0, 8}) {
      for (const int32_t n_blocks : {64, 12}) {
        SCOPED_TRACE(testing::Message() << "logprobs " << logprobs << ", drafts " << draft_rows << ", blocks " << n_blocks);
        Bench bench(n_blocks, {.max_running = 4, .step_tokens = 64, .step_draft_rows = draft_rows});
        for (uint64_t seed = 0; seed < 5; ++seed) {
          Job job = constrained(compiler, seed, 120 + 40 * static_cast<int64_t>(seed));
          job.params.logprobs = logprobs;
          if (seed == 3) job.params.n = 2;
          bench.add(job);
        }
        const size_t free = bench.add(greedy(9, 30, 60));
        bench.run();
        bench.expect_reference(free);
        std::vector<std::string> texts;
        for (size_t i = 0; i < 5; ++i) {
          EXPECT_FALSE(bench.observed[i]->last.error.has_value());
          int64_t n_tokens = 0;
          for (const Answer& answer : bench.observed[i]->answers) {
            texts.push_back(answer.text);
            n_tokens += answer.n_tokens;
            EXPECT_EQ(static_cast<size_t>(answer.n_tokens), answer.text.size()) << "one token a byte";
            const auto json = parse_json(answer.text);
            ASSERT_TRUE(json.ok()) << answer.text;
            EXPECT_EQ((*json)["kind"], "always the same");
          }
          EXPECT_EQ(bench.observed[i]->last.usage.completion_tokens, n_tokens);
        }
        if (first.empty()) first = texts;
        EXPECT_EQ(texts, first);
        EXPECT_GT(bench.counters.forced_tokens, 40 * 6);
        int64_t& alone = n_steps_alone[{draft_rows, n_blocks}];
        if (logprobs < 0) {
          EXPECT_LT(bench.model.n_steps, alone);
        }
        alone = bench.model.n_steps;
      }
    }
  }
}

TEST(StepRunner, KeepsTheAnswerForTheNextTurnOfTheConversation) {
  Bench bench;
  Job job = greedy(5, 40, 60);
  bench.add(job);
  bench.run();
  // The next turn's prompt: the first prompt and its answer (one token a byte), then more.
  uint64_t hash = HashModel::kStart;
  for (int32_t token : job.prompt) hash = HashModel::extend(hash, token);
  Sampler sampler(test_kernels());
  SamplingState state(job.params.sampling, 1, 0, {});
  std::vector<float> row(kModelVocab);
  for (int i = 0; i < 60; ++i) {
    HashModel::fill_logits(hash, row);
    job.prompt.push_back(sampler.sample(row, state));
    hash = HashModel::extend(hash, job.prompt.back());
  }
  bench.add(job);
  bench.run();
  bench.expect_all_reference();
  EXPECT_EQ(bench.observed[1]->last.usage.cached_tokens, 96);  // 99 tokens were computed
}

TEST(StepRunner, WithoutPrefixCacheNothingIsShared) {
  Bench bench(64, {.max_running = 8, .step_tokens = 64}, /*share=*/false);
  bench.add(greedy(5, 100, 10));
  bench.run();
  bench.add(greedy(5, 100, 10));
  bench.run();
  bench.expect_all_reference();
  EXPECT_EQ(bench.observed[1]->last.usage.cached_tokens, 0);
  EXPECT_EQ(bench.counters.kv_blocks_cached, 0);
}

TEST(StepRunner, ContinuesIdenticallyAfterPreemption) {
  for (bool share : {true, false}) {
    for (int32_t n_blocks : {6, 7, 9, 12}) {
      Bench bench(n_blocks, {.max_running = 8, .step_tokens = 48}, share);
      for (uint64_t i = 0; i < 10; ++i) {
        Job job = greedy(i, 10 + 9 * i, 90);
        job.params.sampling = {.repetition_penalty = 1.3f, .presence_penalty = 0.2f};
        job.params.n = i % 4 == 3 ? 3 : 1;
        job.seed = i;
        bench.add(job);
      }
      bench.run();
      bench.expect_all_reference();
      EXPECT_GT(bench.counters.preemptions, 0);
    }
  }
}

TEST(StepRunner, APromptMayTakeTheBlocksOfAWorseOneThatAlreadyHadItsTurn) {
  // The second request decodes while the first, better one computes its prompt in tiny steps, until no block is left.
  Bench bench(9, {.max_running = 2, .step_tokens = 3});
  bench.add(greedy(1, 200, 5));
  bench.step();
  bench.add(greedy(2, 10, 150));
  bench.run();
  bench.expect_all_reference();
  EXPECT_GT(bench.counters.preemptions, 0);
}

TEST(StepRunner, ChoicesShareThePromptsBlocks) {
  for (bool share : {true, false}) {
    for (size_t n_prompt : {1u, 32u, 64u, 70u}) {
      Bench bench(64, {.max_running = 8, .step_tokens = 64}, share);
      Job job{make_prompt(3, n_prompt), 20};
      job.params.n = 5;
      job.params.ignore_eos = true;
      bench.add(job);
      bench.run();
      bench.expect_all_reference();
      const auto n = static_cast<int64_t>(n_prompt), n_tail = n - (n - 1) / 32 * 32;
      EXPECT_EQ(bench.model.n_tokens, n + 4 * n_tail + 5 * 19);
      EXPECT_NE(bench.observed[0]->answers[0].text, bench.observed[0]->answers[1].text);
    }
  }
}

TEST(StepRunner, EndsAtEosStopTokensStopStringsAndLength) {
  Bench bench(256);
  for (uint64_t i = 0; i < 60; ++i) {
    Job job{make_prompt(i, 5 + i), 60, i};
    job.params.sampling.temperature = 1.5f;
    if (i % 2) job.params.stop = {"ab", "c d", "aaa", "dd"};
    job.params.include_stop = i % 4 == 1;
    if (i % 3 == 0) job.params.stop_token_ids = {'b'};
    job.params.ignore_eos = i % 5 == 0;
    bench.add(job);
  }
  bench.run();
  bench.expect_all_reference();
}

TEST(StepRunner, LogprobsAreTheModelsOwnAndMatchTheText) {
  Bench bench;
  Job job{make_prompt(2, 20), 40, 7};
  job.params.sampling = {.temperature = 0.5f, .top_k = 4};
  job.params.logprobs = 3;
  job.params.stop = {"ca"};
  const size_t idx = bench.add(job);
  bench.run();
  bench.expect_all_reference();
  const auto& tokens = bench.observed[idx]->tokens[0];
  ASSERT_FALSE(tokens.empty());
  uint64_t hash = HashModel::kStart;
  for (int32_t token : job.prompt) hash = HashModel::extend(hash, token);
  std::vector<float> row(kModelVocab);
  std::string text;
  for (const api::TokenLogprob& token : tokens) {
    HashModel::fill_logits(hash, row);
    double sum = 0;
    for (float x : row) sum += std::exp(static_cast<double>(x));
    EXPECT_NEAR(token.logprob, row[static_cast<size_t>(token.id)] - std::log(sum), 1e-5);
    ASSERT_EQ(token.top.size(), 3u);
    EXPECT_GE(token.top[0].logprob, token.top[1].logprob);
    EXPECT_GE(token.top[1].logprob, token.top[2].logprob);
    EXPECT_NEAR(token.top[0].logprob, *std::max_element(row.begin(), row.end()) - std::log(sum), 1e-5);
    hash = HashModel::extend(hash, token.id);
    text += token.text;
  }
  EXPECT_EQ(text, bench.observed[idx]->answers[0].text);
}

TEST(StepRunner, ScoresEveryPromptTokenInChunksAfterHitsAndWithoutManyRows) {
  for (int64_t rows : {1, 5, 64}) {
    Bench bench(64, {.max_running = 4, .step_tokens = 40, .step_score_rows = rows});
    bench.add(greedy(9, 70, 5));  // fills the cache with the same beginning
    bench.run();
    Job job = greedy(9, 70, 3);
    job.params.prompt_logprobs = 2;
    job.params.n = 2;
    const size_t scored = bench.add(job);
    job.max_tokens = 0;
    const size_t only_scored = bench.add(job);
    bench.add(greedy(10, 50, 30));
    bench.run();
    bench.expect_reference(scored);
    EXPECT_EQ(bench.observed[only_scored]->answers[1].finish, api::FinishReason::kLength);
    EXPECT_EQ(bench.observed[only_scored]->last.usage.completion_tokens, 0);
    EXPECT_LE(bench.model.most_rows, rows + 4);
    for (size_t idx : {scored, only_scored}) {
      const auto& tokens = bench.observed[idx]->prompt_tokens;
      ASSERT_EQ(tokens.size(), job.prompt.size());
      EXPECT_FALSE(tokens[0].has_logprob);
      uint64_t hash = HashModel::kStart;
      std::vector<float> row(kModelVocab);
      for (size_t i = 0; i < tokens.size(); ++i) {
        EXPECT_EQ(tokens[i].id, job.prompt[i]);
        if (i > 0) {
          double sum = 0;
          for (float x : row) sum += std::exp(static_cast<double>(x));
          EXPECT_NEAR(tokens[i].logprob, row[static_cast<size_t>(tokens[i].id)] - std::log(sum), 1e-5);
          EXPECT_EQ(tokens[i].top.size(), 2u);
        }
        hash = HashModel::extend(hash, job.prompt[i]);
        HashModel::fill_logits(hash, row);
      }
    }
  }
}

TEST(StepRunner, ScoringSurvivesPreemption) {
  Bench bench(6, {.max_running = 4, .step_tokens = 20, .step_score_rows = 9});
  for (uint64_t i = 0; i < 6; ++i) {
    Job job = greedy(i, 100 + i, 40);
    job.params.prompt_logprobs = 0;
    job.params.priority = i >= 3;  // later, more important ones push the first aside
    bench.add(job);
    bench.step();
    bench.step();
  }
  bench.run();
  bench.expect_all_reference();
  EXPECT_GT(bench.counters.preemptions, 0);
  for (const auto& observed : bench.observed) {
    for (const api::TokenLogprob& token : observed->prompt_tokens) EXPECT_TRUE(token.has_logprob == (&token != &observed->prompt_tokens[0]));
    EXPECT_EQ(static_cast<int64_t>(observed->prompt_tokens.size()), observed->last.usage.prompt_tokens);
  }
}

TEST(StepRunner, DecodesGetATokenInEveryStepWhileALongPromptIsComputed) {
  Bench bench(256, {.max_running = 4, .step_tokens = 16});
  const size_t decoding = bench.add(greedy(1, 5, 60));
  bench.step();
  bench.add(greedy(2, 1000, 5));
  for (int64_t i = 0; i < 50; ++i) {
    const int64_t before = bench.counters.generated_tokens;
    bench.step();
    ASSERT_EQ(bench.counters.generated_tokens - before, 1);
  }
  EXPECT_FALSE(bench.observed[decoding]->is_done);
  bench.run();
  bench.expect_all_reference();
}

TEST(StepRunner, AShortPromptIsNotStuckBehindALongOne) {
  Bench bench(256, {.max_running = 4, .step_tokens = 32});
  const size_t slow = bench.add(greedy(1, 2000, 4));
  bench.step();
  const size_t quick = bench.add(greedy(2, 10, 2));
  bench.step();
  bench.step();
  EXPECT_TRUE(bench.observed[quick]->is_done);
  EXPECT_FALSE(bench.observed[slow]->is_done);
  // And many short ones do not stop the long one: it gets half of each step.
  for (uint64_t i = 0; i < 400; ++i) bench.add(greedy(100 + i, 30, 1));
  bench.run();
  bench.expect_all_reference();
  EXPECT_LE(bench.observed[slow]->first_event_step, 2000 / 16 + 4);
}

TEST(StepRunner, HigherPriorityGoesFirstAndEqualOnesInOrderOfArrival) {
  Bench bench(64, {.max_running = 1, .step_tokens = 64});
  const size_t running = bench.add(greedy(1, 10, 30));
  bench.step();
  const size_t low = bench.add(greedy(2, 10, 5)), low_later = bench.add(greedy(3, 10, 5));
  Job important = greedy(4, 10, 5);
  important.params.priority = 2;
  const size_t high = bench.add(important);
  bench.run();
  bench.expect_all_reference();
  const auto step_of = [&](size_t idx) { return bench.observed[idx]->first_event_step; };
  EXPECT_EQ(step_of(high), 2);  // takes the place of the running one, at once
  EXPECT_LT(step_of(running), step_of(high));
  EXPECT_LT(step_of(high), step_of(low));
  EXPECT_LT(step_of(low), step_of(low_later));
}

// Whoever got the first token and asks for the metrics finds the request in them.
TEST(StepRunner, CountersShowARequestBeforeItsFirstToken) {
  Bench bench;
  const size_t idx = bench.add(greedy(1, 8, 3));  // a prompt of one step
  bench.run();
  EXPECT_GE(bench.observed[idx]->blocks_at_first_event, 1);
}

TEST(StepRunner, CancelFreesTheBlocksBeforeTheNextStep) {
  Bench bench;
  Job job = greedy(1, 100, 1000);
  job.params.n = 3;
  const size_t idx = bench.add(job);
  for (int i = 0; i < 20; ++i) bench.step();
  EXPECT_GT(bench.counters.kv_blocks_used, 0);
  bench.controls[idx]->is_cancelled = true;
  bench.step();
  EXPECT_TRUE(bench.observed[idx]->is_done);
  for (const Answer& answer : bench.observed[idx]->answers) EXPECT_EQ(answer.finish, api::FinishReason::kCancelled);
  EXPECT_FALSE(bench.observed[idx]->last.error.has_value());
  bench.expect_clean();
}

TEST(StepRunner, CancelBeforeThePromptIsDoneEndsEveryChoice) {
  Bench bench(64, {.max_running = 2, .step_tokens = 8});
  Job job = greedy(1, 100, 10);
  job.params.n = 3;
  const size_t idx = bench.add(job);
  bench.step();
  bench.controls[idx]->is_cancelled = true;
  bench.step();
  EXPECT_TRUE(bench.observed[idx]->is_done);
  for (const Answer& answer : bench.observed[idx]->answers) EXPECT_EQ(answer.finish, api::FinishReason::kCancelled);
  bench.expect_clean();
}

TEST(StepRunner, APausedRequestStandsStillKeepsItsBlocksAndContinues) {
  Bench bench;
  const size_t slow = bench.add(greedy(1, 100, 50)), other = bench.add(greedy(2, 10, 50));
  for (int i = 0; i < 10; ++i) bench.step();
  bench.controls[slow]->is_paused = true;
  bench.step();
  const std::string text = bench.observed[slow]->answers[0].text;
  for (int i = 0; i < 60; ++i) bench.step();
  EXPECT_TRUE(bench.observed[other]->is_done);
  EXPECT_EQ(bench.observed[slow]->answers[0].text, text);
  EXPECT_GE(bench.counters.kv_blocks_used, 4);
  EXPECT_FALSE(bench.runner.has_work());
  const int64_t n_computed = bench.model.n_tokens;
  bench.controls[slow]->is_paused = false;
  bench.run();
  bench.expect_all_reference();
  EXPECT_LT(bench.model.n_tokens - n_computed, 50);  // nothing was computed again
}

TEST(StepRunner, PausedRequestsNeverHoldUpOthers) {
  Bench bench(8, {.max_running = 2, .step_tokens = 64});
  std::vector<size_t> paused;
  for (uint64_t i = 0; i < 4; ++i) {
    paused.push_back(bench.add(greedy(i, 90, 20)));
    bench.step();
    bench.step();
    bench.controls[paused.back()]->is_paused = true;
    bench.step();
  }
  const size_t other = bench.add(greedy(9, 200, 40));  // needs all blocks
  for (int i = 0; i < 60; ++i) bench.step();
  EXPECT_TRUE(bench.observed[other]->is_done);
  for (size_t idx : paused) bench.controls[idx]->is_paused = false;
  bench.run();
  bench.expect_all_reference();
}

TEST(StepRunner, ADeadlineEndsARequestWithAnError) {
  Bench bench;
  Job job = greedy(1, 10, 1000);
  job.params.deadline = Clock::now() - std::chrono::seconds(1);
  const size_t late = bench.add(job);
  job.params.deadline = Clock::now() + std::chrono::hours(1);
  job.max_tokens = 5;
  const size_t in_time = bench.add(job);
  EXPECT_LT(bench.runner.next_deadline(), Clock::now());  // the nearest one
  bench.run();
  ASSERT_TRUE(bench.observed[late]->last.error.has_value());
  EXPECT_EQ(bench.observed[late]->last.error->code, Code::kDeadlineExceeded);
  bench.expect_reference(in_time);
}

TEST(StepRunner, ThousandsOfRandomRequestsMatchTheReferenceAndLeakNothing) {
  for (uint64_t round = 0; round < 8; ++round) {
    Rng rng(round);
    const auto pick = [&](uint64_t n) { return rng.next() % n; };
    Bench bench(static_cast<int32_t>(6 + pick(30)), {.max_running = static_cast<int>(1 + pick(10)), .step_tokens = static_cast<int64_t>(11 + pick(80)), .step_score_rows = static_cast<int64_t>(1 + pick(30))},
                round % 4 != 3);
    std::vector<bool> ended_early;
    for (int i = 0; i < 300; ++i) {
      Job job{make_prompt(pick(4), 1 + pick(100)), static_cast<int64_t>(pick(60)), rng.next()};
      job.params.n = pick(5) == 0 ? static_cast<int>(1 + pick(4)) : 1;
      job.params.priority = static_cast<int>(pick(3));
      job.params.sampling.temperature = pick(2) ? 1.0f : 0.0f;
      job.params.sampling.top_k = pick(2) ? 5 : 0;
      job.params.sampling.min_p = pick(4) ? 0 : 0.05f;
      job.params.sampling.frequency_penalty = pick(4) ? 0 : 0.5f;
      if (pick(3) == 0) job.params.stop = {"aa", "b c"};
      if (pick(4) == 0) job.params.prompt_logprobs = 1;
      if (pick(4) == 0) job.params.logprobs = 1;
      if (pick(10) == 0) job.params.deadline = Clock::now() - std::chrono::seconds(pick(2));
      bench.add(job);
      for (uint64_t s = pick(6); s > 0; --s) bench.step();
      const size_t other = pick(bench.controls.size());
      if (pick(12) == 0) bench.controls[other]->is_cancelled = true;
      if (pick(4) == 0) bench.controls[other]->is_paused = !bench.controls[other]->is_paused;
    }
    for (auto& control : bench.controls) control->is_paused = false;
    bench.run();
    int n_compared = 0;
    for (size_t i = 0; i < bench.observed.size(); ++i) {
      ASSERT_TRUE(bench.observed[i]->is_done);
      const api::TokenEvent& last = bench.observed[i]->last;
      if (last.error || last.finish == api::FinishReason::kCancelled || bench.controls[i]->is_cancelled) continue;
      if (HasFailure()) return;
      bench.expect_reference(i);
      ++n_compared;
    }
    EXPECT_GT(n_compared, 150);
  }
}

}  // namespace
}  // namespace hanlin::engine
