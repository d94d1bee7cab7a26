// Sums of exponentials that the kernel table has no function for, written so that every compiler vectorises them.
#pragma once

#include <span>

namespace hanlin::engine {

struct ExpMoments {
  double sum = 0;  // over i of exp(d[i]), d[i] = x[i] - max
  double dot = 0;  // over i of exp(d[i]) * d[i]
};

// `max` is at least every x[i]. Differences below -700 count as -700 (-inf is allowed); NaN makes both sums NaN.
// Relative error of each term below 1e-14.
ExpMoments exp_moments(std::span<const float> x, float max);

}  // namespace hanlin::engine
