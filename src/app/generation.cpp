#include "app/generation.h"

#include <fmt/format.h>
#include <signal.h>

#include <condition_variable>
#include <deque>
#include <iostream>
#include <iterator>
#include <mutex>

namespace hanlin::app {
namespace {

volatile sig_atomic_t g_interrupted = 0;
void on_interrupt(int) { g_interrupted = 1; }

// Ctrl-C ends the answer, not the program, while this lives.
struct InterruptGuard {
  InterruptGuard() {
    g_interrupted = 0;
    struct sigaction action {};
    action.sa_handler = on_interrupt;
    sigaction(SIGINT, &action, &previous);
  }
  ~InterruptGuard() { sigaction(SIGINT, &previous, nullptr); }
  struct sigaction previous {};
};

// Events cross from the engine thread to ours here.
struct Mailbox {
  std::mutex mutex;
  std::condition_variable arrived;
  std::deque<api::TokenEvent> events;
};

}  // namespace

void SamplingFlags::add_to(FieldSet& fields) {
  fields.add("max_tokens", &max_tokens, "Longest answer in tokens; 0: what the context holds").range(0, 1 << 24);
  fields.add("temperature", &temperature, "0: always the likeliest token; higher: more surprising").range(0, 100);
  fields.add("top_k", &top_k, "Only the k likeliest tokens; 0: all").range(0, 1 << 24);
  fields.add("top_p", &top_p, "Only the likeliest tokens that together have this probability").range(0.0001, 1);
  fields.add("min_p", &min_p, "Only tokens with at least this share of the likeliest one's probability").range(0, 1);
  fields.add("repetition_penalty", &repetition_penalty, "Above 1: tokens already seen become less likely").range(0.0001, 100);
  fields.add("seed", &seed, "The same seed gives the same text; below 0: another text each time");
  fields.add("stop", &stop, "End the answer before this text; repeat for several");
}

void SamplingFlags::apply(api::GenerateRequest& request) const {
  if (max_tokens > 0) request.max_tokens = max_tokens;
  request.sampling.temperature = static_cast<float>(temperature);
  request.sampling.top_k = static_cast<int>(top_k);
  request.sampling.top_p = static_cast<float>(top_p);
  request.sampling.min_p = static_cast<float>(min_p);
  request.sampling.repetition_penalty = static_cast<float>(repetition_penalty);
  if (seed >= 0) request.sampling.seed = static_cast<uint64_t>(seed);
  request.stop = stop;
}

Result<api::TokenEvent> generate_to_end(api::TextGenerator& generator, api::GenerateRequest request,
                                        const std::function<void(const api::TokenEvent&)>& on_event) {
  const InterruptGuard guard;
  const auto mailbox = std::make_shared<Mailbox>();
  HANLIN_ASSIGN(const auto generation, generator.submit(std::move(request), [mailbox](api::TokenEvent&& event) {
    const std::lock_guard lock(mailbox->mutex);
    mailbox->events.push_back(std::move(event));
    mailbox->arrived.notify_one();
  }));
  bool cancelled = false;
  while (true) {
    std::unique_lock lock(mailbox->mutex);
    // The short wait is for Ctrl-C, which cannot wake a condition variable.
    mailbox->arrived.wait_for(lock, std::chrono::milliseconds(50), [&] { return !mailbox->events.empty(); });
    if (g_interrupted && !cancelled) {
      cancelled = true;
      generation->cancel();
    }
    if (mailbox->events.empty()) continue;
    api::TokenEvent event = std::move(mailbox->events.front());
    mailbox->events.pop_front();
    lock.unlock();
    if (event.error) return *event.error;
    on_event(event);
    if (event.last) return event;
  }
}

std::string speed_line(const api::TokenEvent& last) {
  const auto n_out = static_cast<double>(last.usage.completion_tokens);
  const double speed = last.decode_seconds > 0 ? std::max(0.0, n_out - 1) / last.decode_seconds : 0;
  return fmt::format("{} tokens in ({} cached), {} out, first after {:.2f} s, {:.1f} tokens/s", last.usage.prompt_tokens, last.usage.cached_tokens,
                     last.usage.completion_tokens, last.queue_seconds + last.prefill_seconds, speed);
}

Result<std::string> read_stdin() {
  std::string text((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
  if (std::cin.bad()) return Error{Code::kIo, "standard input: cannot be read"};
  return text;
}

}  // namespace hanlin::app
