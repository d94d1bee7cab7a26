#include "base/inbox.h"

#include <gtest/gtest.h>

#include <thread>

namespace hanlin {
namespace {

TEST(Inbox, RefusesWhatExceedsItsCapacity) {
  Inbox<int> inbox(2);
  EXPECT_EQ(inbox.push(1), Inbox<int>::PushResult::kOk);
  EXPECT_EQ(inbox.push(2), Inbox<int>::PushResult::kOk);
  EXPECT_EQ(inbox.push(3), Inbox<int>::PushResult::kFull);
  std::vector<int> items;
  inbox.drain(items);
  EXPECT_EQ(items, (std::vector<int>{1, 2}));
  EXPECT_EQ(inbox.push(4), Inbox<int>::PushResult::kOk);
}

TEST(Inbox, KeepsWhatIsInsideWhenClosedButTakesNoMore) {
  Inbox<int> inbox(8);
  EXPECT_EQ(inbox.push(1), Inbox<int>::PushResult::kOk);
  inbox.close();
  EXPECT_EQ(inbox.push(2), Inbox<int>::PushResult::kClosed);
  inbox.wait();  // returns at once
  std::vector<int> items;
  inbox.drain(items);
  EXPECT_EQ(items, (std::vector<int>{1}));
}

TEST(Inbox, RemembersAWakeThatCameBeforeTheWait) {
  Inbox<int> inbox(1);
  inbox.wake();
  inbox.wait();  // would hang if the wake were lost
  std::vector<int> items;
  inbox.drain(items);
  inbox.wait_until(std::chrono::steady_clock::now());  // nothing new: the time ends the wait
  EXPECT_TRUE(items.empty());
}

TEST(Inbox, DeliversEveryMessageOfManyThreadsInEachThreadsOrder) {
  constexpr int kThreads = 4, kMessages = 2000;
  Inbox<std::pair<int, int>> inbox(kThreads * kMessages);
  std::vector<std::thread> threads;
  for (int thread_idx = 0; thread_idx < kThreads; ++thread_idx) {
    threads.emplace_back([&inbox, thread_idx] {
      for (int i = 0; i < kMessages; ++i) EXPECT_EQ(inbox.push({thread_idx, i}), (Inbox<std::pair<int, int>>::PushResult::kOk));
    });
  }
  std::vector<std::pair<int, int>> items;
  while (items.size() < kThreads * kMessages) {
    inbox.wait();
    inbox.drain(items);
  }
  for (std::thread& thread : threads) thread.join();
  int next[kThreads] = {};
  for (auto [thread_idx, i] : items) EXPECT_EQ(i, next[thread_idx]++);
}

}  // namespace
}  // namespace hanlin
