// Memory of one step.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/storage.h"
#include "tensor/tensor_view.h"

namespace hanlin {

// Hands out activations that live until reset(). Grows by whole blocks when a step needs more than any before it; after
// reset() the blocks are merged into one, so a steady state never allocates. One thread.
class Arena {
 public:
  // Uninitialised memory, 64-byte aligned.
  uint8_t* allocate(size_t bytes);
  // A dense matrix; contents undefined.
  TensorView matrix(int64_t rows, int64_t cols) {
    return {reinterpret_cast<float*>(allocate(static_cast<size_t>(rows * cols) * sizeof(float))), rows, cols, cols};
  }
  // Forgets everything handed out since the last reset.
  void reset();
  // Position to return to: memory handed out after mark() is free again after rewind(mark). Within one step.
  struct Mark {
    size_t block, used;
  };
  Mark mark() const { return {blocks_.empty() ? 0 : blocks_.size() - 1, used_}; }
  void rewind(Mark mark);
  size_t capacity_bytes() const;

 private:
  std::vector<AlignedBuffer> blocks_;
  size_t used_ = 0;  // of the last block
};

}  // namespace hanlin
