// A compact trie over byte strings: all prefixes of a text that are known strings, found in one walk.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace hanlin {

// Immutable after build; any thread.
class ByteTrie {
 public:
  // `entries`: (string, value >= 0), strings not empty; of equal strings the lowest value wins. The strings need not outlive the call.
  static ByteTrie build(std::vector<std::pair<std::string_view, int32_t>> entries);

  // Calls fn(n_bytes, value) for each known string that is a prefix of `text`, shortest first.
  template <typename Fn>
  void for_each_prefix(std::string_view text, const Fn& fn) const {
    int32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      node = child(node, static_cast<uint8_t>(text[i]));
      if (node < 0) return;
      if (nodes_[static_cast<size_t>(node)].value >= 0) fn(i + 1, nodes_[static_cast<size_t>(node)].value);
    }
  }

  struct Match {
    size_t n_bytes = 0;  // 0: none
    int32_t value = -1;
  };
  Match longest_prefix(std::string_view text) const {
    Match best;
    for_each_prefix(text, [&best](size_t n_bytes, int32_t value) { best = {n_bytes, value}; });
    return best;
  }
  // Whether any known string starts with this byte.
  bool starts(uint8_t byte) const { return root_[byte] >= 0; }

 private:
  struct Node {
    int32_t first_child = 0;
    int32_t value = -1;
    uint16_t n_children = 0;
    uint8_t label = 0;
  };
  int32_t child(int32_t node, uint8_t byte) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);  // children of a node lie together, labels ascending
  std::array<int32_t, 256> root_ = [] {
    std::array<int32_t, 256> none;
    none.fill(-1);
    return none;
  }();
};

}  // namespace hanlin
