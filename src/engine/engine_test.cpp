// The facade with its thread: many callers, cancellation, bounds, shutting down.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <map>

#include "engine/test_reference.h"

namespace hanlin::engine {
namespace {

using std::chrono::hours;

// A client's side of one request: collects on the engine thread, waits on the test's.
class Client {
 public:
  explicit Client(int n = 1) : observed_(n) {}
  api::TokenSink sink() {
    return [this](api::TokenEvent&& event) {
      std::lock_guard lock(mutex_);
      observed_.take(std::move(event));
      ++n_events_;
      changed_.notify_all();
    };
  }
  const Observed& wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return observed_.is_done; });
    return observed_;
  }
  void wait_for_events(int n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return n_events_ >= n || observed_.is_done; });
  }
  bool is_done() {
    std::lock_guard lock(mutex_);
    return observed_.is_done;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Observed observed_;
  int n_events_ = 0;
};

// A HashModel whose steps a test can hold.
class GatedModel : public HashModel {
 public:
  GatedModel() : HashModel(kModelVocab, 4096, 256) {}
  std::span<const float> forward(const Batch& batch) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return is_open_; });
    lock.unlock();
    return HashModel::forward(batch);
  }
  void set_open(bool is_open) {
    std::lock_guard lock(mutex_);
    is_open_ = is_open;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_open_ = true;
};

struct Rig {
  std::unique_ptr<Engine> engine;
  GatedModel* model;
};

Rig make_engine(EngineOptions options = {.kv_blocks = 200}) {
  auto model = std::make_unique<GatedModel>();
  GatedModel* raw = model.get();
  EngineParts parts;
  parts.info.name = "hash";
  parts.model = std::move(model);
  parts.tokenizer = test_tokenizer();
  parts.kernels = &test_kernels();
  parts.weights_bytes = 1000;
  auto engine = Engine::create(std::move(parts), options);
  EXPECT_TRUE(engine.ok()) << engine.error().message;
  return {std::move(*engine), raw};
}

api::GenerateRequest make_request(uint64_t seed, size_t n_prompt, int64_t max_tokens) {
  Rng rng(seed);
  std::vector<int32_t> prompt(n_prompt);
  for (int32_t& token : prompt) token = static_cast<int32_t>('a' + rng.next() % 26);
  api::GenerateRequest request;
  request.prompt = api::TokenPrompt{std::move(prompt)};
  request.sampling.seed = seed;
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}
void expect_reference(const Observed& observed, const api::GenerateRequest& request) {
  for (int i = 0; i < request.n; ++i) {
    EXPECT_EQ(observed.answers[static_cast<size_t>(i)],
              reference_answer(std::get<api::TokenPrompt>(request.prompt).ids, request, *request.sampling.seed, *request.max_tokens, i));
  }
}

TEST(Engine, AnswersAChat) {
  Rig rig = make_engine();
  Client client;
  api::GenerateRequest request;
  request.prompt = api::ChatPrompt{{api::Message{"user", "Hello"}}};
  request.max_tokens = 12;
  request.sampling.temperature = 0;
  const auto handle = rig.engine->submit(request, client.sink());
  ASSERT_TRUE(handle.ok()) << handle.error().message;
  EXPECT_EQ((*handle)->prompt_tokens(), 11 + 1 + 11);
  const Observed& observed = client.wait();
  EXPECT_EQ(observed.last.usage.prompt_tokens, 23);
  EXPECT_GE(observed.last.queue_seconds, 0);
  EXPECT_TRUE(rig.engine->info().has_chat_template);
  EXPECT_EQ(rig.engine->info().vocab_size, kModelVocab);
  EXPECT_EQ(*rig.engine->detokenize(*rig.engine->tokenize("héllo", false, false)), "héllo");
  EXPECT_FALSE(rig.engine->detokenize({-1}).ok());
}

