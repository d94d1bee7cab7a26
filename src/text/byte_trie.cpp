#include "text/byte_trie.h"

#include <algorithm>
#include <cstddef>

#include "base/check.h"

namespace hanlin {

ByteTrie ByteTrie::build(std::vector<std::pair<std::string_view, int32_t>> entries) {
  std::sort(entries.begin(), entries.end());
  ByteTrie trie;
  // Breadth first: each node stands for a range of the sorted entries that share its `depth` first bytes.
  struct Range {
    size_t begin, end, depth;
  };
  std::vector<Range> ranges{{0, entries.size(), 0}};
  for (size_t node = 0; node < trie.nodes_.size(); ++node) {
    auto [begin, end, depth] = ranges[node];
    while (begin < end && entries[begin].first.size() == depth) {
      HANLIN_CHECK(depth > 0, "ByteTrie::build: empty string");
      if (trie.nodes_[node].value < 0) trie.nodes_[node].value = entries[begin].second;
      ++begin;
    }
    trie.nodes_[node].first_child = static_cast<int32_t>(trie.nodes_.size());
    while (begin < end) {
      const char label = entries[begin].first[depth];
      size_t last = begin;
      while (last < end && entries[last].first[depth] == label) ++last;
      Node child;
      child.label = static_cast<uint8_t>(label);
      trie.nodes_.push_back(child);
      ranges.push_back({begin, last, depth + 1});
      ++trie.nodes_[node].n_children;
      begin = last;
    }
  }
  for (int32_t i = 0; i < trie.nodes_[0].n_children; ++i) {
    const int32_t child = trie.nodes_[0].first_child + i;
    trie.root_[trie.nodes_[static_cast<size_t>(child)].label] = child;
  }
  return trie;
}

int32_t ByteTrie::child(int32_t node, uint8_t byte) const {
  if (node == 0) return root_[byte];
  const Node& parent = nodes_[static_cast<size_t>(node)];
  const Node* begin = nodes_.data() + parent.first_child;
  const Node* end = begin + parent.n_children;
  const Node* found = std::lower_bound(begin, end, byte, [](const Node& n, uint8_t b) { return n.label < b; });
  return found != end && found->label == byte ? static_cast<int32_t>(found - nodes_.data()) : -1;
}

}  // namespace hanlin
