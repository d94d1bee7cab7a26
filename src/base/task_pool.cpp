#include "base/task_pool.h"

#include <algorithm>
#include <utility>

namespace hanlin {

TaskPool::TaskPool(int n_threads, size_t max_queued) : max_queued_(max_queued) {
  for (int i = 0; i < std::max(n_threads, 1); ++i) threads_.emplace_back(&TaskPool::work, this);
}

TaskPool::~TaskPool() { stop(); }

bool TaskPool::try_post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || tasks_.size() >= max_queued_) return false;
    tasks_.push_back(std::move(task));
  }
  ready_.notify_one();
  return true;
}

void TaskPool::stop() {
  std::deque<std::function<void()>> dropped;  // destroyed outside the lock: captures may run code of their own
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(tasks_);
  }
  dropped.clear();  // before waiting: a running task may hold the threads for long
  ready_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void TaskPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ready_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
    if (stopping_) return;
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
}

}  // namespace hanlin
