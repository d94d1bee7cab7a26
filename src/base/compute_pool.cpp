#include "base/compute_pool.h"

#include <sched.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>

namespace hanlin {
namespace {

// About 20 to 50 µs of spinning covers the gaps between the loops of one step; yielding covers a step's serial parts.
constexpr int kSpins = 2000;
constexpr int kYields = 50;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// Waits until ready() holds, without burning a core that another thread needs for long; false if spinning was not enough.
template <typename Ready>
bool spin_then_yield(const Ready& ready) {
  for (int i = 0; i < kSpins; ++i) {
    if (ready()) return true;
    relax();
  }
  for (int i = 0; i < kYields; ++i) {
    if (ready()) return true;
    std::this_thread::yield();
  }
  return ready();
}

}  // namespace

ComputePool::ComputePool(int n_threads) {
  workers_.reserve(static_cast<size_t>(std::max(n_threads, 1) - 1));
  for (int i = 1; i < n_threads; ++i) workers_.emplace_back([this, i] { worker_loop(i); });
}

ComputePool::~ComputePool() {
  stopping_ = true;
  generation_.fetch_add(1);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ComputePool::run_erased(int64_t n_units, UnitFn fn, const void* context) {
  if (n_units <= 0) return;
  if (workers_.empty() || n_units == 1) {
    for (int64_t unit = 0; unit < n_units; ++unit) fn(context, unit, 0);
    return;
  }
  fn_ = fn;  // nobody is inside: the loop before was closed and left by all
  context_ = context;
  n_units_ = n_units;
  next_unit_.store(0, std::memory_order_relaxed);
  generation_.fetch_add(1);  // seq_cst: ordered against n_parked_ below
  inside_.store(kOpen);
  if (n_parked_.load() > 0) generation_.notify_all();
  work(0);
  // Every unit is taken. A worker that did not come in time stays outside; only those inside are waited for.
  inside_.fetch_sub(kOpen);
  const auto all_left = [this] { return inside_.load(std::memory_order_acquire) == 0; };
  while (!spin_then_yield(all_left)) {
  }
}

void ComputePool::work(int thread_idx) {
  while (true) {
    const int64_t unit = next_unit_.fetch_add(1, std::memory_order_relaxed);
    if (unit >= n_units_) return;
    fn_(context_, unit, thread_idx);
  }
}

bool ComputePool::enter() {
  uint32_t inside = inside_.load(std::memory_order_relaxed);
  while ((inside & kOpen) != 0) {
    if (inside_.compare_exchange_weak(inside, inside + 1, std::memory_order_acquire, std::memory_order_relaxed)) return true;
  }
  return false;
}

void ComputePool::worker_loop(int thread_idx) {
  uint32_t seen = 0;  // the loop this thread took part in last
  while (true) {
    uint32_t now = seen;
    const auto started = [&] {
      now = generation_.load(std::memory_order_acquire);
      return stopping_ || (now != seen && enter());
    };
    while (!spin_then_yield(started)) {
      n_parked_.fetch_add(1);
      generation_.wait(now);
      n_parked_.fetch_sub(1);
    }
    if (stopping_) return;
    seen = generation_.load(std::memory_order_relaxed);  // cannot change while this thread is inside
    work(thread_idx);
    inside_.fetch_sub(1, std::memory_order_release);
  }
}

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace hanlin
