#include "remote/retry.h"

#include <time.h>

#include <algorithm>
#include <charconv>
#include <string>

namespace hanlin::remote {

using std::chrono::milliseconds;

bool is_retryable_status(int status) {
  static constexpr int kStatuses[] = {408, 409, 429, 500, 502, 503, 504};
  return std::find(std::begin(kStatuses), std::end(kStatuses), status) != std::end(kStatuses);
}

std::optional<milliseconds> parse_retry_after(std::string_view text, std::chrono::system_clock::time_point now) {
  constexpr double kMost = 1e9;
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc() && end == text.data() + text.size()) {
    if (!(seconds >= 0)) return {};
    return milliseconds(static_cast<int64_t>(std::min(seconds, kMost) * 1000));
  }
  // The three forms of HTTP dates; only the first is written today.
  for (const char* format : {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    std::tm date{};
    const std::string copy(text);
    const char* rest = strptime(copy.c_str(), format, &date);
    if (rest == nullptr || *rest != '\0') continue;
    const auto at = std::chrono::system_clock::from_time_t(timegm(&date));
    return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(at - now));
  }
  return {};
}

milliseconds backoff(const RemoteOptions& options, int retry, Rng& rng) {
  const double full = static_cast<double>(options.first_backoff.count()) * static_cast<double>(uint64_t{1} << std::min(retry, 32));
  const double bounded = std::min(full, static_cast<double>(options.max_backoff.count()));
  return milliseconds(static_cast<int64_t>(bounded * (0.5 + 0.5 * rng.uniform())));
}

}  // namespace hanlin::remote
