#include "tensor/arena.h"

#include <gtest/gtest.h>

namespace hanlin {
namespace {

TEST(Arena, HandsOutAlignedDisjointMemoryAndMergesOnReset) {
  Arena arena;
  for (int round = 0; round < 3; ++round) {
    std::vector<TensorView> views;
    for (int64_t i = 1; i <= 40; ++i) {
      TensorView view = arena.matrix(i, 997);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(view.data) % 64, 0u);
      for (int64_t r = 0; r < view.rows; ++r) std::fill_n(view.row(r), view.cols, static_cast<float>(i));
      views.push_back(view);
    }
    for (int64_t i = 1; i <= 40; ++i) {
      EXPECT_EQ(views[static_cast<size_t>(i - 1)].row(i - 1)[996], static_cast<float>(i));
      EXPECT_EQ(views[static_cast<size_t>(i - 1)].row(0)[0], static_cast<float>(i));
    }
    const size_t before = arena.capacity_bytes();
    arena.reset();
    if (round > 0) {
      EXPECT_EQ(arena.capacity_bytes(), before);
    }
  }
}

TEST(Arena, RewindReusesTheSameMemory) {
  Arena arena;
  arena.matrix(1, 16);
  const auto mark = arena.mark();
  float* first = arena.matrix(2, 16).data;
  arena.rewind(mark);
  EXPECT_EQ(arena.matrix(2, 16).data, first);
}

}  // namespace
}  // namespace hanlin
