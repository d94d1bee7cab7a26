// The way of generated tokens from engine threads to the session that writes them out.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "api/generate.h"

namespace hanlin::server {

// An event and which of the request's generations it came from (a completions request may hold several prompts).
struct SourcedEvent {
  int source_idx = 0;
  api::TokenEvent event;
};

// One request's queue of events. Engines push through sinks and never wait; the session takes everything at once.
// `wake` is called with the lock held, on the engine thread, after each push: it only posts to the I/O thread.
// The number of waiting events stays bounded because the session pauses its generations above its high-water mark.
class EventChannel : public std::enable_shared_from_this<EventChannel> {
 public:
  explicit EventChannel(std::function<void()> wake) : wake_(std::move(wake)) {}

  api::TokenSink sink(int source_idx);
  std::vector<SourcedEvent> take();
  size_t n_waiting() const;
  // Nobody listens any more: later events are dropped, `wake` is destroyed and never called again.
  void close();

 private:
  mutable std::mutex mutex_;
  std::vector<SourcedEvent> events_;
  std::function<void()> wake_;
  bool wake_pending_ = false;  // a wake-up was posted since the last take()
  size_t n_at_wake_ = 0;       // events waiting when it was posted
};

}  // namespace hanlin::server
