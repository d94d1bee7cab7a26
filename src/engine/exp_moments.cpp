#include "engine/exp_moments.h"

#include <bit>
#include <cstddef>
#include <cstdint>

namespace hanlin::engine {
namespace {

constexpr size_t kLanes = 8;         // partial sums, so that the order of additions does not depend on the compiler
constexpr double kLeast = -700;      // exp() of it is still a normal number
constexpr double kRound = 0x1.8p52;  // adding it rounds to an integer, which then stands in the low bits

// exp(x) = 2^n exp(r) with |r| <= ln 2 / 2; exp(r) by its Taylor polynomial, whose rest is below 1e-15.
inline double exp_of(double x) {
  constexpr double kLog2E = 1.4426950408889634, kLn2High = 0x1.62e42fefa0000p-1, kLn2Low = 0x1.cf79abc9e3b3ap-40;
  const double shifted = x * kLog2E + kRound, n = shifted - kRound;
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double y = 1.0 / 479001600;
  for (const double factor : {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0}) {
    y = y * r + factor;
  }
  return std::bit_cast<double>(std::bit_cast<uint64_t>(y) + (std::bit_cast<uint64_t>(shifted) << 52));
}

inline void add(float x, double max, double& sum, double& dot) {
  const double difference = static_cast<double>(x) - max;
  const double d = difference < kLeast ? kLeast : difference;
  const double e = exp_of(d);
  sum += e;
  dot += e * d;
}

}  // namespace

ExpMoments exp_moments(std::span<const float> x, float max) {
  double sums[kLanes] = {}, dots[kLanes] = {};
  const size_t n_whole = x.size() / kLanes * kLanes;
  for (size_t i = 0; i < n_whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) add(x[i + lane], max, sums[lane], dots[lane]);
  }
  ExpMoments moments;
  for (size_t i = n_whole; i < x.size(); ++i) add(x[i], max, moments.sum, moments.dot);
  for (size_t lane = 0; lane < kLanes; ++lane) {
    moments.sum += sums[lane];
    moments.dot += dots[lane];
  }
  return moments;
}

}  // namespace hanlin::engine
