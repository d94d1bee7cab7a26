// The heart of byte-pair encoding: joining neighbouring symbols, best pair first, leftmost first among equals.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <string_view>
#include <vector>

namespace hanlin {

struct MergeSymbol {
  uint32_t begin, n_bytes;  // in the piece
  int32_t id;               // token, or negative for a character without one
};

// What joining two neighbours gives; lower ranks go first, id < 0 means they do not join.
struct MergeResult {
  uint32_t rank = 0;
  int32_t id = -1;
};

// Joins in place and returns the new number of symbols. Quadratic in `n` with a very small constant: for words.
// find(left, right) -> MergeResult.
inline constexpr size_t kMaxSmallMerge = 40;
template <typename Find>
size_t merge_few(MergeSymbol* symbols, size_t n, const Find& find) {
  constexpr uint32_t kNone = UINT32_MAX;
  uint32_t ranks[kMaxSmallMerge];
  int32_t ids[kMaxSmallMerge];
  const auto look = [&](size_t i) {
    const MergeResult result = find(symbols[i], symbols[i + 1]);
    ids[i] = result.id;
    ranks[i] = result.id < 0 ? kNone : result.rank;
  };
  for (size_t i = 0; i + 1 < n; ++i) look(i);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (ranks[best] == kNone) break;
    symbols[best].n_bytes += symbols[best + 1].n_bytes;
    symbols[best].id = ids[best];
    for (size_t i = best + 1; i + 1 < n; ++i) {
      symbols[i] = symbols[i + 1];
      ranks[i] = ranks[i + 1];
      ids[i] = ids[i + 1];
    }
    --n;
    if (best > 0) look(best - 1);
    if (best + 1 < n) look(best);
  }
  return n;
}

// The same for any length, with a heap: n log n.
template <typename Find>
void merge_many(std::vector<MergeSymbol>& symbols, const Find& find) {
  constexpr uint32_t kEnd = UINT32_MAX;
  struct Candidate {
    uint64_t key;      // rank, then position
    uint32_t n_bytes;  // of both symbols together: tells an outdated candidate
    int32_t id;
    bool operator>(const Candidate& other) const { return key > other.key; }
  };
  const auto n = static_cast<uint32_t>(symbols.size());
  std::vector<uint32_t> previous(n), next(n);
  for (uint32_t i = 0; i < n; ++i) {
    previous[i] = i == 0 ? kEnd : i - 1;
    next[i] = i + 1 == n ? kEnd : i + 1;
  }
  std::vector<Candidate> candidates;
  const auto candidate = [&](uint32_t left) -> Candidate {
    const uint32_t right = next[left];
    const MergeResult result = find(symbols[left], symbols[right]);
    return {(uint64_t{result.rank} << 32) | left, symbols[left].n_bytes + symbols[right].n_bytes, result.id};
  };
  for (uint32_t i = 0; i + 1 < n; ++i) {
    if (const Candidate c = candidate(i); c.id >= 0) candidates.push_back(c);
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue(std::greater<>(), std::move(candidates));
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    const auto left = static_cast<uint32_t>(best.key);
    const uint32_t right = next[left];
    // Symbols only grow, by whole neighbours: equal total size means that both are as they were. A symbol that was
    // joined to its left has size 0.
    if (right == kEnd || symbols[left].n_bytes == 0 || symbols[left].n_bytes + symbols[right].n_bytes != best.n_bytes) continue;
    symbols[left].n_bytes = best.n_bytes;
    symbols[left].id = best.id;
    symbols[right].n_bytes = 0;
    next[left] = next[right];
    if (next[left] != kEnd) previous[next[left]] = left;
    if (previous[left] != kEnd) {
      if (const Candidate c = candidate(previous[left]); c.id >= 0) queue.push(c);
    }
    if (next[left] != kEnd) {
      if (const Candidate c = candidate(left); c.id >= 0) queue.push(c);
    }
  }
  size_t n_left = 0;
  for (const MergeSymbol& symbol : symbols) {
    if (symbol.n_bytes != 0) symbols[n_left++] = symbol;
  }
  symbols.resize(n_left);
}

}  // namespace hanlin
