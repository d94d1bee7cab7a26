#include <bit>

#include "kernels/test_util.h"

namespace hanlin::kernels::testing {
namespace {

struct Case {
  int n_tokens, n_heads, head_dim;
  int64_t first_position, kv_begin, kv_end;
  bool causal;
  int64_t window;
  float softcap;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << "tokens " << c.n_tokens << " heads " << c.n_heads << " dim " << c.head_dim << " first " << c.first_position << " kv " << c.kv_begin
       << "-" << c.kv_end << (c.causal ? " causal" : "") << " window " << c.window << " softcap " << c.softcap;
}

bool sees(const Case& c, int t, int64_t j) {
  const int64_t position = c.first_position + t;
  if (j < c.kv_begin || j >= c.kv_end) return false;
  if (c.causal) return j <= position && (c.window <= 0 || j > position - c.window);
  return c.window <= 0 || std::llabs(j - position) <= c.window;
}

// x, filled up with zeros to whole groups of 32, times a Hadamard matrix over the root of its order: entry (i, j) is -1 to the number
// of bits that i and j share. The order is the largest power of two that divides the size, 256 at most.
std::vector<double> rotated(std::vector<double> x) {
  x.resize((x.size() + 31) / 32 * 32);
  size_t order = 32;
  while (order < 256 && x.size() % (2 * order) == 0) order *= 2;
  std::vector<double> y(x.size(), 0.0);
  for (size_t i = 0; i < y.size(); ++i) {
    for (size_t j = 0; j < order; ++j) y[i] += (std::popcount(i % order & j) % 2 ? -1 : 1) * x[i / order * order + j] / std::sqrt((double)order);
  }
  return y;
}

// What an int8 block holds of one token, as the layout describes it, before it is rotated back.
std::vector<double> stored_q8_0(const uint8_t* block, int64_t dim, int slot, bool is_key) {
  const int64_t n_tiles = (dim + 31) / 32;
  std::vector<double> x(n_tiles * 32);
  for (int64_t i = 0; i < n_tiles * 32; ++i) {
    const int64_t tile = i / 32, in = i % 32, at = is_key ? in / 2 * 64 + slot * 2 + in % 2 : slot / 2 * 64 + in * 2 + slot % 2;
    uint16_t scale;
    std::memcpy(&scale, block + n_tiles * 1024 + (tile * 32 + slot) * 2, 2);
    x[i] = bf16_to_double(scale) * (int8_t)block[tile * 1024 + at];
  }
  return x;
}

// Blocks start as NaN: a kernel must not let a slot that nobody wrote reach a result.
struct Cache {
  Cache(const KernelTable& table, KvType type, const Case& c, uint32_t seed)
      : n_blocks((c.kv_end + kKvBlock - 1) / kKvBlock), keys(random_floats(c.kv_end * c.head_dim, seed)),
        values(random_floats(c.kv_end * c.head_dim, seed + 1)), bytes(2 * n_blocks * kv_block_bytes(type, c.head_dim) + 64) {
    std::memset(bytes.data(), 0xff, bytes.size());
    const int64_t block = kv_block_bytes(type, c.head_dim);
    for (int64_t b = 0; b < n_blocks; ++b) {
      k_blocks.push_back(bytes.data() + 2 * b * block);
      v_blocks.push_back(bytes.data() + (2 * b + 1) * block);
    }
    for (int64_t j = c.kv_begin; j < c.kv_end; ++j) {
      table.kv_write(type, &keys[j * c.head_dim], &values[j * c.head_dim], c.head_dim, (int)(j % kKvBlock),
                     const_cast<uint8_t*>(k_blocks[j / kKvBlock]), const_cast<uint8_t*>(v_blocks[j / kKvBlock]));
    }
    if (type == KvType::kF16) {
      for (auto* list : {&keys, &values}) {
        for (float& v : *list) v = round_f16(v);
      }
    }
    if (type == KvType::kQ8_0) {
      for (int64_t j = c.kv_begin; j < c.kv_end; ++j) {
        const auto key = rotated(stored_q8_0(k_blocks[j / kKvBlock], c.head_dim, (int)(j % kKvBlock), true));
        const auto value = rotated(stored_q8_0(v_blocks[j / kKvBlock], c.head_dim, (int)(j % kKvBlock), false));
        std::copy_n(key.begin(), c.head_dim, &keys[j * c.head_dim]);
        std::copy_n(value.begin(), c.head_dim, &values[j * c.head_dim]);
      }
    }
  }
  // To 11 significant bits, steps no finer than 2^-24, at most 65504.
  static float round_f16(float v) {
    int exponent;
    std::frexp(v, &exponent);
    const double step = std::ldexp(1.0, std::max(exponent - 11, -24));
    return (float)std::clamp(std::nearbyint(v / step) * step, -65504.0, 65504.0);
  }
  int64_t n_blocks;
  std::vector<float> keys, values;
  Buffer<uint8_t> bytes;
  std::vector<const uint8_t*> k_blocks, v_blocks;
};

// With an int8 cache queries and weights are rounded to 16 bits: the larger the queries, the larger the steps in the scores.
double tolerance(KvType type, double query_size = 1) { return type == KvType::kQ8_0 ? 2e-4 * query_size : 1e-5; }

class Attention : public ::testing::TestWithParam<std::tuple<Isa, KvType>> {};

void run_case(const KernelTable& table, KvType type, const Case& c) {
  SCOPED_TRACE(::testing::PrintToString(c));
  const Cache cache(table, type, c, 31);
  const int64_t width = (int64_t)c.n_heads * c.head_dim, ldq = width + 6, ldo = width + 2;
  const float query_size = c.softcap > 0 ? 3.0f : 1.0f;
  const auto q = random_floats(c.n_tokens * ldq, 33, query_size);
  std::vector<float> out(c.n_tokens * ldo, 777.0f);
  Buffer<uint8_t> scratch(attention_scratch_bytes(c.n_tokens * c.n_heads, c.head_dim));
  const float scale = 1.0f / std::sqrt((float)c.head_dim);
  const AttentionArgs args = {type, c.causal, c.n_tokens, c.n_heads, c.head_dim, c.first_position, c.kv_begin, c.kv_end, c.window, scale,
                              c.softcap, q.data(), ldq, cache.k_blocks.data(), cache.v_blocks.data(), out.data(), ldo, scratch.data()};
  table.attention(args);
  for (int t = 0; t < c.n_tokens; ++t) {
    for (int h = 0; h < c.n_heads; ++h) {
      const float* query = &q[t * ldq + h * c.head_dim];
      std::vector<double> expected(c.head_dim, 0.0);
      double total = 0, highest = -1e300;
      std::vector<double> scores(c.kv_end, 0.0);
      for (int64_t j = 0; j < c.kv_end; ++j) {
        if (!sees(c, t, j)) continue;
        double s = 0;
        for (int e = 0; e < c.head_dim; ++e) s += (double)query[e] * cache.keys[j * c.head_dim + e];
        s *= scale;
        if (c.softcap > 0) s = c.softcap * std::tanh(s / c.softcap);
        scores[j] = s;
        highest = std::max(highest, s);
      }
      for (int64_t j = 0; j < c.kv_end; ++j) {
        if (!sees(c, t, j)) continue;
        const double p = std::exp(scores[j] - highest);
        total += p;
        for (int e = 0; e < c.head_dim; ++e) expected[e] += p * cache.values[j * c.head_dim + e];
      }
      for (int e = 0; e < c.head_dim; ++e) {
        const double value = total > 0 ? expected[e] / total : 0;
        ASSERT_NEAR(out[t * ldo + h * c.head_dim + e], value, tolerance(type, query_size)) << "token " << t << " head " << h << " e " << e;
      }
    }
    for (int64_t i = width; i < ldo; ++i) ASSERT_EQ(out[t * ldo + i], 777.0f) << "written outside";
  }
}

const Case kCases[] = {
    {1, 1, 64, 0, 0, 1, true, 0, 0},         {1, 3, 64, 70, 0, 71, true, 0, 0},      {1, 4, 128, 200, 0, 201, true, 0, 0},
    {1, 8, 96, 31, 0, 32, true, 0, 0},       {1, 7, 256, 32, 0, 33, true, 0, 0},     {16, 3, 64, 0, 0, 16, true, 0, 0},
    {16, 2, 64, 50, 0, 66, true, 0, 0},      {33, 1, 80, 5, 0, 38, true, 0, 0},      {9, 5, 18, 40, 0, 49, true, 0, 0},
    {5, 2, 2, 60, 0, 65, true, 0, 0},        {7, 4, 32, 90, 0, 97, true, 20, 0},     {40, 2, 64, 90, 0, 130, true, 33, 0},
    {1, 2, 64, 300, 0, 301, true, 64, 0},    {1, 2, 64, 300, 224, 301, true, 64, 0}, {12, 2, 64, 0, 0, 12, false, 0, 0},
    {50, 1, 32, 0, 0, 50, false, 8, 0},      {45, 3, 64, 0, 0, 45, false, 0, 0},     {70, 2, 24, 0, 0, 70, false, 16, 0},
    {4, 4, 64, 64, 0, 68, true, 0, 30.0f},   {1, 4, 256, 100, 0, 101, true, 0, 50.0f}, {3, 2, 64, 10, 40, 80, true, 0, 0},
    {37, 2, 96, 64, 0, 101, true, 40, 0},    {19, 4, 128, 30, 0, 49, true, 0, 0},     {6, 3, 256, 60, 0, 66, true, 0, 0},
    {20, 9, 64, 100, 0, 120, true, 0, 0},    {1, 14, 64, 1000, 0, 1001, true, 0, 0}, {2, 3, 130, 40, 0, 42, true, 0, 0},
};

TEST_P(Attention, AgreesWithDouble) {
  const auto [isa, type] = GetParam();
  ASSERT_EQ(kernel_table(isa).isa, isa);
  for (const Case& c : kCases) run_case(kernel_table(isa), type, c);
}

TEST_P(Attention, AQueryThatSeesNothingIsZero) {
  const auto [isa, type] = GetParam();
  // Positions 10 to 12, keys 40 to 79, causal: nobody sees anything. Covered by run_case, and here for an empty range.
  std::vector<float> q(64, 1.0f), out(64, 5.0f);
  Buffer<uint8_t> scratch(attention_scratch_bytes(1, 64));
  const AttentionArgs args = {type, true, 1, 1, 64, 0, 0, 0, 0, 1.0f, 0, q.data(), 64, nullptr, nullptr, out.data(), 64, scratch.data()};
  kernel_table(isa).attention(args);
  for (float v : out) ASSERT_EQ(v, 0.0f);
}

// A token's result is the same to the bit alone and inside a tile of tokens.
TEST_P(Attention, TokensDoNotDependOnTheTile) {
  const auto [isa, type] = GetParam();
  const Case c = {21, 3, 64, 100, 0, 121, true, 0, 0};
  const Cache cache(kernel_table(isa), type, c, 51);
  const int64_t width = c.n_heads * c.head_dim;
  const auto q = random_floats(c.n_tokens * width, 53);
  std::vector<float> tile(c.n_tokens * width), alone(width);
  Buffer<uint8_t> scratch(attention_scratch_bytes(c.n_tokens * c.n_heads, c.head_dim));
  AttentionArgs args = {type, true, c.n_tokens, c.n_heads, c.head_dim, c.first_position, 0, c.kv_end, 0, 0.125f, 0, q.data(), width,
                        cache.k_blocks.data(), cache.v_blocks.data(), tile.data(), width, scratch.data()};
  kernel_table(isa).attention(args);
  for (int t = 0; t < c.n_tokens; ++t) {
    args.n_tokens = 1;
    args.first_position = c.first_position + t;
    args.kv_end = args.first_position + 1;
    args.q = q.data() + t * width;
    args.out = alone.data();
    kernel_table(isa).attention(args);
    for (int64_t i = 0; i < width; ++i) ASSERT_EQ(alone[i], tile[t * width + i]) << "token " << t << " value " << i;
  }
}

// Two ranges of keys, joined by their largest scores and sums, are the whole range.
TEST_P(Attention, StatsJoinRangesOfKeys) {
  const auto [isa, type] = GetParam();
  const Case c = {5, 2, 64, 200, 0, 205, true, 0, 0};
  const Cache cache(kernel_table(isa), type, c, 61);
  const int64_t rows = c.n_tokens * c.n_heads, width = c.n_heads * c.head_dim;
  const auto q = random_floats(c.n_tokens * width, 63);
  Buffer<uint8_t> scratch(attention_scratch_bytes(rows, c.head_dim));
  std::vector<float> out[3], stats[3];
  const int64_t ends[3][2] = {{0, 205}, {0, 96}, {96, 205}};
  for (int i = 0; i < 3; ++i) {
    out[i].resize(rows * c.head_dim);
    stats[i].resize(rows * 2);
    const AttentionArgs args = {type, true, c.n_tokens, c.n_heads, c.head_dim, c.first_position, ends[i][0], ends[i][1], 0, 0.125f, 0, q.data(), width,
                                cache.k_blocks.data(), cache.v_blocks.data(), out[i].data(), width, scratch.data(), stats[i].data()};
    kernel_table(isa).attention(args);
  }
  for (int64_t row = 0; row < rows; ++row) {
    const double highest = std::max(stats[1][2 * row], stats[2][2 * row]);
    const double a = stats[1][2 * row + 1] * std::exp(stats[1][2 * row] - highest), b = stats[2][2 * row + 1] * std::exp(stats[2][2 * row] - highest);
    ASSERT_EQ(stats[0][2 * row], (float)highest);
    ASSERT_NEAR(stats[0][2 * row + 1], a + b, 1e-5 * (a + b));
    for (int64_t e = 0; e < c.head_dim; ++e) {
      const int64_t i = row * c.head_dim + e;
      ASSERT_NEAR(out[0][i], (out[1][i] * a + out[2][i] * b) / (a + b), tolerance(type));
    }
  }
}

TEST_P(Attention, KvWritePutsValuesWhereTheLayoutSays) {
  const auto [isa, type] = GetParam();
  const int64_t dim = 66;
  const auto k = random_floats(dim, 1), v = random_floats(dim, 2);
  for (int slot : {0, 1, 17, 31}) {
    Buffer<uint8_t> kb(kv_block_bytes(type, dim)), vb(kv_block_bytes(type, dim));
    kernel_table(isa).kv_write(type, k.data(), v.data(), dim, slot, kb.data(), vb.data());
    if (type == KvType::kQ8_0) {
      for (bool is_key : {true, false}) {
        const auto& from = is_key ? k : v;
        const auto wanted = rotated(std::vector<double>(from.begin(), from.end())), stored = stored_q8_0(is_key ? kb.data() : vb.data(), dim, slot, is_key);
        for (size_t group = 0; group < wanted.size(); group += 32) {
          double largest = 0;
          for (size_t i = group; i < group + 32; ++i) largest = std::max(largest, std::abs(wanted[i]));
          const double step = largest / 127 * (1 + 1.0 / 128);  // of 8 significant bits, rounded up
          for (size_t i = group; i < group + 32; ++i) ASSERT_NEAR(stored[i], wanted[i], 0.50001 * step) << i;
        }
      }
      continue;
    }
    for (int64_t e = 0; e < dim; ++e) {
      if (type == KvType::kF32) {
        ASSERT_EQ(reinterpret_cast<float*>(kb.data())[e * kKvBlock + slot], k[e]);
        ASSERT_EQ(reinterpret_cast<float*>(vb.data())[slot * dim + e], v[e]);
      } else {
        const auto* keys = reinterpret_cast<uint16_t*>(kb.data());
        const auto* values = reinterpret_cast<uint16_t*>(vb.data());
        ASSERT_EQ(f16_to_double(keys[e * kKvBlock + slot]), Cache::round_f16(k[e]));
        ASSERT_EQ(f16_to_double(values[slot * dim + e]), Cache::round_f16(v[e]));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, Attention,
                         ::testing::Combine(::testing::ValuesIn(supported_isas()), ::testing::Values(KvType::kF32, KvType::kF16, KvType::kQ8_0)),
                         [](const auto& info) {
                           return std::string(isa_name(std::get<0>(info.param))) + (std::get<1>(info.param) == KvType::kF32 ? "_f32" : std::get<1>(info.param) == KvType::kF16 ? "_f16" : "_q8_0");
                         });

}  // namespace
}  // namespace hanlin::kernels::testing
