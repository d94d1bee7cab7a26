// The bytes of packed panels: kept in files between starts, so that they may only change together with kLayoutVersion.
// That they mean the right numbers is gemm_test.cpp's business.
#include "kernels/test_util.h"

namespace hanlin::kernels::testing {
namespace {

// FNV-1a over the packed form of pseudo-random source bytes: 53 rows of 768 numbers, the last panel partly empty.
uint64_t packed_hash(Packed format) {
  constexpr int64_t kRows = 53, kColumns = 768;
  const int64_t stride = source_row_bytes(format, kColumns), panel = panel_bytes(format, kColumns);
  std::vector<uint8_t> source((size_t)(kRows * stride)), packed((size_t)packed_bytes(format, kRows, kColumns), 0xee);
  uint32_t state = 1;
  for (uint8_t& byte : source) {
    state = state * 1664525u + 1013904223u;
    byte = (uint8_t)(state >> 24);
  }
  for (int64_t row = 0; row < kRows; row += kPanelRows) {
    pack_panel(format, source.data() + row * stride, stride, (int)std::min<int64_t>(kPanelRows, kRows - row), kColumns,
               packed.data() + row / kPanelRows * panel);
  }
  uint64_t hash = 14695981039346656037ull;
  for (const uint8_t byte : packed) hash = (hash ^ byte) * 1099511628211ull;
  return hash;
}

TEST(Pack, BytesAreThoseOfTheLayoutVersion) {
  ASSERT_EQ(layout_version(), 1) << "the layout changed: record the new version and its hashes here";
  const std::pair<Packed, uint64_t> recorded[] = {
      {Packed::kF32, 0xce2883faaff8539e},
      {Packed::kF16, 0xea2f29ddc41b1799},
      {Packed::kBF16, 0x7442c767d0329535},
      {Packed::kQ4_0, 0xb131dd09972e6b36},
      {Packed::kQ4_1, 0x0464f565d150db36},
      {Packed::kQ5_0, 0xdd5f6aa3f0ad6898},
      {Packed::kQ5_1, 0x33a2e2f9ddd27f34},
      {Packed::kQ8_0, 0xed593a81bd8fad6b},
      {Packed::kQ2_K, 0x1c7c709763508feb},
      {Packed::kQ3_K, 0x32ec1e5100575763},
      {Packed::kQ4_K, 0xcf3f1a8c845b76a8},
      {Packed::kQ5_K, 0xb4657d3052c05d3a},
      {Packed::kQ6_K, 0x65e626ddfaf2fbe1},
      {Packed::kIQ4_NL, 0xb131dd09972e6b36},
      {Packed::kIQ4_XS, 0x84a3c8d0dab84f32},
  };
  ASSERT_EQ(std::size(recorded), formats().size());
  for (const auto& [format, hash] : recorded) {
    EXPECT_EQ(packed_hash(format), hash) << formats()[(size_t)format].name
                                         << ": packed bytes changed: count kLayoutVersion (layout.h) up, or files with packed weights go wrong";
  }
}

}  // namespace
}  // namespace hanlin::kernels::testing
