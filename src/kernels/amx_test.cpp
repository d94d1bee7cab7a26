// The AMX kernel's index arithmetic, run over emulated tiles: results must be the VNNI kernel's to the bit, and nothing may
// be written outside the matrix.
#include "kernels/test_util.h"

namespace hanlin::kernels {
void fill_amx_emulated(KernelTable& table);  // amx/emulated.cpp, part of the tests only
}

namespace hanlin::kernels::testing {
namespace {

class AmxEmulated : public ::testing::TestWithParam<int> {};

void expect_same(const KernelTable& vnni, const KernelTable& amx, const TestMatrix& w, int64_t m, bool int16, bool with_bias) {
  SCOPED_TRACE(std::string(int16 ? "int16" : "int8") + " m " + std::to_string(m) + " n " + std::to_string(w.n) + " k " + std::to_string(w.k));
  const int64_t n = w.n, k = w.k, ldy = n + 5, ldq = k + 64;
  const auto x = random_floats(m * k, (uint32_t)m), bias = random_floats(n, 4);
  std::vector<int8_t> q(m * ldq);
  std::vector<int16_t> q16(m * ldq);
  std::vector<float> scale(m * k / 32), expected(m * ldy, -1.0f), actual(m * ldy, -1.0f);
  std::vector<int32_t> sum(m * k / 16);
  if (int16) vnni.quantize_rows16(x.data(), k, m, k, q16.data(), ldq, scale.data(), sum.data());
  else vnni.quantize_rows(x.data(), k, m, k, q.data(), ldq, scale.data(), sum.data());
  Buffer<uint8_t> scratch(gemm_scratch_bytes(k));
  GemmArgs args = {};
  args.w = &w.matrix;
  args.xq = {q.data(), ldq, scale.data(), sum.data()};
  args.xq16 = {q16.data(), ldq, scale.data(), sum.data()};
  args.m = m;
  args.panel_end = (n + kPanelRows - 1) / kPanelRows;
  args.bias = with_bias ? bias.data() : nullptr;
  args.ldy = ldy;
  args.scratch = scratch.data();
  args.y = expected.data();
  (int16 ? vnni.gemm_int16 : vnni.gemm_int8)(args);
  args.y = actual.data();
  (int16 ? amx.gemm_int16 : amx.gemm_int8)(args);
  for (int64_t i = 0; i < m * ldy; ++i) ASSERT_EQ(actual[i], expected[i]) << "row " << i / ldy << " column " << i % ldy;
}

TEST_P(AmxEmulated, AgreesWithVnniToTheBit) {
  if (!isa_supported(Isa::kAvx512)) GTEST_SKIP() << "the folding needs AVX-512";
  const FormatInfo& info = formats()[GetParam()];
  const KernelTable& vnni = kernel_table(Isa::kAvx512);
  KernelTable amx = vnni;
  fill_amx_emulated(amx);
  ASSERT_NE(amx.gemm_int8, vnni.gemm_int8);
  ASSERT_NE(amx.gemm_int16, vnni.gemm_int16);
  const auto one_panel = random_matrix(info, 13, info.block, 1), three = random_matrix(info, 41, info.block * 2, 2), four = random_matrix(info, 64, 512, 3);
  for (const bool int16 : {false, true}) {
    for (int64_t m : {1, 8, 15, 16, 17, 31, 32, 33, 48, 50}) {
      expect_same(vnni, amx, *one_panel, m, int16, false);
      expect_same(vnni, amx, *three, m, int16, true);
    }
    for (int64_t m : {256, 257, 271, 272, 300, 530}) expect_same(vnni, amx, *four, m, int16, m % 2 == 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, AmxEmulated, ::testing::Range(3, 15), [](const auto& info) { return std::string(formats()[info.param].name); });

}  // namespace
}  // namespace hanlin::kernels::testing
