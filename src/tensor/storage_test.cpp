#include "tensor/storage.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <vector>

namespace hanlin {
namespace {

size_t resident_pages(const AlignedBuffer& buffer) {
  std::vector<unsigned char> pages(buffer.size() / 4096);
  EXPECT_EQ(::mincore(buffer.data(), buffer.size(), pages.data()), 0);
  size_t n = 0;
  for (const unsigned char page : pages) n += page & 1;
  return n;
}

TEST(AlignedBuffer, BacksMemoryBeforeItIsWritten) {
  const AlignedBuffer buffer(1 << 20);  // small enough for single pages
  ASSERT_NE(buffer.data(), nullptr);
  EXPECT_EQ(resident_pages(buffer), 0u);
  buffer.data()[5000] = 7;
  if (!buffer.back(4096, 3 * 4096)) GTEST_SKIP() << "this system cannot back memory ahead (Linux before 5.14)";
  EXPECT_EQ(resident_pages(buffer), 2u);
  EXPECT_EQ(buffer.data()[5000], 7);
  EXPECT_EQ(buffer.data()[4096], 0);
  EXPECT_TRUE(buffer.back(buffer.size() - 1, buffer.size() + 4096));  // cut at the end
  EXPECT_EQ(resident_pages(buffer), 3u);
}

}  // namespace
}  // namespace hanlin
