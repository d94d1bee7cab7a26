// What a compiled JSON grammar consists of: for every kind of value the sets of values that are allowed. Plain data,
// immutable once the ProgramBuilder is done; safe to share between threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "grammar/dfa.h"
#include "grammar/number.h"

namespace hanlin::grammar {

constexpr int kMaxWitnesses = 4;   // conditions "some property …" or "so many items …" of one object or array
constexpr int kMaxOtherNames = 256;  // undeclared properties of one object

// Strings: an automaton and bounds on the number of code points.
struct StringRule {
  int32_t dfa = 0;
  int64_t min = 0, max = kMaxLength;
  bool universal = false;
  std::vector<int32_t> costs;  // [states]: bytes to the end of the text without regard to length
  // [length][states] for automata that are not universal but bounded: bytes to an end that keeps the bounds. Lengths
  // above `min` count as `min` when there is no maximum.
  std::vector<int32_t> table;
  int32_t n_states = 0;

  static constexpr int64_t kMaxLength = int64_t{1} << 40;
  bool has_max() const { return max < kMaxLength; }
  int64_t clamp(int64_t length) const { return has_max() ? length : std::min(length, min); }
  // Fewest bytes (without the quote) to an end, or kInfinite.
  int32_t rest(int32_t q, int64_t length) const {
    if (length > max) return kInfinite;
    if (universal) return static_cast<int32_t>(std::min<int64_t>(std::max<int64_t>(0, min - length), kInfinite));
    if (table.empty()) return costs[static_cast<size_t>(q)];
    return table[static_cast<size_t>(clamp(length) * n_states + q)];
  }
};

// "At least min and at most max items with index in [from, to) are such that …"
struct ItemCount {
  int64_t from = 0, to = 0, min = 0, max = 0;
  bool has_max = false;
};

struct ArrayRule {
  int64_t min = 0, max = 0;
  bool has_max = false;
  bool unique = false;
  std::vector<ItemCount> counts;
  // Specs of the item at an index (the last entry stands for all further ones), by choice for each count:
  // digit c of `code` in base 3 is 0 (no matter), 1 (is not such an item), 2 (is one).
  std::vector<std::vector<int32_t>> items;
  const std::vector<int32_t>& item(int64_t index) const {
    return items[static_cast<size_t>(std::min<int64_t>(index, static_cast<int64_t>(items.size()) - 1))];
  }
};

// A property: by subset of the witnesses that it stands for, the spec of its value.
struct PropertyRule {
  std::string name;           // of declared ones
  std::vector<int32_t> name_costs = {0};  // [characters + 1]: from each character to the end of the name, without quotes
  bool required = false;
  int32_t other_label = -1;   // what the automaton of undeclared names says of this one
  uint8_t witness_mask = 0;   // witnesses that it may stand for
  std::vector<int32_t> specs; // [1] or [2^n_witnesses]
  int32_t spec(uint8_t subset) const { return specs.size() == 1 ? specs[0] : specs[subset]; }
};

struct ObjectRule {
  // Declared properties, in the order in which they are written.
  std::vector<PropertyRule> names;
  // Trie over their names; names below a node: sorted[first .. last).
  struct TrieNode {
    int32_t first_edge = 0, n_edges = 0;
    int32_t name = -1;
    int32_t first = 0, last = 0;
    int32_t depth = 0;  // characters
  };
  struct TrieEdge {
    uint32_t cp;
    int32_t to;
  };
  std::vector<TrieNode> trie;
  std::vector<TrieEdge> trie_edges;
  std::vector<int32_t> sorted;
  // All other names: labels of `others` are indexes of `classes`. No text at all: none allowed.
  int32_t others = -1;  // dfa
  bool others_total = false;  // every text has a label: any name that is not declared is of some class
  std::vector<PropertyRule> classes;
  std::vector<std::vector<int32_t>> class_costs;  // [class][state]
  std::vector<std::vector<int32_t>> fresh_costs;  // [class][k]: bytes of the k-th cheapest name
  int32_t n_witnesses = 0;
  int64_t min = 0, max = 0;
  bool has_max = false;
  bool any_order = false;
  std::vector<int32_t> cheapest;  // optional names, by cost
};

// The values allowed at one place.
struct Spec {
  int32_t cost = kInfinite;  // bytes of the shortest
  bool null_ok = false, true_ok = false, false_ok = false;
  std::vector<int32_t> numbers, strings, arrays, objects;
};

struct Program {
  std::vector<Spec> specs;
  std::vector<NumberSet> numbers;
  std::vector<StringRule> strings;
  std::vector<ArrayRule> arrays;
  std::vector<ObjectRule> objects;
  std::vector<Dfa> dfas;
  int32_t root = 0;
};

}  // namespace hanlin::grammar
