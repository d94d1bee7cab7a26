#include "quant/quant.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/mmap_file.h"
#include "base/rng.h"

namespace hanlin {
namespace {

constexpr int kRows = 8, kColumns = 512;

std::string oracle(const std::string& name) { return std::string(HANLIN_SOURCE_DIR "/../shared/oracles/quant/") + name; }

std::vector<float> load_floats(const std::string& path) {
  const std::string bytes = read_file(path).value();
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

double rms_error(const float* a, const float* b, int n) {
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  return std::sqrt(sum / n);
}

std::vector<float> round_trip(DType dtype, const std::vector<float>& values, const float* importance = nullptr) {
  const auto n = static_cast<int64_t>(values.size());
  std::vector<uint8_t> bytes(static_cast<size_t>(row_bytes(dtype, n)));
  encode_row(dtype, values.data(), n, bytes.data(), importance);
  std::vector<float> decoded(values.size());
  decode_row(dtype, bytes.data(), n, decoded.data());
  return decoded;
}

// The types in three groups: plain floats, those that round to nearest, and those that search for their scales.
const auto kFloats = ::testing::Values(DType::kF16, DType::kBF16);
const auto kPlain = ::testing::Values(DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1);
const auto kSearching = ::testing::Values(DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS);
std::string type_name(const ::testing::TestParamInfo<DType>& info) { return std::string(dtype_info(info.param).name); }

class QuantOracle : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(oracle("source.f32"))) GTEST_SKIP() << "the shared reference rows are not here";
  }
  std::string name() const { return std::string(dtype_info(GetParam()).name); }
};
class PlainQuantOracle : public QuantOracle {};

TEST_P(QuantOracle, DecodesToTheBit) {
  const std::string bytes = read_file(oracle(name() + ".bin")).value();
  const std::vector<float> expected = load_floats(oracle(name() + ".f32"));
  ASSERT_EQ(bytes.size(), static_cast<size_t>(row_bytes(GetParam(), kRows * kColumns)));
  std::vector<float> decoded(expected.size());
  decode_row(GetParam(), bytes.data(), kRows * kColumns, decoded.data());
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(decoded[i]), std::bit_cast<uint32_t>(expected[i])) << name() << " value " << i;
  }
}

TEST_P(QuantOracle, EncodesAsWellAsTheReference) {
  const DType dtype = GetParam();
  const std::vector<float> source = load_floats(oracle("source.f32")), reference = load_floats(oracle(name() + ".f32"));
  const std::vector<float> decoded = round_trip(dtype, source);
  const double tolerance = 1.03;
  for (int row = 0; row < kRows; ++row) {
    const float *x = source.data() + row * kColumns, *ours = decoded.data() + row * kColumns, *theirs = reference.data() + row * kColumns;
    const double error = rms_error(x, ours, kColumns), reference_error = rms_error(x, theirs, kColumns);
    RecordProperty("row" + std::to_string(row), std::to_string(error / reference_error));
    EXPECT_LE(error, reference_error * tolerance) << name() << " row " << row;
  }
}

TEST_P(PlainQuantOracle, EncodesToTheSameBytes) {
  const DType dtype = GetParam();
  const std::string expected = read_file(oracle(name() + ".bin")).value();
  const std::vector<float> source = load_floats(oracle("source.f32"));
  std::vector<uint8_t> bytes(expected.size());
  encode_row(dtype, source.data(), kRows * kColumns, bytes.data());
  for (size_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], static_cast<uint8_t>(expected[i])) << name() << " byte " << i;
}

INSTANTIATE_TEST_SUITE_P(Floats, QuantOracle, kFloats, type_name);
INSTANTIATE_TEST_SUITE_P(Plain, QuantOracle, kPlain, type_name);
INSTANTIATE_TEST_SUITE_P(Searching, QuantOracle, kSearching, type_name);
INSTANTIATE_TEST_SUITE_P(Floats, PlainQuantOracle, kFloats, type_name);
INSTANTIATE_TEST_SUITE_P(Plain, PlainQuantOracle, kPlain, type_name);

class Quant : public ::testing::TestWithParam<DType> {};
class SearchingQuant : public ::testing::TestWithParam<DType> {};

