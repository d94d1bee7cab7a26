#include "tensor/arena.h"

#include <algorithm>

namespace hanlin {

uint8_t* Arena::allocate(size_t bytes) {
  bytes = std::max<size_t>(64, (bytes + 63) / 64 * 64);
  if (blocks_.empty() || used_ + bytes > blocks_.back().size()) {
    blocks_.emplace_back(std::max(bytes, std::max<size_t>(size_t{1} << 20, capacity_bytes())));
    HANLIN_CHECK(blocks_.back().data() != nullptr, "arena: the system refused the memory of a step");
    used_ = 0;
  }
  uint8_t* result = blocks_.back().data() + used_;
  used_ += bytes;
  return result;
}

void Arena::reset() {
  if (blocks_.size() > 1) {
    const size_t total = capacity_bytes();
    blocks_.clear();
    blocks_.emplace_back(total);
  }
  used_ = 0;
}

void Arena::rewind(Mark mark) {
  // A block opened after the mark stays: only space in the same block can be handed out again.
  if (!blocks_.empty() && mark.block == blocks_.size() - 1) used_ = mark.used;
}

size_t Arena::capacity_bytes() const {
  size_t total = 0;
  for (const AlignedBuffer& block : blocks_) total += block.size();
  return total;
}

}  // namespace hanlin
