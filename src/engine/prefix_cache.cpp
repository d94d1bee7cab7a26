#include "engine/prefix_cache.h"

#include <algorithm>

#include "base/check.h"

namespace hanlin::engine {

PrefixCache::PrefixCache(int32_t n_blocks) : nodes_(static_cast<size_t>(n_blocks)) {
  by_hash_.reserve(static_cast<size_t>(n_blocks));
}

uint64_t PrefixCache::hash(int64_t parent, std::span<const int32_t> tokens) {
  // FNV-1a over 64-bit words, with a final mix: only spreads the nodes, equality is checked on the tokens.
  uint64_t h = 0xcbf29ce484222325ull ^ static_cast<uint64_t>(parent);
  for (int32_t token : tokens) h = (h ^ static_cast<uint32_t>(token)) * 0x100000001b3ull;
  h ^= h >> 32;
  return h * 0x9e3779b97f4a7c15ull;
}

int32_t PrefixCache::find_child(int64_t parent, std::span<const int32_t> tokens) const {
  const auto [begin, end] = by_hash_.equal_range(hash(parent, tokens));
  for (auto it = begin; it != end; ++it) {
    const Node& node = nodes_[static_cast<size_t>(it->second)];
    if (node.parent == parent && std::equal(tokens.begin(), tokens.end(), node.tokens.begin())) return it->second;
  }
  return -1;
}

void PrefixCache::find(int64_t root, std::span<const int32_t> tokens, std::vector<int32_t>& blocks) const {
  int64_t parent = root;
  for (size_t i = 0; i + kKvBlockTokens <= tokens.size(); i += kKvBlockTokens) {
    const int32_t block = find_child(parent, tokens.subspan(i, kKvBlockTokens));
    if (block < 0) return;
    blocks.push_back(block);
    parent = block;
  }
}

int32_t PrefixCache::insert(int64_t parent, std::span<const int32_t> tokens, int32_t block) {
  HANLIN_CHECK(tokens.size() == kKvBlockTokens, "a node holds exactly one block of tokens");
  HANLIN_CHECK(parent < 0 || contains(static_cast<int32_t>(parent)), "the parent is not in the tree");
  if (const int32_t twin = find_child(parent, tokens); twin >= 0) return twin;
  Node& node = nodes_[static_cast<size_t>(block)];
  HANLIN_CHECK(!node.is_used, "the block is in the tree already, with other tokens");
  node.is_used = true;
  node.parent = parent;
  std::copy(tokens.begin(), tokens.end(), node.tokens.begin());
  if (parent >= 0) ++nodes_[static_cast<size_t>(parent)].n_children;
  by_hash_.emplace(hash(parent, tokens), block);
  return block;
}

void PrefixCache::forget(int32_t block) {
  Node& node = nodes_[static_cast<size_t>(block)];
  HANLIN_CHECK(node.is_used, "the block is not in the tree");
  HANLIN_CHECK(node.n_children == 0, "a node goes before its children");
  const auto [begin, end] = by_hash_.equal_range(hash(node.parent, node.tokens));
  const auto it = std::find_if(begin, end, [block](const auto& entry) { return entry.second == block; });
  HANLIN_CHECK(it != end, "a node is missing from the index");
  by_hash_.erase(it);
  if (node.parent >= 0) --nodes_[static_cast<size_t>(node.parent)].n_children;
  node.is_used = false;
}

}  // namespace hanlin::engine
