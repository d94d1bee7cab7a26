// int8 activations times packed weights with vpmaddubsw, exactly: sums of pairs stay below 2^15 as long as only so many
// steps are added in 16 bits (numbers up to 15: 8 steps, 31: 4, 63: 2); 8-bit numbers are signed, |w| <= 128, and go
// pair by pair to 32 bits with the sign moved to the activation.
//
// Groups are unpacked to memory: for up to 4 rows eight groups at a time (they stay in L1), for more the whole panel, over
// which tiles of 4 rows x 16 outputs run. Each row sees the same operations in the same order whatever its company.
#include "kernels/avx2/unpack.h"
#include "kernels/fill.h"

namespace hanlin::kernels {
namespace {

constexpr int kChunk = 8;  // groups unpacked at a time for few rows

// Steps whose pair sums fit into 16 bits.
constexpr int steps_in_16_bits(const Layout& layout) {
  if (is_signed(layout)) return 1;
  const int largest = (1 << layout.bits) - 1;
  const int steps = 32767 / (largest * 127 * 2);
  return steps >= 8 ? 8 : steps >= 4 ? 4 : 2;
}

HANLIN_INLINE __m256i pair_products(bool with_sign, __m256i w, __m256i x) {
  return with_sign ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) : _mm256_maddubs_epi16(w, x);
}

// sums[r][16] += groups [begin, end) of unpacked numbers [end - begin][8][64] and scales, for rows row … row + kRows - 1.
template <Packed kFormat, int kRows>
void add_groups(const GemmArgs& args, int64_t row, int64_t begin, int64_t end, const uint8_t* numbers, const float* scales, float (*sums)[16]) {
  constexpr Layout kLayout = layout_of(kFormat);
  constexpr int kSub = kLayout.n_sub(), kSubSteps = 8 / kSub, kScaleFloats = 16 * kSub * (kLayout.has_min() ? 2 : 1);
  constexpr int kSteps = steps_in_16_bits(kLayout) < kSubSteps ? steps_in_16_bits(kLayout) : kSubSteps;
  constexpr bool kSign = is_signed(kLayout);
  const int64_t k = args.w->k, groups = k / kGroup;
  const __m256i ones = _mm256_set1_epi16(1);
  for (int64_t g = begin; g < end; ++g, numbers += 512, scales += kScaleFloats) {
    for (int sub = 0; sub < kSub; ++sub) {
      __m256i dots[kRows][2];
      float correction[kRows];  // x_scale * sum of q, for mins
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const int32_t* sum = args.xq.sum + ((row + r) * groups + g) * 2;
        const int32_t q_sum = kSub == 2 ? sum[sub] : sum[0] + sum[1];
        dots[r][0] = dots[r][1] = _mm256_set1_epi32(-correction_zero(kLayout) * q_sum);
        correction[r] = args.xq.scale[(row + r) * groups + g] * (float)q_sum;
      }
      HANLIN_UNROLL
      for (int s0 = sub * kSubSteps; s0 < (sub + 1) * kSubSteps; s0 += kSteps) {
        __m256i pairs[kRows][2];
        HANLIN_UNROLL
        for (int s = s0; s < s0 + kSteps; ++s) {
          const __m256i w0 = load_256(numbers + 64 * s), w1 = load_256(numbers + 64 * s + 32);
          HANLIN_UNROLL
          for (int r = 0; r < kRows; ++r) {
            int32_t four;
            memcpy(&four, args.xq.q + (row + r) * k + g * kGroup + 4 * s, 4);
            const __m256i x = _mm256_set1_epi32(four);
            const __m256i p0 = pair_products(kSign, w0, x), p1 = pair_products(kSign, w1, x);
            pairs[r][0] = s == s0 ? p0 : _mm256_add_epi16(pairs[r][0], p0);
            pairs[r][1] = s == s0 ? p1 : _mm256_add_epi16(pairs[r][1], p1);
          }
        }
        HANLIN_UNROLL
        for (int r = 0; r < kRows; ++r) {
          dots[r][0] = _mm256_add_epi32(dots[r][0], _mm256_madd_epi16(pairs[r][0], ones));
          dots[r][1] = _mm256_add_epi32(dots[r][1], _mm256_madd_epi16(pairs[r][1], ones));
        }
      }
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const __m256 x_scale = _mm256_set1_ps(args.xq.scale[(row + r) * groups + g]);
        HANLIN_UNROLL
        for (int h = 0; h < 2; ++h) {
          __m256 sum = _mm256_loadu_ps(sums[r] + 8 * h);
          const __m256 scale = _mm256_mul_ps(_mm256_loadu_ps(scales + 16 * sub + 8 * h), x_scale);
          sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[r][h]), scale, sum);
          if constexpr (kLayout.has_min()) {
            sum = _mm256_fnmadd_ps(_mm256_loadu_ps(scales + 16 * (kSub + sub) + 8 * h), _mm256_set1_ps(correction[r]), sum);
          }
          _mm256_storeu_ps(sums[r] + 8 * h, sum);
        }
      }
    }
  }
}

