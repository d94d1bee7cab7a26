// The KV cache as the scheduler sees it: giving blocks to sequences, sharing them, taking them back.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/block_pool.h"
#include "engine/prefix_cache.h"
#include "engine/sequence.h"

namespace hanlin::engine {

struct KvSpaceOptions {
  int32_t n_blocks = 0;
  bool share_prefixes = true;
  // Above 0: a prompt longer than this rotates its keys by its own length (dynamic NTK), so its blocks are shared only
  // with prompts of the same length.
  int64_t dynamic_rope_context = 0;
};

// Block pool and prefix cache together. Precise sequences share blocks with precise ones only. Only full blocks are ever shared, so nothing needs to be copied when a sharer
// writes on. Owned by the engine thread.
class KvSpace {
 public:
  explicit KvSpace(const KvSpaceOptions& options);

  static int64_t blocks_for(int64_t n_tokens);
  const BlockPool& pool() const { return pool_; }

  // Cached blocks that a sequence without blocks could start from: never so many that no token remains to be computed,
  // and none whose logits it still owes.
  std::span<const int32_t> find(const Sequence& sequence);
  // Free blocks that would be left if the sequence took `found` and then all blocks for `n_tokens`; may be negative.
  int64_t free_after(const Sequence& sequence, std::span<const int32_t> found, int64_t n_tokens) const;
  // Gives the found blocks to the sequence; their tokens count as computed.
  void adopt(Sequence& sequence, std::span<const int32_t> found);

  // Takes free blocks until the sequence's table covers `n_tokens`. False: there were not enough; it keeps what it got.
  bool grow(Sequence& sequence, int64_t n_tokens);
  // Enters the sequence's full computed blocks into the prefix cache. A block that turns out to be a twin of a known one
  // is replaced by it and freed.
  void publish(Sequence& sequence);
  // Lets `sibling` (same prompt, no blocks yet) share the leader's full prompt blocks, up to the last prompt token.
  void fork(const Sequence& leader, Sequence& sibling);
  // Takes all blocks back; nothing of the sequence counts as computed any more.
  void release(Sequence& sequence);

 private:
  int64_t root_of(const Sequence& sequence) const;

  KvSpaceOptions options_;
  BlockPool pool_;
  PrefixCache cache_;
  std::vector<int32_t> found_;  // the last find()
};

}  // namespace hanlin::engine
