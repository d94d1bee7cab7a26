// Activations as everything between backend and model passes them.
#pragma once

#include <cstdint>

#include "base/check.h"

namespace hanlin {

// A row-major f32 matrix [rows, cols] that somebody else owns; `stride` elements from one row to the next.
struct TensorView {
  float* data = nullptr;
  int64_t rows = 0, cols = 0, stride = 0;

  float* row(int64_t i) const { return data + i * stride; }
  // Columns [begin, begin + n).
  TensorView columns(int64_t begin, int64_t n) const {
    HANLIN_CHECK(begin >= 0 && n >= 0 && begin + n <= cols, "columns: range outside the matrix");
    return {data + begin, rows, n, stride};
  }
  // Rows [begin, begin + n).
  TensorView row_range(int64_t begin, int64_t n) const {
    HANLIN_CHECK(begin >= 0 && n >= 0 && begin + n <= rows, "row_range: range outside the matrix");
    return {row(begin), n, cols, stride};
  }
};

}  // namespace hanlin
