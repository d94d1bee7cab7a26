#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <numeric>

namespace hanlin::engine {
namespace {

std::vector<int32_t> iota_tokens(int32_t first, size_t n) {
  std::vector<int32_t> tokens(n);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}
std::vector<int32_t> find(const PrefixCache& cache, const std::vector<int32_t>& tokens, int64_t root = PrefixCache::kRoot) {
  std::vector<int32_t> blocks;
  cache.find(root, tokens, blocks);
  return blocks;
}

TEST(PrefixCache, FindsTheLongestBeginningInWholeBlocks) {
  PrefixCache cache(8);
  const std::vector<int32_t> tokens = iota_tokens(0, 96);
  EXPECT_EQ(cache.insert(PrefixCache::kRoot, std::span(tokens).subspan(0, 32), 5), 5);
  EXPECT_EQ(cache.insert(5, std::span(tokens).subspan(32, 32), 2), 2);
  EXPECT_EQ(find(cache, tokens), (std::vector<int32_t>{5, 2}));
  EXPECT_EQ(find(cache, iota_tokens(0, 63)), (std::vector<int32_t>{5}));
  EXPECT_EQ(find(cache, iota_tokens(0, 31)), (std::vector<int32_t>{}));
  EXPECT_EQ(find(cache, iota_tokens(1, 96)), (std::vector<int32_t>{}));
}

TEST(PrefixCache, EqualTokensAfterDifferentBeginningsAreDifferent) {
  PrefixCache cache(8);
  const std::vector<int32_t> a = iota_tokens(0, 32), b = iota_tokens(100, 32), tail = iota_tokens(500, 32);
  cache.insert(PrefixCache::kRoot, a, 0);
  cache.insert(PrefixCache::kRoot, b, 1);
  cache.insert(0, tail, 2);
  EXPECT_EQ(cache.insert(1, tail, 3), 3);
  std::vector<int32_t> text = b;
  text.insert(text.end(), tail.begin(), tail.end());
  EXPECT_EQ(find(cache, text), (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(find(cache, a, PrefixCache::kRoot - 7), (std::vector<int32_t>{}));  // another root
}

TEST(PrefixCache, NamesTheTwinThatWasThereFirst) {
  PrefixCache cache(8);
  const std::vector<int32_t> tokens = iota_tokens(0, 32);
  cache.insert(PrefixCache::kRoot, tokens, 4);
  EXPECT_EQ(cache.insert(PrefixCache::kRoot, tokens, 6), 4);
  EXPECT_FALSE(cache.contains(6));
  cache.forget(4);
  EXPECT_EQ(find(cache, tokens), (std::vector<int32_t>{}));
  EXPECT_EQ(cache.insert(PrefixCache::kRoot, tokens, 6), 6);
  EXPECT_EQ(cache.n_nodes(), 1);
}

TEST(PrefixCacheDeathTest, ANodeStaysWhileItHasChildren) {
  PrefixCache cache(8);
  cache.insert(PrefixCache::kRoot, iota_tokens(0, 32), 0);
  cache.insert(0, iota_tokens(32, 32), 1);
  EXPECT_DEATH(cache.forget(0), "before its children");
  cache.forget(1);
  cache.forget(0);
  EXPECT_EQ(cache.n_nodes(), 0);
}

}  // namespace
}  // namespace hanlin::engine
