// A tensor as it lies in a file: what both containers (GGUF, safetensors) hand out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace hanlin {

// A view: `data` points into the mapping of the file object it came from and lives as long as that object.
// Row-major: shape.back() is the contiguous dimension; blocks of quantised types run along it. `bytes` always equals
// what dtype and shape say. `data` is aligned for the element type in GGUF files; safetensors promise no alignment.
struct StoredTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  const uint8_t* data = nullptr;
  size_t bytes = 0;

  int64_t n_values() const {
    int64_t n = 1;
    for (const int64_t size : shape) n *= size;
    return n;
  }
};

}  // namespace hanlin
