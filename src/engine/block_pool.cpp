#include "engine/block_pool.h"

#include "base/check.h"

namespace hanlin::engine {

BlockPool::BlockPool(int32_t n_blocks)
    : n_blocks_(n_blocks),
      references_(static_cast<size_t>(n_blocks)),
      kept_(static_cast<size_t>(n_blocks)),
      next_(static_cast<size_t>(n_blocks) + 1, n_blocks),
      prev_(static_cast<size_t>(n_blocks) + 1, n_blocks) {
  for (int32_t block = 0; block < n_blocks; ++block) link(block, n_blocks_);
}

void BlockPool::link(int32_t block, int32_t before) {
  const int32_t after = prev_[static_cast<size_t>(before)];
  next_[static_cast<size_t>(block)] = before;
  prev_[static_cast<size_t>(block)] = after;
  next_[static_cast<size_t>(after)] = block;
  prev_[static_cast<size_t>(before)] = block;
  ++n_free_;
}

void BlockPool::unlink(int32_t block) {
  const int32_t next = next_[static_cast<size_t>(block)];
  const int32_t prev = prev_[static_cast<size_t>(block)];
  next_[static_cast<size_t>(prev)] = next;
  prev_[static_cast<size_t>(next)] = prev;
  --n_free_;
  if (kept_[static_cast<size_t>(block)]) --n_kept_;
  kept_[static_cast<size_t>(block)] = false;
}

int32_t BlockPool::take() {
  if (n_free_ == 0) return -1;
  const int32_t block = next_[static_cast<size_t>(n_blocks_)];
  retain(block);
  return block;
}

void BlockPool::retain(int32_t block) {
  if (references_[static_cast<size_t>(block)]++ == 0) unlink(block);
}

void BlockPool::release(int32_t block, bool keep) {
  int32_t& references = references_[static_cast<size_t>(block)];
  HANLIN_CHECK(references > 0, "block " + std::to_string(block) + " released more often than retained");
  if (--references > 0) return;
  link(block, keep ? n_blocks_ : next_[static_cast<size_t>(n_blocks_)]);
  kept_[static_cast<size_t>(block)] = keep;
  if (keep) ++n_kept_;
}

}  // namespace hanlin::engine
