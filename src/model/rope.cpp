#include "model/rope.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace hanlin {
namespace {

using std::numbers::pi;

// Dimension whose wave makes `rotations` turns over the original context (YaRN, equation 17 in pair units).
double dimension_of(double rotations, const RopeSpec& spec) {
  return static_cast<double>(spec.n_rot) * std::log(static_cast<double>(spec.original_context) / (rotations * 2 * pi)) / (2 * std::log(spec.base));
}

void scale_yarn(const RopeSpec& spec, std::vector<double>& frequencies) {
  double low = dimension_of(spec.beta_fast, spec), high = dimension_of(spec.beta_slow, spec);
  if (spec.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(spec.n_rot - 1));
  if (low == high) high += 0.001;  // no division by zero; the ramp becomes a step
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = frequencies[i] / spec.factor * ramp + frequencies[i] * (1 - ramp);
  }
}

void scale_llama3(const RopeSpec& spec, std::vector<double>& frequencies) {
  const auto context = static_cast<double>(spec.original_context);
  for (double& frequency : frequencies) {
    const double wavelength = 2 * pi / frequency;
    if (wavelength > context / spec.low_freq_factor) {
      frequency /= spec.factor;
    } else if (wavelength >= context / spec.high_freq_factor) {
      const double smooth = (context / wavelength - spec.low_freq_factor) / (spec.high_freq_factor - spec.low_freq_factor);
      frequency = (1 - smooth) * frequency / spec.factor + smooth * frequency;
    }
  }
}

}  // namespace

std::vector<double> rope_frequencies(const RopeSpec& spec, int64_t length) {
  double base = spec.base;
  const auto n_rot = static_cast<double>(spec.n_rot);
  if (spec.scaling == RopeScaling::kDynamic && length > spec.original_context && spec.n_rot > 2) {
    const double ratio = static_cast<double>(length) / static_cast<double>(spec.original_context);
    base *= std::pow(spec.factor * ratio - (spec.factor - 1), n_rot / (n_rot - 2));
  }
  std::vector<double> frequencies(static_cast<size_t>(spec.n_rot / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) frequencies[i] = std::pow(base, -2.0 * static_cast<double>(i) / n_rot);
  if (!spec.frequency_factors.empty()) {
    for (size_t i = 0; i < frequencies.size(); ++i) frequencies[i] /= static_cast<double>(spec.frequency_factors[i]);
  }
  switch (spec.scaling) {
    case RopeScaling::kNone:
    case RopeScaling::kDynamic: break;
    case RopeScaling::kLinear:
      for (double& frequency : frequencies) frequency /= spec.factor;
      break;
    case RopeScaling::kYarn: scale_yarn(spec, frequencies); break;
    case RopeScaling::kLlama3: scale_llama3(spec, frequencies); break;
  }
  return frequencies;
}

double rope_attention_factor(const RopeSpec& spec) {
  if (spec.scaling != RopeScaling::kYarn) return 1.0;
  if (spec.attention_factor > 0) return spec.attention_factor;
  return spec.factor <= 1 ? 1.0 : 0.1 * std::log(spec.factor) + 1.0;
}

std::vector<float> mean_rotated_bias(std::span<const float> bias, int64_t head_dim, const RopeSpec& spec, bool neox, int64_t n_positions) {
  std::vector<float> mean(bias.begin(), bias.end());
  const std::vector<double> frequencies = rope_frequencies(spec, 0);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    // The integrals of cos(angle) and sin(angle) from 0 to `turn`, divided by it.
    const double turn = frequencies[i] * static_cast<double>(n_positions), factor = rope_attention_factor(spec);
    const double cos = turn > 0 ? factor * std::sin(turn) / turn : factor, sin = turn > 0 ? factor * (1 - std::cos(turn)) / turn : 0.0;
    const size_t a = neox ? i : 2 * i, b = neox ? i + frequencies.size() : 2 * i + 1;
    for (size_t head = 0; head < bias.size(); head += static_cast<size_t>(head_dim)) {
      const double x = bias[head + a], y = bias[head + b];
      mean[head + a] = static_cast<float>(x * cos - y * sin);
      mean[head + b] = static_cast<float>(x * sin + y * cos);
    }
  }
  return mean;
}

RopeTable::RopeTable(RopeSpec spec)
    : spec_(std::move(spec)), factor_(rope_attention_factor(spec_)), frequencies_(rope_frequencies(spec_, 0)) {}

void RopeTable::compute(const std::vector<double>& frequencies, int64_t first, int64_t n, float* cos, float* sin) const {
  const size_t half = frequencies.size();
  for (int64_t p = 0; p < n; ++p) {
    for (size_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(first + p) * frequencies[i];
      cos[static_cast<size_t>(p) * half + i] = static_cast<float>(std::cos(angle) * factor_);
      sin[static_cast<size_t>(p) * half + i] = static_cast<float>(std::sin(angle) * factor_);
    }
  }
}

void RopeTable::fill(int64_t first, int64_t n, int64_t length, float* cos, float* sin) {
  if (spec_.scaling == RopeScaling::kDynamic && length > spec_.original_context) {
    compute(rope_frequencies(spec_, length), first, n, cos, sin);
    return;
  }
  const size_t half = frequencies_.size();
  const auto known = static_cast<int64_t>(cos_.size() / half);
  if (first + n > known) {
    const auto wanted = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(first + n, 512))));
    cos_.resize(static_cast<size_t>(wanted) * half);
    sin_.resize(static_cast<size_t>(wanted) * half);
    compute(frequencies_, known, wanted - known, cos_.data() + static_cast<size_t>(known) * half, sin_.data() + static_cast<size_t>(known) * half);
  }
  const size_t begin = static_cast<size_t>(first) * half, count = static_cast<size_t>(n) * half;
  std::copy_n(cos_.data() + begin, count, cos);
  std::copy_n(sin_.data() + begin, count, sin);
}

}  // namespace hanlin
