#include "kernels/test_util.h"

namespace hanlin::kernels::testing {
namespace {

class Elementwise : public ::testing::TestWithParam<Isa> {
 protected:
  const KernelTable& table() const { return kernel_table(GetParam()); }
};

const std::vector<int64_t> kSizes = {0, 1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 257, 1000};
const std::vector<size_t> kOffsets = {0, 4, 12, 60};

// Values over the whole useful range: small, ordinary, large, both signs.
Buffer<float> wide_values(int64_t n, size_t offset, uint32_t seed) {
  std::mt19937 rng(seed);
  std::uniform_real_distribution<float> exponent(-12.0f, 6.0f);
  Buffer<float> values(n, offset);
  for (int64_t i = 0; i < n; ++i) values[i] = std::exp2(exponent(rng)) * (rng() & 1 ? 1.0f : -1.0f);
  return values;
}

Buffer<float> normal_values(int64_t n, size_t offset, uint32_t seed) {
  const auto source = random_floats(n, seed);
  Buffer<float> values(n, offset);
  for (int64_t i = 0; i < n; ++i) values[i] = source[i];
  return values;
}

double silu(double x) { return x / (1 + std::exp(-x)); }
// (1 + tanh u) / 2 = 1 / (1 + exp(-2u)), which does not cancel for negative x.
double gelu_tanh(double x) { return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
double gelu_erf(double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2)); }

using Activation = void (*)(const float*, const float*, int64_t, float*);

void expect_activation(Activation kernel, double (*reference)(double), bool without_up) {
  for (int64_t n : kSizes) {
    for (size_t offset : kOffsets) {
      const auto gate = wide_values(n, offset, (uint32_t)n), up = normal_values(n, offset, (uint32_t)n + 1);
      Buffer<float> y(n + 1, offset);
      y[n] = 7;
      for (const float* second : {up.data(), (const float*)nullptr}) {
        if (!second && !without_up) continue;
        kernel(gate.data(), second, n, y.data());
        for (int64_t i = 0; i < n; ++i) {
          const double factor = second ? second[i] : 1, expected = reference(gate[i]) * factor;
          // The error of the argument of exp grows with x; what underflows to nothing may be off by nothing.
          const double relative = 1e-6 + 2e-7 * std::fabs(gate[i]) * std::fabs(gate[i]);
          ASSERT_NEAR(y[i], expected, std::fabs(expected) * relative + 1e-30) << "x " << gate[i] << " n " << n;
        }
        ASSERT_EQ(y[n], 7);
      }
    }
  }
}

TEST_P(Elementwise, TheForcedLevelRuns) { EXPECT_EQ(table().isa, GetParam()); }
TEST_P(Elementwise, SiluMul) { expect_activation(table().silu_mul, silu, false); }
TEST_P(Elementwise, GeluTanhMul) { expect_activation(table().gelu_tanh_mul, gelu_tanh, true); }
TEST_P(Elementwise, GeluErfMul) { expect_activation(table().gelu_erf_mul, gelu_erf, true); }

TEST_P(Elementwise, ActivationsOfExtremesAreFinite) {
  const float x[] = {0.0f, -0.0f, 1e30f, -1e30f, 88.0f, -88.0f, 200.0f, -200.0f, 1e-40f, -1e-40f};
  const float one[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  float y[10];
  for (Activation kernel : {table().silu_mul, table().gelu_tanh_mul, table().gelu_erf_mul}) {
    kernel(x, one, 10, y);
    for (int i = 0; i < 10; ++i) {
      EXPECT_TRUE(std::isfinite(y[i])) << x[i];
      EXPECT_NEAR(y[i], x[i] > 0 ? (x[i] < 1 ? 0 : x[i]) : 0.0f, 1e-6 * std::fabs(y[i]) + 1e-30) << x[i];
    }
  }
}

TEST_P(Elementwise, Add) {
  for (int64_t n : kSizes) {
    for (size_t offset : kOffsets) {
      auto a = wide_values(n, offset, 1);
      const auto b = wide_values(n, 0, 2);
      Buffer<float> y(n + 1, offset);
      y[n] = 7;
      table().add(a.data(), b.data(), n, y.data());
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(y[i], a[i] + b[i]);
      ASSERT_EQ(y[n], 7);
      table().add(a.data(), b.data(), n, a.data());
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(a[i], y[i]) << "aliased";
    }
  }
}

TEST_P(Elementwise, Dot) {
  for (int64_t n : kSizes) {
    for (size_t offset : kOffsets) {
      const auto a = normal_values(n, offset, 1), b = normal_values(n, 0, 2);
      double expected = 0, magnitude = 0;
      for (int64_t i = 0; i < n; ++i) {
        expected += (double)a[i] * b[i];
        magnitude += std::fabs((double)a[i] * b[i]);
      }
      ASSERT_NEAR(table().dot(a.data(), b.data(), n), expected, 1e-6 * magnitude + 1e-30) << n;
    }
  }
}

TEST_P(Elementwise, MaxValue) {
  for (int64_t n : kSizes) {
    if (n == 0) continue;
    for (int64_t position : {(int64_t)0, n / 2, n - 1}) {
      auto x = normal_values(n, 4, 3);
      x[position] = 50;
      ASSERT_EQ(table().max_value(x.data(), n), 50);
      for (int64_t i = 0; i < n; ++i) x[i] = -100.0f - (float)i;
      x[position] = -99;
      ASSERT_EQ(table().max_value(x.data(), n), -99);
    }
  }
}

TEST_P(Elementwise, SumExp) {
  for (int64_t n : kSizes) {
    const auto x = wide_values(n, 4, 4);
    for (float shift : {0.0f, 30.0f, 64.0f}) {
      double expected = 0;
      for (int64_t i = 0; i < n; ++i) expected += std::exp((double)(x[i] - shift));
      ASSERT_NEAR(table().sum_exp(x.data(), n, shift), expected, 5e-7 * expected + 1e-37) << n;
    }
  }
}

TEST_P(Elementwise, RmsNorm) {
  for (int64_t d : kSizes) {
    if (d == 0) continue;
    for (size_t offset : kOffsets) {
      auto x = normal_values(d, offset, 5);
      const auto weight = normal_values(d, 0, 6);
      Buffer<float> y(d, offset);
      double square = 0;
      for (int64_t i = 0; i < d; ++i) square += (double)x[i] * x[i];
      const double factor = 1 / std::sqrt(square / (double)d + 1e-5);
      table().rms_norm(x.data(), weight.data(), 1.0f, 1e-5f, d, y.data());
      for (int64_t i = 0; i < d; ++i) {
        const double expected = x[i] * factor * (weight[i] + 1.0);
        ASSERT_NEAR(y[i], expected, 1e-6 * (std::fabs(expected) + 1e-1)) << d;
      }
      table().rms_norm(x.data(), weight.data(), 1.0f, 1e-5f, d, x.data());
      for (int64_t i = 0; i < d; ++i) ASSERT_EQ(x[i], y[i]) << "aliased";
    }
  }
}

TEST_P(Elementwise, LayerNorm) {
  for (int64_t d : kSizes) {
    if (d == 0) continue;
    auto x = normal_values(d, 4, 7);
    const auto weight = normal_values(d, 0, 8), bias = normal_values(d, 0, 9);
    for (int64_t i = 0; i < d; ++i) x[i] += 3;
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < d; ++i) mean += x[i] / (double)d;
    for (int64_t i = 0; i < d; ++i) variance += (x[i] - mean) * (x[i] - mean) / (double)d;
    for (int with = 0; with < 4; ++with) {
      Buffer<float> y(d, 4);
      table().layer_norm(x.data(), with & 1 ? weight.data() : nullptr, with & 2 ? bias.data() : nullptr, 1e-5f, d, y.data());
      for (int64_t i = 0; i < d; ++i) {
        const double expected = (x[i] - mean) / std::sqrt(variance + 1e-5) * (with & 1 ? weight[i] : 1) + (with & 2 ? bias[i] : 0);
        // One value alone is all cancellation: the mean's rounding divided by sqrt(eps).
        ASSERT_NEAR(y[i], expected, d == 1 ? 2e-4 : 5e-6 * (std::fabs(expected) + 1)) << d;
      }
    }
  }
}

TEST_P(Elementwise, Rope) {
  for (int64_t n_rot : {2, 4, 6, 30, 32, 64, 80, 128, 256}) {
    for (bool neox : {false, true}) {
      const auto x = normal_values(n_rot + 1, 4, 10), angle = normal_values(n_rot / 2, 0, 11);
      Buffer<float> y(n_rot + 1, 4), c(n_rot / 2, 4), s(n_rot / 2, 4);
      for (int64_t i = 0; i < n_rot / 2; ++i) {
        c[i] = std::cos(angle[i]);
        s[i] = std::sin(angle[i]);
      }
      for (int64_t i = 0; i <= n_rot; ++i) y[i] = x[i];
      table().rope(y.data(), c.data(), s.data(), n_rot, neox);
      for (int64_t i = 0; i < n_rot / 2; ++i) {
        const int64_t first = neox ? i : 2 * i, second = neox ? i + n_rot / 2 : 2 * i + 1;
        ASSERT_NEAR(y[first], (double)x[first] * c[i] - (double)x[second] * s[i], 1e-6);
        ASSERT_NEAR(y[second], (double)x[first] * s[i] + (double)x[second] * c[i], 1e-6);
      }
      ASSERT_EQ(y[n_rot], x[n_rot]);
    }
  }
}

TEST_P(Elementwise, QuantizeRows) {
  double total = 0, plain_total = 0;
  for (int64_t k : {32, 64, 96, 576, 2048}) {
    const int64_t m = 3, ldx = k + 5, ldq = k + 7;
    auto x = normal_values(m * ldx, 4, 12);
    for (int64_t i = 0; i < 32; ++i) x[ldx + i] = 0;  // a group of zeros
    x[2 * ldx + 3] = NAN;
    x[2 * ldx + k - 1] = 1000;
    std::vector<int8_t> q(m * ldq, 99);
    std::vector<float> scale(m * k / 32);
    std::vector<int32_t> sum(m * k / 16);
    table().quantize_rows(x.data(), ldx, m, k, q.data(), ldq, scale.data(), sum.data());
    for (int64_t row = 0; row < m; ++row) {
      for (int64_t g = 0; g < k / 32; ++g) {
        float amax = 0;
        for (int64_t i = 0; i < 32; ++i) {
          const float value = x[row * ldx + g * 32 + i];
          if (std::isfinite(value)) amax = std::max(amax, std::fabs(value));
        }
        int32_t sums[2] = {0, 0};
        double xq = 0, qq = 0, error = 0, plain_error = 0;
        const double got = scale[row * (k / 32) + g], plain = amax / 127.0;
        for (int64_t i = 0; i < 32; ++i) {
          const float value = x[row * ldx + g * 32 + i];
          const double exact = std::isfinite(value) ? value : 0;
          const int actual = q[row * ldq + g * 32 + i];
          ASSERT_LE(std::abs(actual), 127);
          sums[i / 16] += actual;
          xq += exact * actual;
          qq += actual * actual;
          error += std::pow(exact - got * actual, 2);
          plain_error += amax > 0 ? std::pow(exact - plain * std::nearbyint(exact / plain), 2) : 0;
        }
        ASSERT_NEAR(got, qq > 0 ? xq / qq : 0, 1e-5 * plain);
        ASSERT_LE(error, plain_error * 1.001 + 1e-12);
        if (amax < 100) {  // without the group whose one outlier decides
          total += error;
          plain_total += plain_error;
        }
        ASSERT_EQ(sum[row * (k / 16) + 2 * g], sums[0]);
        ASSERT_EQ(sum[row * (k / 16) + 2 * g + 1], sums[1]);
      }
    }
    for (int64_t row = 0; row < m; ++row) {
      for (int64_t i = k; i < ldq; ++i) ASSERT_EQ(q[row * ldq + i], 99);
    }
  }
  EXPECT_LT(total, 0.9 * plain_total);
}

TEST_P(Elementwise, QuantizeRows16) {
  const double steps = table().int16_in_digits ? 32639 : 32767;
  for (int64_t k : {32, 64, 96, 576}) {
    const int64_t m = 3, ldx = k + 5, ldq = k + 6;
    auto x = normal_values(m * ldx, 4, 12);
    for (int64_t i = 0; i < 32; ++i) x[ldx + i] = 0;
    x[2 * ldx + 3] = NAN;
    x[2 * ldx + k - 1] = -INFINITY;
    std::vector<int16_t> q(m * ldq, 99);
    std::vector<float> scale(m * k / 32);
    std::vector<int32_t> sum(m * k / 16);
    table().quantize_rows16(x.data(), ldx, m, k, q.data(), ldq, scale.data(), sum.data());
    for (int64_t row = 0; row < m; ++row) {
      for (int64_t g = 0; g < k / 32; ++g) {
        const float* in = &x[row * ldx + g * 32];
        const int16_t* group = &q[row * ldq + g * 32];
        double amax = 0;
        for (int64_t i = 0; i < 32; ++i) amax = std::isnan(in[i]) ? amax : std::max(amax, std::fabs(std::clamp<double>(in[i], -FLT_MAX, FLT_MAX)));
        const double step = scale[row * (k / 32) + g];
        ASSERT_NEAR(step, amax / steps, 1e-6 * step);
        int32_t sums[2] = {0, 0};
        for (int64_t i = 0; i < 32; ++i) {
          const int actual = int16_value(table(), group, i);
          const double exact = std::isnan(in[i]) ? 0 : std::clamp<double>(in[i], -FLT_MAX, FLT_MAX);
          ASSERT_LE(std::abs(actual), steps);
          ASSERT_NEAR(step * actual, exact, 0.501 * step) << "row " << row << " value " << g * 32 + i;
          sums[i / 16] += actual;
        }
        ASSERT_EQ(sum[row * (k / 16) + 2 * g], sums[0]);
        ASSERT_EQ(sum[row * (k / 16) + 2 * g + 1], sums[1]);
      }
      for (int64_t i = k; i < ldq; ++i) ASSERT_EQ(q[row * ldq + i], 99);
    }
  }
}

TEST_P(Elementwise, QuantizeRowsOfExtremesStaysInRange) {
  float x[32] = {INFINITY, -INFINITY, NAN, 3e38f};
  int8_t q[32];
  float scale;
  int32_t sum[2];
  table().quantize_rows(x, 32, 1, 32, q, 32, &scale, sum);
  EXPECT_EQ(q[0], 127);
  EXPECT_EQ(q[1], -127);
  EXPECT_EQ(q[2], 0);
  EXPECT_TRUE(std::isfinite(scale));
}

INSTANTIATE_TEST_SUITE_P(Levels, Elementwise, ::testing::ValuesIn(supported_isas()),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

TEST(Table, NamesGoBothWays) {
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
    Isa parsed = Isa::kScalar;
    EXPECT_TRUE(parse_isa(isa_name(isa), &parsed));
    EXPECT_EQ(parsed, isa);
  }
  Isa isa = Isa::kScalar;
  EXPECT_FALSE(parse_isa("avx10", &isa));
  EXPECT_TRUE(isa_supported(best_isa()));
  EXPECT_NE(std::string(cpu_description()).find(isa_name(best_isa())), std::string::npos);
}

}  // namespace
}  // namespace hanlin::kernels::testing
