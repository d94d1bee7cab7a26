// Waiting for a generator.
#pragma once

#include <chrono>
#include <functional>
#include <stop_token>

#include "api/generate.h"
#include "base/result.h"

namespace hanlin::agent {

struct Generated {
  api::FinishReason finish = api::FinishReason::kStop;
  bool out_of_time = false;  // it was cancelled at the deadline
  api::Usage usage = {};
};

// Runs one request to its end; `on_event` sees every event on the caller's thread and says whether more is wanted: if not, the request is
// cancelled, and what comes of it until it ends is not seen. Errors: those of the generator; kCancelled when `stop`
// was requested.
Result<Generated> generate(api::TextGenerator& generator, api::GenerateRequest request, const std::function<bool(const api::TokenEvent&)>& on_event,
                           std::chrono::steady_clock::time_point deadline, std::stop_token stop);

}  // namespace hanlin::agent
