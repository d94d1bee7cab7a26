// Which block already holds the keys and values of which beginning of a text.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "model/batch.h"

namespace hanlin::engine {

// A radix tree over token prefixes whose edges are whole blocks of 32 tokens. A node is a block: it stands for the
// tokens on the path from its root, and only for them, so equal tokens after different beginnings are different nodes.
// Free blocks stay in the tree until they are reused. Tokens are compared, never trusted to a hash.
//
// A node may only go when it has no children. This holds when every user of a block also holds all blocks before it and
// gives them back last first: then a child always becomes free, and is reused, before its parent.
//
// Memory is bounded by the number of blocks. Owned by the engine thread.
class PrefixCache {
 public:
  // A root is a negative number: texts under different roots share nothing (their keys are rotated differently).
  static constexpr int64_t kRoot = -1;

  explicit PrefixCache(int32_t n_blocks);

  // Appends to `blocks` the nodes that hold the longest known beginning of `tokens` in whole blocks.
  void find(int64_t root, std::span<const int32_t> tokens, std::vector<int32_t>& blocks) const;
  // Enters `block`, which holds `tokens` (32 of them), below `parent` (a node or a root). Returns the node for these
  // tokens: `block`, or its twin that was entered before (then `block` stays outside the tree).
  int32_t insert(int64_t parent, std::span<const int32_t> tokens, int32_t block);
  bool contains(int32_t block) const { return nodes_[static_cast<size_t>(block)].is_used; }
  // Takes the node out: its block is about to get other contents.
  void forget(int32_t block);
  int64_t n_nodes() const { return static_cast<int64_t>(by_hash_.size()); }

 private:
  struct Node {
    bool is_used = false;
    int32_t n_children = 0;
    int64_t parent = kRoot;
    std::array<int32_t, kKvBlockTokens> tokens = {};
  };
  static uint64_t hash(int64_t parent, std::span<const int32_t> tokens);
  int32_t find_child(int64_t parent, std::span<const int32_t> tokens) const;

  std::vector<Node> nodes_;  // [n_blocks]
  std::unordered_multimap<uint64_t, int32_t> by_hash_;
};

}  // namespace hanlin::engine
