// The only way into a thread that owns its data without locks: many threads push, one drains.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

namespace hanlin {

// A bounded queue with many producers and one consumer. The consumer takes everything at once, so a step of its loop
// costs one lock however many messages there are. After close() nothing enters any more; what is inside can be drained.
template <typename T>
class Inbox {
 public:
  enum class PushResult { kOk, kFull, kClosed };

  explicit Inbox(size_t capacity) : capacity_(capacity) {}
  Inbox(const Inbox&) = delete;

  // Any thread; never blocks for longer than the lock. `item` is moved from only on kOk.
  PushResult push(T&& item) {
    {
      std::lock_guard lock(mutex_);
      if (closed_) return PushResult::kClosed;
      if (items_.size() >= capacity_) return PushResult::kFull;
      items_.push_back(std::move(item));
      awake_ = true;
    }
    changed_.notify_one();
    return PushResult::kOk;
  }

  // Any thread: makes the current or the next wait() return, without a message.
  void wake() {
    {
      std::lock_guard lock(mutex_);
      awake_ = true;
    }
    changed_.notify_one();
  }

  void close() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
      awake_ = true;
    }
    changed_.notify_one();
  }

  // Consumer only: moves all messages to the end of `out`, oldest first.
  void drain(std::vector<T>& out) {
    std::lock_guard lock(mutex_);
    for (T& item : items_) out.push_back(std::move(item));
    items_.clear();
    awake_ = false;
  }

  // Consumer only: returns once something was pushed, or wake() or close() called, since the last drain().
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return awake_; });
  }
  // The same, but not longer than until `time`.
  void wait_until(std::chrono::steady_clock::time_point time) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, time, [this] { return awake_; });
  }

 private:
  const size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<T> items_;
  bool awake_ = false;
  bool closed_ = false;
};

}  // namespace hanlin
