// The KV blocks of one model: who may use which.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hanlin::engine {

// Blocks 0 … n-1, each with a count of references. Blocks without references are free and wait in a list; its front is
// reused first. A block released as "kept" has contents that somebody may want again: it goes to the back of the list,
// so the list is the order of eviction, least recently used first. Owned by the engine thread.
class BlockPool {
 public:
  explicit BlockPool(int32_t n_blocks);

  int32_t n_total() const { return n_blocks_; }
  int32_t n_free() const { return n_free_; }
  int32_t n_used() const { return n_blocks_ - n_free_; }
  int32_t n_kept() const { return n_kept_; }  // of the free ones
  int32_t references(int32_t block) const { return references_[static_cast<size_t>(block)]; }

  // The free block at the front, now with one reference; -1 if none is free.
  int32_t take();
  // One more reference; a free block leaves the list.
  void retain(int32_t block);
  // One reference less. At none the block becomes free: at the back if `keep`, else at the front.
  void release(int32_t block, bool keep);

 private:
  void link(int32_t block, int32_t before);
  void unlink(int32_t block);

  int32_t n_blocks_;
  int32_t n_free_ = 0;
  int32_t n_kept_ = 0;
  std::vector<int32_t> references_;   // [n]
  std::vector<bool> kept_;            // [n], of free blocks
  std::vector<int32_t> next_, prev_;  // [n + 1]: a ring through the free blocks; entry n is its head
};

}  // namespace hanlin::engine