TEST(Engine, ManyThreadsGetTheReferenceAnswersAndNoBlockLeaks) {
  Rig rig = make_engine({.max_queue = 1000, .max_running = 7, .step_tokens = 50, .kv_blocks = 20});
  std::vector<std::thread> threads;
  for (uint64_t thread_idx = 0; thread_idx < 4; ++thread_idx) {
    threads.emplace_back([&, thread_idx] {
      for (uint64_t i = 0; i < 40; ++i) {
        api::GenerateRequest request = make_request(i % 10, 1 + (i * 7 + thread_idx * 13) % 90, 1 + static_cast<int64_t>(i % 30));
        request.n = i % 8 == 0 ? 2 : 1;
        request.priority = static_cast<int>(i % 2);
        Client client(request.n);
        ASSERT_TRUE(rig.engine->submit(request, client.sink()).ok());
        expect_reference(client.wait(), request);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  rig.engine->shutdown(Clock::now() + hours(1));
  const api::GeneratorStats stats = rig.engine->stats();
  EXPECT_EQ(stats.kv_blocks_used, 0);
  EXPECT_EQ(stats.kv_blocks_total, 20);
  EXPECT_EQ(stats.requests_total, 160);
  EXPECT_EQ(stats.n_running + stats.n_waiting, 0);
  EXPECT_EQ(rig.model->n_bad_reads, 0);
}

TEST(Engine, CancellationStormsEndEveryRequestExactlyOnce) {
  Rig rig = make_engine({.max_queue = 1000, .max_running = 16, .step_tokens = 64, .kv_blocks = 30});
  std::vector<std::thread> threads;
  for (uint64_t thread_idx = 0; thread_idx < 4; ++thread_idx) {
    threads.emplace_back([&, thread_idx] {
      Rng rng(thread_idx);
      for (int round = 0; round < 20; ++round) {
        std::vector<std::unique_ptr<Client>> clients;
        std::vector<std::shared_ptr<api::Generation>> handles;
        for (int i = 0; i < 6; ++i) {
          api::GenerateRequest request = make_request(rng.next() % 5, 1 + rng.next() % 60, 1 + static_cast<int64_t>(rng.next() % 200));
          request.n = static_cast<int>(1 + rng.next() % 3);
          clients.push_back(std::make_unique<Client>(request.n));
          auto handle = rig.engine->submit(request, clients.back()->sink());
          ASSERT_TRUE(handle.ok());
          handles.push_back(*handle);
        }
        for (auto& handle : handles) {
          if (rng.next() % 3 == 0) handle->set_paused(true);
          if (rng.next() % 2 == 0) handle->cancel();
          handle->set_paused(false);
        }
        for (auto& client : clients) client->wait();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  rig.engine->shutdown(Clock::now() + hours(1));
  EXPECT_EQ(rig.engine->stats().kv_blocks_used, 0);
}

TEST(Engine, RefusesWhatExceedsTheQueueAndTakesMoreLater) {
  Rig rig = make_engine({.max_queue = 2, .max_running = 1, .kv_blocks = 50});
  rig.model->set_open(false);
  const api::GenerateRequest request = make_request(1, 10, 5);
  Client clients[4];
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(rig.engine->submit(request, clients[i].sink()).ok());
  const auto refused = rig.engine->submit(request, clients[3].sink());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  rig.model->set_open(true);
  for (int i = 0; i < 3; ++i) expect_reference(clients[i].wait(), request);
  // The places are given back at the end of the step that finished the requests.
  for (Result<std::shared_ptr<api::Generation>> again = rig.engine->submit(request, clients[3].sink()); !again.ok();) {
    again = rig.engine->submit(request, clients[3].sink());
  }
  expect_reference(clients[3].wait(), request);
  EXPECT_GE(rig.engine->stats().rejected_total, 1);
}

TEST(Engine, CancelWorksOnAPausedRequestWhileTheEngineSleeps) {
  Rig rig = make_engine();
  Client client;
  const auto handle = *rig.engine->submit(make_request(1, 10, 4000), client.sink());
  handle->set_paused(true);
  handle->cancel();
  EXPECT_EQ(client.wait().answers[0].finish, api::FinishReason::kCancelled);
}

TEST(Engine, APausedRequestContinuesWhenItsReaderIsBack) {
  Rig rig = make_engine();
  const api::GenerateRequest request = make_request(3, 40, 200);
  Client client, other;
  const auto handle = *rig.engine->submit(request, client.sink());
  client.wait_for_events(3);
  handle->set_paused(true);
  const api::GenerateRequest request2 = make_request(4, 10, 300);
  ASSERT_TRUE(rig.engine->submit(request2, other.sink()).ok());
  expect_reference(other.wait(), request2);
  handle->set_paused(false);
  expect_reference(client.wait(), request);
}

TEST(Engine, ADeadlineWakesASleepingEngine) {
  Rig rig = make_engine();
  Client client;
  api::GenerateRequest request = make_request(1, 10, 4000);
  request.deadline = Clock::now() + std::chrono::milliseconds(30);
  const auto handle = *rig.engine->submit(request, client.sink());
  handle->set_paused(true);
  const Observed& observed = client.wait();
  ASSERT_TRUE(observed.last.error.has_value());
  EXPECT_EQ(observed.last.error->code, Code::kDeadlineExceeded);
}

TEST(Engine, ShutdownFinishesWhatWasAcceptedAndRefusesMore) {
  Rig rig = make_engine({.max_running = 2, .kv_blocks = 50});
  rig.model->set_open(false);
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<api::GenerateRequest> requests;
  for (uint64_t i = 0; i < 6; ++i) {
    requests.push_back(make_request(i, 20, 30));
    clients.push_back(std::make_unique<Client>());
    ASSERT_TRUE(rig.engine->submit(requests.back(), clients.back()->sink()).ok());
  }
  auto stopping = std::async(std::launch::async, [&] { rig.engine->shutdown(Clock::now() + hours(1)); });
  Client late;
  while (true) {
    const auto refused = rig.engine->submit(make_request(1, 4100, 1), late.sink());  // never accepted: too long
    ASSERT_FALSE(refused.ok());
    if (refused.error().code == Code::kUnavailable) break;
  }
  rig.model->set_open(true);
  stopping.get();
  for (size_t i = 0; i < clients.size(); ++i) {
    ASSERT_TRUE(clients[i]->is_done());
    expect_reference(clients[i]->wait(), requests[i]);
  }
}

TEST(Engine, ASecondShutdownBringsTheDeadlineForward) {
  Rig rig = make_engine();
  Client client;
  // A paused request never finishes by itself: only the second call can end the first.
  (*rig.engine->submit(make_request(1, 10, 4000), client.sink()))->set_paused(true);
  auto stopping = std::async(std::launch::async, [&] { rig.engine->shutdown(Clock::now() + hours(1)); });
  rig.engine->shutdown(Clock::now());
  stopping.get();
  EXPECT_EQ(client.wait().answers[0].finish, api::FinishReason::kCancelled);
  EXPECT_EQ(rig.engine->stats().kv_blocks_used, 0);
}

TEST(Engine, DestructionWhileBusyCancelsEverything) {
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<std::shared_ptr<api::Generation>> handles;
  {
    Rig rig = make_engine({.max_running = 3, .kv_blocks = 100});
    for (uint64_t i = 0; i < 8; ++i) {
      clients.push_back(std::make_unique<Client>(2));
      api::GenerateRequest request = make_request(i, 50, 3000);
      request.n = 2;
      handles.push_back(*rig.engine->submit(request, clients.back()->sink()));
    }
    handles[5]->set_paused(true);
    clients[0]->wait_for_events(1);
  }
  for (auto& client : clients) {
    ASSERT_TRUE(client->is_done());
    EXPECT_EQ(client->wait().answers[1].finish, api::FinishReason::kCancelled);
  }
  for (auto& handle : handles) handle->cancel();  // handles outlive the engine
}

TEST(Engine, ChecksItsOptions) {
  for (const EngineOptions& bad : {EngineOptions{.max_queue = -1}, EngineOptions{.max_running = 0}, EngineOptions{.step_tokens = 0},
                                   EngineOptions{.kv_bytes = 10}, EngineOptions{.context_length = -5}}) {
    EngineParts parts;
    parts.model = std::make_unique<GatedModel>();
    parts.tokenizer = test_tokenizer();
    parts.kernels = &test_kernels();
    const auto engine = Engine::create(std::move(parts), bad);
    ASSERT_FALSE(engine.ok());
    EXPECT_EQ(engine.error().code, Code::kInvalidArgument);
    EXPECT_FALSE(engine.error().param.empty());
  }
  // The context is never longer than the blocks hold, so one request always fits.
  EXPECT_EQ(make_engine({.kv_blocks = 3}).engine->info().context_length, 96);
}

}  // namespace
}  // namespace hanlin::engine