TEST_P(Quant, ErrorIsBoundedAtEveryMagnitude) {
  // Relative to the row's root mean square, for normally distributed values; generous, so that it fails for mistakes only.
  const int64_t bits = dtype_info(GetParam()).bytes * 8 / dtype_info(GetParam()).block;
  const double bound = bits >= 16 ? 0.005 : bits >= 8 ? 0.01 : bits >= 6 ? 0.04 : bits >= 5 ? 0.08 : bits >= 4 ? 0.12 : bits >= 3 ? 0.22 : 0.4;
  for (const float magnitude : {1e-3f, 1.0f, 1e4f}) {
    Rng rng(5);
    std::vector<float> values(4096);
    for (float& value : values) {
      double sum = -6;
      for (int k = 0; k < 12; ++k) sum += rng.uniform();
      value = static_cast<float>(sum) * magnitude;
    }
    const std::vector<float> decoded = round_trip(GetParam(), values);
    EXPECT_LT(rms_error(values.data(), decoded.data(), 4096), bound * static_cast<double>(magnitude)) << magnitude;
  }
}

TEST_P(Quant, StrangeRowsAreSafe) {
  const DType dtype = GetParam();
  const bool is_float = dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float max = std::numeric_limits<float>::max(), denormal = std::numeric_limits<float>::denorm_min();
  for (const float special : {0.0f, -0.0f, denormal, -denormal, 1e-38f, 1e-20f, 1e20f, max, -max, inf, -inf, nan}) {
    for (const int n_special : {1, 256, 512}) {
      std::vector<float> values(512);
      for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
      for (int i = 0; i < n_special; ++i) values[static_cast<size_t>(i)] = special;
      const std::vector<float> decoded = round_trip(dtype, values);
      if (is_float) continue;
      for (const float value : decoded) ASSERT_TRUE(std::isfinite(value)) << special << " × " << n_special;
      if (n_special == 512 && (special == 0.0f || std::isnan(special))) {
        for (const float value : decoded) ASSERT_EQ(value, 0.0f);
      }
    }
  }
  const std::vector<float> importance(512, nan);
  std::vector<float> values(512, 0.25f);
  for (const float value : round_trip(dtype, values, importance.data())) ASSERT_TRUE(std::isfinite(value));
}

TEST_P(SearchingQuant, ImportanceMovesTheErrorAway) {
  const DType dtype = GetParam();
  Rng rng(9);
  std::vector<float> values(4096), importance(4096);
  for (float& value : values) value = static_cast<float>(rng.uniform() + rng.uniform() + rng.uniform() - 1.5);
  for (size_t i = 0; i < importance.size(); ++i) importance[i] = i % 8 == 0 ? 100.0f : 1.0f;
  const std::vector<float> plain = round_trip(dtype, values), weighted = round_trip(dtype, values, importance.data());
  double plain_error = 0, weighted_error = 0;
  for (size_t i = 0; i < values.size(); i += 8) {
    plain_error += std::pow(plain[i] - values[i], 2);
    weighted_error += std::pow(weighted[i] - values[i], 2);
  }
  EXPECT_LT(weighted_error, 0.9 * plain_error);
}

INSTANTIATE_TEST_SUITE_P(F32, Quant, ::testing::Values(DType::kF32), type_name);
INSTANTIATE_TEST_SUITE_P(Floats, Quant, kFloats, type_name);
INSTANTIATE_TEST_SUITE_P(Plain, Quant, kPlain, type_name);
INSTANTIATE_TEST_SUITE_P(Searching, Quant, kSearching, type_name);
INSTANTIATE_TEST_SUITE_P(Searching, SearchingQuant, kSearching, type_name);

TEST(QuantRegistry, TensorsDecodeWhole) {
  const std::vector<uint16_t> halfs{0x3f80, 0xc000};
  const StoredTensor tensor{"t", DType::kBF16, {2, 1}, reinterpret_cast<const uint8_t*>(halfs.data()), 4};
  EXPECT_EQ(tensor_to_f32(tensor).value(), (std::vector<float>{1.0f, -2.0f}));
  EXPECT_EQ(tensor_to_f32({"ids", DType::kI64, {0}, nullptr, 0}).error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace hanlin
