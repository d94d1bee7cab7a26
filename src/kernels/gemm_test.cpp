#include <fstream>

#include "kernels/test_util.h"

namespace hanlin::kernels::testing {
namespace {

class Gemm : public ::testing::TestWithParam<std::tuple<Isa, int>> {
 protected:
  const KernelTable& table() const { return kernel_table(std::get<0>(GetParam())); }
  const FormatInfo& info() const { return formats()[std::get<1>(GetParam())]; }
  bool quantised() const { return info().format > Packed::kBF16; }
};

// Which form of the activations a product takes.
enum class Form { kF32, kInt8, kInt16 };
const char* form_name(Form form) { return form == Form::kF32 ? "f32" : form == Form::kInt8 ? "int8" : "int16"; }

struct Activations {
  Activations(const KernelTable& table, int64_t m, int64_t k, uint32_t seed)
      : k(k), ldq(k + 32), table(table), x(random_floats(m * k, seed)), q(m * ldq), q16(m * ldq), scale(m * (k / 32)), scale16(m * (k / 32)), sum(m * (k / 16)), sum16(m * (k / 16)) {
    if (k % 32 != 0) return;
    table.quantize_rows(x.data(), k, m, k, q.data(), ldq, scale.data(), sum.data());
    table.quantize_rows16(x.data(), k, m, k, q16.data(), ldq, scale16.data(), sum16.data());
  }
  // What the product in `form` takes for value i of row `row`.
  double value(Form form, int64_t row, int64_t i) const {
    const int64_t at = row * k + i;
    if (form == Form::kF32) return x[at];
    if (form == Form::kInt8) return (double)scale[at / 32] * q[row * ldq + i];
    return (double)scale16[at / 32] * int16_value(table, &q16[row * ldq + i / 32 * 32], i % 32);
  }
  // The arguments' activations from row `row` on.
  void set(GemmArgs& args, int64_t row) const {
    args.x = x.data() + row * k;
    args.ldx = k;
    args.xq = {q.data() + row * ldq, ldq, scale.data() + row * (k / 32), sum.data() + row * (k / 16)};
    args.xq16 = {q16.data() + row * ldq, ldq, scale16.data() + row * (k / 32), sum16.data() + row * (k / 16)};
  }
  int64_t k, ldq;
  const KernelTable& table;
  std::vector<float> x;
  std::vector<int8_t> q;
  std::vector<int16_t> q16;
  std::vector<float> scale, scale16;
  std::vector<int32_t> sum, sum16;
};

// The product of a level, null where it has none for a format.
void (*gemm_of(const KernelTable& table, Form form, Packed format))(const GemmArgs&) {
  if (form == Form::kF32) return table.gemm_f32;
  if (format <= Packed::kBF16) return nullptr;
  if (form == Form::kInt16) return table.gemm_int16;
  return table.takes_int16(format) ? nullptr : table.gemm_int8;
}

constexpr float kUntouched = 12345.0f;

GemmArgs make_args(const TestMatrix& w, const Activations& a, int64_t m, float* y, int64_t ldy, void* scratch) {
  GemmArgs args = {};
  args.w = &w.matrix;
  a.set(args, 0);
  args.m = m;
  args.panel_begin = 0;
  args.panel_end = (w.n + kPanelRows - 1) / kPanelRows;
  args.y = y;
  args.ldy = ldy;
  args.scratch = scratch;
  return args;
}

void expect_gemm(const KernelTable& table, const TestMatrix& w, int64_t m, Form form, bool with_bias, double tolerance) {
  SCOPED_TRACE(std::string(w.info->name) + " " + isa_name(table.isa) + " " + form_name(form) + " m " + std::to_string(m) + " n " +
               std::to_string(w.n) + " k " + std::to_string(w.k));
  const Activations a(table, m, w.k, 77 + (uint32_t)m);
  const std::vector<float> bias = random_floats(w.n, 5);
  const int64_t ldy = w.n + 3;
  std::vector<float> y(m * ldy, kUntouched);
  Buffer<uint8_t> scratch(gemm_scratch_bytes(w.k));
  GemmArgs args = make_args(w, a, m, y.data(), ldy, scratch.data());
  args.bias = with_bias ? bias.data() : nullptr;
  gemm_of(table, form, w.info->format)(args);
  for (int64_t row = 0; row < m; ++row) {
    for (int64_t n = 0; n < w.n; ++n) {
      double expected = with_bias ? bias[n] : 0, magnitude = std::fabs(expected);
      for (int64_t k = 0; k < w.k; ++k) {
        const double x = a.value(form, row, k);
        expected += x * w.values[n * w.k + k];
        magnitude += std::fabs(x * w.values[n * w.k + k]);
      }
      ASSERT_NEAR(y[row * ldy + n], expected, tolerance * magnitude + 1e-30) << "row " << row << " output " << n;
    }
    for (int64_t n = w.n; n < ldy; ++n) ASSERT_EQ(y[row * ldy + n], kUntouched) << "written outside: row " << row << " column " << n;
  }
}

TEST_P(Gemm, TheForcedLevelRuns) { EXPECT_EQ(table().isa, std::get<0>(GetParam())); }

TEST_P(Gemm, F32AgreesWithDouble) {
  const int64_t unit = quantised() ? info().block : 1;
  for (const auto& [n, k] : std::vector<std::pair<int64_t, int64_t>>{{1, unit}, {16, unit * 2}, {37, unit * 3}, {50, std::max<int64_t>(unit, 32) * 5}}) {
    const auto w = random_matrix(info(), n, k, (uint32_t)(n * 1000 + k));
    for (int64_t m : {1, 2, 3, 5, 8, 13, 29}) expect_gemm(table(), *w, m, Form::kF32, m % 2 == 1, 1e-5);
  }
}

TEST_P(Gemm, F32TakesAnyInnerSizeOfFloatWeights) {
  if (quantised()) GTEST_SKIP() << "quantised formats have whole blocks";
  for (int64_t k : {1, 2, 3, 31, 33, 127}) {
    const auto w = random_matrix(info(), 20, k, (uint32_t)k);
    for (int64_t m : {1, 4, 14}) expect_gemm(table(), *w, m, Form::kF32, false, 1e-5);
  }
}

TEST_P(Gemm, Int8AgreesWithDouble) {
  if (!gemm_of(table(), Form::kInt8, info().format)) GTEST_SKIP() << "no 8-bit product here";
  const int64_t unit = info().block;
  for (const auto& [n, k] : std::vector<std::pair<int64_t, int64_t>>{{1, unit}, {16, unit * 2}, {37, unit * 3}, {70, std::max<int64_t>(unit, 64) * 5}}) {
    const auto w = random_matrix(info(), n, k, (uint32_t)(n * 1000 + k));
    for (int64_t m : {1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 31, 49}) expect_gemm(table(), *w, m, Form::kInt8, m % 2 == 1, 1e-5);
  }
}

TEST_P(Gemm, Int8ManyRowsAgreeWithDouble) {
  if (!gemm_of(table(), Form::kInt8, info().format)) GTEST_SKIP() << "no 8-bit product here";
  const auto w = random_matrix(info(), 18, 512, 3);
  expect_gemm(table(), *w, 600, Form::kInt8, false, 1e-5);
}

TEST_P(Gemm, Int16AgreesWithDouble) {
  if (!quantised()) GTEST_SKIP() << "weights are not quantised";
  const int64_t unit = info().block;
  for (const auto& [n, k] : std::vector<std::pair<int64_t, int64_t>>{{1, unit}, {16, unit * 2}, {37, unit * 3}, {70, std::max<int64_t>(unit, 64) * 5}}) {
    const auto w = random_matrix(info(), n, k, (uint32_t)(n * 1000 + k));
    for (int64_t m : {1, 2, 3, 4, 7, 8, 9, 13, 31, 49}) expect_gemm(table(), *w, m, Form::kInt16, m % 2 == 1, 1e-5);
  }
}

// A batch must answer each row as if it were alone, to the bit: the same seed gives the same text in any company. Kernels take
// few and many rows differently.
TEST_P(Gemm, RowsDoNotDependOnTheBatch) {
  const int64_t n = 90, k = 512, most = 45;
  const auto w = random_matrix(info(), n, k, 9);
  const Activations a(table(), most, k, 10);
  Buffer<uint8_t> scratch(gemm_scratch_bytes(k));
  for (const Form form : {Form::kF32, Form::kInt8, Form::kInt16}) {
    const auto gemm = gemm_of(table(), form, info().format);
    if (gemm == nullptr) continue;
    std::vector<float> alone(most * n);
    for (int64_t row = 0; row < most; ++row) {
      GemmArgs args = make_args(*w, a, 1, &alone[row * n], n, scratch.data());
      a.set(args, row);
      gemm(args);
    }
    for (const int64_t m : {2, 3, 5, 8, 45}) {
      std::vector<float> batch(m * n);
      gemm(make_args(*w, a, m, batch.data(), n, scratch.data()));
      for (int64_t i = 0; i < m * n; ++i) ASSERT_EQ(alone[i], batch[i]) << form_name(form) << ", row " << i / n << " of " << m << ", output " << i % n;
    }
  }
}

TEST_P(Gemm, PanelRangesAreWrittenAlone) {
  const int64_t n = 70, k = 256, m = 3;
  const auto w = random_matrix(info(), n, k, 19);
  const Activations a(table(), m, k, 20);
  Buffer<uint8_t> scratch(gemm_scratch_bytes(k));
  const auto int8 = gemm_of(table(), Form::kInt8, info().format);
  const auto gemm = int8 ? int8 : table().gemm_f32;
  std::vector<float> whole(m * n), part(m * n, kUntouched);
  gemm(make_args(*w, a, m, whole.data(), n, scratch.data()));
  GemmArgs args = make_args(*w, a, m, part.data(), n, scratch.data());
  args.panel_begin = 1;
  args.panel_end = 4;
  gemm(args);
  for (int64_t i = 0; i < m * n; ++i) {
    const int64_t column = i % n;
    ASSERT_EQ(part[i], column >= 16 && column < 64 ? whole[i] : kUntouched) << i;
  }
}

std::vector<char> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::vector<char>(std::istreambuf_iterator<char>(file), {});
}

// Unit vectors as activations make gemm_f32 print the decoded weights: they equal the reference decoder's to the bit.
TEST_P(Gemm, DecodesReferenceBlocksExactly) {
  constexpr int64_t kRows = 8, kColumns = 512;
  const std::string base = std::string(HANLIN_SOURCE_DIR "/../shared/oracles/quant/") + info().name;
  const auto bin = read_file(info().format == Packed::kF32 ? std::string(HANLIN_SOURCE_DIR "/../shared/oracles/quant/source.f32") : base + ".bin");
  const auto decoded = read_file(info().format == Packed::kF32 ? std::string(HANLIN_SOURCE_DIR "/../shared/oracles/quant/source.f32") : base + ".f32");
  if (bin.empty()) GTEST_SKIP() << "shared/oracles/quant is not here";
  ASSERT_EQ(bin.size(), (size_t)(kRows * source_row_bytes(info().format, kColumns)));
  ASSERT_EQ(decoded.size(), (size_t)(kRows * kColumns * 4));
  const auto w = pack_source(info(), kRows, kColumns, std::vector<uint8_t>(bin.begin(), bin.end()));
  std::vector<float> unit(kColumns * kColumns), y(kColumns * kRows), reference(kRows * kColumns);
  std::memcpy(reference.data(), decoded.data(), decoded.size());
  for (int64_t i = 0; i < kColumns; ++i) unit[i * kColumns + i] = 1;
  Buffer<uint8_t> scratch(gemm_scratch_bytes(kColumns));
  const Activations none(table(), 0, kColumns, 1);
  GemmArgs args = make_args(*w, none, kColumns, y.data(), kRows, scratch.data());
  args.x = unit.data();
  table().gemm_f32(args);
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t i = 0; i < kColumns; ++i) ASSERT_EQ(y[i * kRows + row], reference[row * kColumns + i]) << "row " << row << " value " << i;
  }
}

TEST(Pack, SizesAreNearTheFiles) {
  for (const FormatInfo& info : formats()) {
    const double packed = (double)packed_bytes(info.format, 64, 2048), file = 64.0 * source_row_bytes(info.format, 2048);
    EXPECT_LE(packed, file * 1.05) << info.name;
    EXPECT_EQ(panel_bytes(info.format, info.block) % 64, 0) << info.name;
  }
}

std::string param_name(const ::testing::TestParamInfo<std::tuple<Isa, int>>& info) {
  return std::string(isa_name(std::get<0>(info.param))) + "_" + formats()[std::get<1>(info.param)].name;
}

INSTANTIATE_TEST_SUITE_P(Levels, Gemm, ::testing::Combine(::testing::ValuesIn(supported_isas()), ::testing::Range(0, 15)), param_name);

}  // namespace
}  // namespace hanlin::kernels::testing