template <Packed kFormat>
HANLIN_INLINE void open_groups(const PackedMatrix& w, int64_t panel, int64_t begin, int64_t end, uint8_t* numbers, float* scales) {
  constexpr Layout kLayout = layout_of(kFormat);
  constexpr int kScaleFloats = 16 * kLayout.n_sub() * (kLayout.has_min() ? 2 : 1);
  const uint8_t* quants = w.data + panel * w.panel_bytes;
  const uint8_t* scale_region = quants + quant_region_bytes(kLayout, w.k);
  for (int64_t g = begin; g < end; ++g, numbers += 512, scales += kScaleFloats) {
    unpack_group<kFormat>(quants + g * kLayout.group_bytes(), numbers);
    unpack_scales<kLayout.scales>(scale_region, g, scales);
  }
}

template <Packed kFormat, int kRows>
void store_rows(const GemmArgs& args, int64_t row, int64_t panel, const float (*sums)[16]) {
  for (int r = 0; r < kRows; ++r) store_outputs(args, row + r, panel, _mm256_loadu_ps(sums[r]), _mm256_loadu_ps(sums[r] + 8));
}

template <Packed kFormat, int kRows>
void few_rows(const GemmArgs& args, int64_t row) {
  const int64_t groups = args.w->k / kGroup;
  alignas(64) uint8_t numbers[kChunk * 512];
  alignas(64) float scales[kChunk * 64];
  for (int64_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
    float sums[kRows][16] = {{0}};
    for (int64_t g = 0; g < groups; g += kChunk) {
      const int64_t end = g + kChunk < groups ? g + kChunk : groups;
      open_groups<kFormat>(*args.w, panel, g, end, numbers, scales);
      add_groups<kFormat, kRows>(args, row, g, end, numbers, scales, sums);
    }
    store_rows<kFormat, kRows>(args, row, panel, sums);
  }
}

template <Packed kFormat, int kRows>
void tile(const GemmArgs& args, int64_t row, int64_t panel, const uint8_t* numbers, const float* scales) {
  float sums[kRows][16] = {{0}};
  add_groups<kFormat, kRows>(args, row, 0, args.w->k / kGroup, numbers, scales, sums);
  store_rows<kFormat, kRows>(args, row, panel, sums);
}

template <Packed kFormat>
void gemm_of(const GemmArgs& args) {
  if (args.m == 1) return few_rows<kFormat, 1>(args, 0);
  if (args.m == 4) return few_rows<kFormat, 4>(args, 0);
  uint8_t* numbers = (uint8_t*)args.scratch;
  float* scales = (float*)(numbers + 16 * args.w->k);
  for (int64_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
    open_groups<kFormat>(*args.w, panel, 0, args.w->k / kGroup, numbers, scales);
    int64_t row = 0;
    for (; row + 4 <= args.m; row += 4) tile<kFormat, 4>(args, row, panel, numbers, scales);
    for (; row < args.m; ++row) tile<kFormat, 1>(args, row, panel, numbers, scales);
  }
}

void gemm_int8(const GemmArgs& args) {
  switch (args.w->format) {
    case Packed::kQ4_0: return gemm_of<Packed::kQ4_0>(args);
    case Packed::kQ4_1: return gemm_of<Packed::kQ4_1>(args);
    case Packed::kQ5_0: return gemm_of<Packed::kQ5_0>(args);
    case Packed::kQ5_1: return gemm_of<Packed::kQ5_1>(args);
    case Packed::kQ8_0: return gemm_of<Packed::kQ8_0>(args);
    case Packed::kQ2_K: return gemm_of<Packed::kQ2_K>(args);
    case Packed::kQ3_K: return gemm_of<Packed::kQ3_K>(args);
    case Packed::kQ4_K: return gemm_of<Packed::kQ4_K>(args);
    case Packed::kQ5_K: return gemm_of<Packed::kQ5_K>(args);
    case Packed::kQ6_K: return gemm_of<Packed::kQ6_K>(args);
    case Packed::kIQ4_NL: return gemm_of<Packed::kIQ4_NL>(args);
    case Packed::kIQ4_XS: return gemm_of<Packed::kIQ4_XS>(args);
    default: return;  // float formats have no int8 product
  }
}

}  // namespace

void fill_avx2_gemm_int8(KernelTable& table) { table.gemm_int8 = gemm_int8; }

}  // namespace hanlin::kernels
