// Vectors of length one, as embeddings are compared.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

namespace hanlin {

// Divides by the Euclidean length, which is summed in double. A vector of zeros stays one.
inline void to_unit_length(std::span<float> vector) {
  double squares = 0;
  for (const float value : vector) squares += static_cast<double>(value) * value;
  const auto scale = static_cast<float>(1.0 / std::max(std::sqrt(squares), 1e-12));
  for (float& value : vector) value *= scale;
}

}  // namespace hanlin
