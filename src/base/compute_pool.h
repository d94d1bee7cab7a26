// Fork-join threads for the engine's mathematics.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace hanlin {

// A fixed set of threads that run one parallel loop at a time. The calling thread works too, so a pool of n threads
// starts n - 1. Units are taken dynamically, and a loop ends without the workers that did not enter it, so a thread that
// lost its core to another process delays a loop only while it holds a unit. Workers spin for a short bounded time
// between loops, then yield, then sleep.
// One caller at a time (the engine thread); never call run() from inside a unit.
class ComputePool {
 public:
  explicit ComputePool(int n_threads);  // clamped to at least 1
  ~ComputePool();
  ComputePool(const ComputePool&) = delete;

  int n_threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls fn(unit_idx, thread_idx) once for each unit_idx in [0, n_units), thread_idx in [0, n_threads()); returns when
  // all are done. `fn` must not throw. Writes made inside are visible to the caller afterwards.
  template <typename Fn>
  void run(int64_t n_units, const Fn& fn) {
    run_erased(n_units, [](const void* context, int64_t unit_idx, int thread_idx) {
      (*static_cast<const Fn*>(context))(unit_idx, thread_idx);
    }, &fn);
  }

 private:
  using UnitFn = void (*)(const void* context, int64_t unit_idx, int thread_idx);
  void run_erased(int64_t n_units, UnitFn fn, const void* context);
  void work(int thread_idx);
  bool enter();  // the open loop, if there is one
  void worker_loop(int thread_idx);

  std::vector<std::thread> workers_;
  UnitFn fn_ = nullptr;
  const void* context_ = nullptr;
  int64_t n_units_ = 0;
  alignas(64) std::atomic<int64_t> next_unit_{0};
  alignas(64) std::atomic<uint32_t> generation_{0};  // bumped to start a loop
  static constexpr uint32_t kOpen = 1u << 31;
  alignas(64) std::atomic<uint32_t> inside_{0};      // kOpen while workers may enter the loop, and how many are inside
  std::atomic<bool> stopping_{false};
  std::atomic<int> n_parked_{0};
};

// Number of cores this process may run on (its affinity mask and cgroup-visible CPUs), at least 1.
int available_cores();

}  // namespace hanlin
