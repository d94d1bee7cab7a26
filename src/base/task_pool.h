// Threads for blocking background work: model calls that wait, templating and tokenising of large prompts, files.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace hanlin {

// A fixed set of threads behind one bounded queue, first in, first out. Any thread may post. Tasks must not throw.
// For fork-join mathematics use ComputePool instead.
class TaskPool {
 public:
  // At least one thread; at most `max_queued` tasks wait (running ones do not count).
  TaskPool(int n_threads, size_t max_queued);
  ~TaskPool();  // stop()
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  // Queues `task`. False, and `task` will never run, when the queue is full or the pool has stopped.
  [[nodiscard]] bool try_post(std::function<void()> task);

  // Waits for running tasks, destroys waiting ones without running them, joins the threads. Not from inside a task.
  void stop();

 private:
  void work();

  const size_t max_queued_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace hanlin
