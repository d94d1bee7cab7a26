#include "agent/generate.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace hanlin::agent {
namespace {

// Events cross from the engine thread to ours here.
struct Mailbox {
  std::mutex mutex;
  std::condition_variable_any arrived;
  std::vector<api::TokenEvent> events;
};

}  // namespace

Result<Generated> generate(api::TextGenerator& generator, api::GenerateRequest request, const std::function<bool(const api::TokenEvent&)>& on_event,
                           std::chrono::steady_clock::time_point deadline, std::stop_token stop) {
  const auto mailbox = std::make_shared<Mailbox>();
  HANLIN_ASSIGN(const auto generation, generator.submit(std::move(request), [mailbox](api::TokenEvent&& event) {
    {
      const std::lock_guard lock(mailbox->mutex);
      mailbox->events.push_back(std::move(event));
    }
    mailbox->arrived.notify_one();
  }));
  Generated generated;
  bool cancelled = false, enough = false;
  while (true) {
    std::vector<api::TokenEvent> events;
    {
      std::unique_lock lock(mailbox->mutex);
      const auto some = [&] { return !mailbox->events.empty(); };
      if (cancelled) mailbox->arrived.wait(lock, some);  // the last event comes within a step
      else mailbox->arrived.wait_until(lock, stop, deadline, some);
      events.swap(mailbox->events);
    }
    if (!cancelled && (stop.stop_requested() || std::chrono::steady_clock::now() >= deadline)) {
      cancelled = true;
      generated.out_of_time = !stop.stop_requested();
      generation->cancel();
    }
    for (const api::TokenEvent& event : events) {
      if (event.error) return *event.error;
      if (!enough && !on_event(event)) {
        enough = true;
        if (!std::exchange(cancelled, true)) generation->cancel();
      }
      if (event.finish) generated.finish = *event.finish;
      if (!event.last) continue;
      generated.usage = event.usage;
      if (stop.stop_requested()) return Error{Code::kCancelled, "generation: the run was stopped"};
      // It may have ended by itself before it noticed.
      if (enough) generated.finish = api::FinishReason::kStop;
      generated.out_of_time = generated.out_of_time && generated.finish == api::FinishReason::kCancelled;
      return generated;
    }
  }
}

}  // namespace hanlin::agent
