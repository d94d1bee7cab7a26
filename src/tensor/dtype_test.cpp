#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hanlin {
namespace {

TEST(DType, TableIsIndexedByItsEnum) {
  for (int i = 0; i <= static_cast<int>(DType::kBool); ++i) EXPECT_EQ(static_cast<int>(dtype_info(static_cast<DType>(i)).dtype), i);
  EXPECT_EQ(find_dtype("q4_k")->dtype, DType::kQ4_K);
  EXPECT_EQ(find_dtype("q9"), nullptr);
  EXPECT_EQ(row_bytes(DType::kQ6_K, 512), 420);
}

TEST(DType, HalfRoundTripsEveryValue) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = f16_to_f32(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(value))));
    } else {
      EXPECT_EQ(f32_to_f16(value), bits);
    }
    const float b = bf16_to_f32(static_cast<uint16_t>(bits));
    if (std::isnan(b)) {
      EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(b))));
    } else {
      EXPECT_EQ(f32_to_bf16(b), bits);
    }
  }
}

TEST(DType, HalfRoundsToNearestEven) {
  EXPECT_EQ(f32_to_f16(1.0f + 0x1.0p-11f), f32_to_f16(1.0f));                // tie goes to even
  EXPECT_EQ(f32_to_f16(1.0f + 3 * 0x1.0p-11f), f32_to_f16(1.0f) + 2);        // tie goes to even, upwards
  EXPECT_EQ(f32_to_f16(65519.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_bf16(1.0f + 0x1.0p-8f), f32_to_bf16(1.0f));
}

}  // namespace
}  // namespace hanlin
