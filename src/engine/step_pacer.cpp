#include "engine/step_pacer.h"

#include <algorithm>
#include <bit>

namespace hanlin::engine {
namespace {

constexpr double kWeight = 0.2;    // of a new measurement
constexpr int64_t kMaxAge = 512;   // steps after which the time without prompt tokens is measured anew

// One step that was held up must not change much.
void learn(double seconds, double* known) {
  if (*known == 0) *known = seconds;
  else *known += kWeight * (std::min(seconds, 3 * *known) - *known);
}

}  // namespace

// Powers of two share a measurement: 1, 2, 3–4, 5–8, …
size_t StepPacer::load_of(int64_t n_decoding) {
  return std::min<size_t>(static_cast<size_t>(std::bit_width(static_cast<uint64_t>(std::max<int64_t>(n_decoding, 1) - 1))), 15);
}

int64_t StepPacer::prompt_tokens(int64_t n_decoding, int64_t most) const {
  const Load& load = loads_[load_of(n_decoding)];
  if (load.decode_seconds == 0 || load.age >= kMaxAge) return 0;
  if (load.token_seconds == 0) return std::min(most, kLeastTokens);
  const double allowed = std::max(kMaxGrowth * load.decode_seconds, kUnnoticed) - load.decode_seconds;
  const double n = std::clamp(allowed / load.token_seconds, 0.0, static_cast<double>(most));
  return std::min(most, std::max(kLeastTokens, static_cast<int64_t>(n)));
}

void StepPacer::observe(int64_t n_decoding, int64_t n_prompt, double seconds) {
  if (n_decoding < 1) return;
  Load& load = loads_[load_of(n_decoding)];
  if (n_prompt == 0) {
    learn(seconds, &load.decode_seconds);
    load.age = 0;
  } else if (load.decode_seconds > 0) {
    // Never nothing: a prompt that seems to cost nothing would fill the next step.
    const double added = std::max(seconds - load.decode_seconds, 0.05 * seconds);
    learn(added / static_cast<double>(n_prompt), &load.token_seconds);
    ++load.age;
  }
}

}  // namespace hanlin::engine
