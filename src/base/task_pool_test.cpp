#include "base/task_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>

namespace hanlin {
namespace {

TEST(TaskPool, RunsEveryTaskOnce) {
  std::atomic<int> sum{0};
  std::promise<void> all_done;
  TaskPool pool(3, 1000);
  for (int i = 1; i <= 100; ++i) {
    ASSERT_TRUE(pool.try_post([&, i] {
      if (sum.fetch_add(i) + i == 5050) all_done.set_value();
    }));
  }
  all_done.get_future().wait();
  EXPECT_EQ(sum.load(), 5050);
}

TEST(TaskPool, RefusesWhenFullAndWhenStopped) {
  std::promise<void> started, release;
  auto released = release.get_future().share();
  TaskPool pool(1, 2);
  ASSERT_TRUE(pool.try_post([&] { started.set_value(); released.wait(); }));
  started.get_future().wait();
  ASSERT_TRUE(pool.try_post([] {}));
  ASSERT_TRUE(pool.try_post([] {}));
  EXPECT_FALSE(pool.try_post([] {}));
  release.set_value();
  pool.stop();
  EXPECT_FALSE(pool.try_post([] {}));
}

TEST(TaskPool, StopDestroysWaitingTasksWithoutRunningThem) {
  std::promise<void> started, release;
  auto released = release.get_future().share();
  auto token = std::make_shared<int>(0);
  std::atomic<bool> ran{false};
  TaskPool pool(1, 8);
  ASSERT_TRUE(pool.try_post([&] { started.set_value(); released.wait(); }));
  started.get_future().wait();
  ASSERT_TRUE(pool.try_post([token, &ran] { ran = true; }));
  std::thread stopper([&] { pool.stop(); });
  while (token.use_count() > 1) std::this_thread::yield();
  release.set_value();
  stopper.join();
  EXPECT_FALSE(ran.load());
}

}  // namespace
}  // namespace hanlin
