// When a failed request is tried again, and after how long.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/rng.h"
#include "remote/options.h"

namespace hanlin::remote {

// Answers that may be different next time: 408, 409, 429, 500, 502, 503, 504.
bool is_retryable_status(int status);

// The value of a Retry-After header: seconds, or a date (RFC 9110, 10.2.3) minus `now`. Never negative; nothing for other texts.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view text, std::chrono::system_clock::time_point now);

// The wait before retry number `retry` (from 0): first_backoff × 2^retry, at most max_backoff, times 0.5 to 1.
std::chrono::milliseconds backoff(const RemoteOptions& options, int retry, Rng& rng);

}  // namespace hanlin::remote
