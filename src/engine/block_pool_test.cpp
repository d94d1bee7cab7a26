#include "engine/block_pool.h"

#include <gtest/gtest.h>

namespace hanlin::engine {
namespace {

TEST(BlockPool, GivesEachBlockOnceAndThenNone) {
  BlockPool pool(3);
  EXPECT_EQ(pool.take(), 0);
  EXPECT_EQ(pool.take(), 1);
  EXPECT_EQ(pool.take(), 2);
  EXPECT_EQ(pool.take(), -1);
  EXPECT_EQ(pool.n_used(), 3);
}

TEST(BlockPool, ReusesUnkeptBlocksFirstThenTheLeastRecentlyReleased) {
  BlockPool pool(4);
  for (int i = 0; i < 4; ++i) pool.take();
  pool.release(2, true);
  pool.release(0, true);
  pool.release(3, false);
  pool.release(1, true);
  EXPECT_EQ(pool.n_kept(), 3);
  EXPECT_EQ(pool.take(), 3);
  EXPECT_EQ(pool.take(), 2);
  EXPECT_EQ(pool.take(), 0);
  EXPECT_EQ(pool.take(), 1);
  EXPECT_EQ(pool.n_kept(), 0);
}

TEST(BlockPool, ABlockIsFreeOnlyWhenEveryReferenceIsGone) {
  BlockPool pool(1);
  const int32_t block = pool.take();
  pool.retain(block);
  pool.release(block, true);
  EXPECT_EQ(pool.n_free(), 0);
  pool.release(block, true);
  EXPECT_EQ(pool.n_free(), 1);
  pool.retain(block);  // found again in the prefix cache
  EXPECT_EQ(pool.n_free(), 0);
  EXPECT_EQ(pool.n_kept(), 0);
}

TEST(BlockPoolDeathTest, StopsWhenABlockIsReleasedTwice) {
  BlockPool pool(1);
  pool.take();
  pool.release(0, false);
  EXPECT_DEATH(pool.release(0, false), "released more often");
}

}  // namespace
}  // namespace hanlin::engine
