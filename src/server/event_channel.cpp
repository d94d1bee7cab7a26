#include "server/event_channel.h"

#include <utility>

namespace hanlin::server {

api::TokenSink EventChannel::sink(int source_idx) {
  return [self = shared_from_this(), source_idx](api::TokenEvent&& event) {
    const std::lock_guard lock(self->mutex_);
    if (!self->wake_) return;
    self->events_.push_back({source_idx, std::move(event)});
    // One wake-up a batch is enough, and another each time the queue doubles, so that a session busy writing notices
    // in time that it has to pause the generation.
    if (!self->wake_pending_ || self->events_.size() >= 2 * self->n_at_wake_) {
      self->wake_pending_ = true;
      self->n_at_wake_ = self->events_.size();
      self->wake_();
    }
  };
}

std::vector<SourcedEvent> EventChannel::take() {
  const std::lock_guard lock(mutex_);
  wake_pending_ = false;
  n_at_wake_ = 0;
  return std::exchange(events_, {});
}

size_t EventChannel::n_waiting() const {
  const std::lock_guard lock(mutex_);
  return events_.size();
}

void EventChannel::close() {
  std::function<void()> wake;  // destroyed outside the lock
  std::vector<SourcedEvent> events;
  const std::lock_guard lock(mutex_);
  wake.swap(wake_);
  events.swap(events_);
}

}  // namespace hanlin::server
