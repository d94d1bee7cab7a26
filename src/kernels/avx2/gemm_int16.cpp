// int16 activations times packed weights with vpmaddwd, exactly: a group's 32 products of 8-bit numbers and 16-bit activations
// stay below 2^29. For weights of 8-bit numbers, which vpmaddubsw could only take one pair at a time with the sign moved to the
// activation, and for rows that need more than 8 bits of their activations.
#include "kernels/avx2/gemm_integer-inl.h"
#include "kernels/fill.h"

namespace hanlin::kernels {
namespace {

// Inputs 0 and 1, or 2 and 3, of a step's 8 outputs as unsigned 16-bit numbers.
HANLIN_INLINE __m256i input_pair(__m256i step, int pair) {
  // Bytes 4 n and 4 n + 1 (or + 2 and + 3) of lane n, each with a zero above it.
  const __m128i from = _mm_setr_epi8(0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1);
  return _mm256_shuffle_epi8(step, _mm256_broadcastsi128_si256(pair == 0 ? from : _mm_add_epi8(from, _mm_set1_epi16(2))));
}

template <Packed kOfFormat>
struct Int16Product {
  using Number = int16_t;  // open panels: numbers less the format's zero, [group][16 pairs of inputs][16 outputs][2]

  static constexpr Packed kFormat = kOfFormat;
  static constexpr Layout kLayout = layout_of(kFormat);
  static constexpr int kFewRows = 3;
  static constexpr int kSubPairs = 16 / kLayout.n_sub();  // pairs of inputs of a scale

  HANLIN_INLINE static QuantRows16 activations(const GemmArgs& args) { return args.xq16; }

  HANLIN_INLINE static void store_half(const __m256i* steps, int half, int16_t* numbers) {
    const __m256i zero = _mm256_set1_epi16((short)kLayout.zero);
    HANLIN_UNROLL
    for (int p = 0; p < 16; ++p) store_256((uint8_t*)(numbers + 32 * p + 16 * half), _mm256_sub_epi16(input_pair(steps[p / 2], p % 2), zero));
  }

  template <int kRows>
  HANLIN_INLINE static void dot_tile(const int16_t* q, int64_t ldq, const int16_t* numbers, int sub, const int32_t*, int64_t,
                                     __m256i (*dots)[2]) {
    HANLIN_UNROLL
    for (int p = kSubPairs * sub; p < kSubPairs * (sub + 1); ++p) {
      const __m256i w[2] = {load_256((const uint8_t*)(numbers + 32 * p)), load_256((const uint8_t*)(numbers + 32 * p + 16))};
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const __m256i x = broadcast_bytes(q + r * ldq + 2 * p);
        HANLIN_UNROLL
        for (int half = 0; half < 2; ++half) {
          const __m256i products = _mm256_madd_epi16(w[half], x);
          dots[r][half] = p == kSubPairs * sub ? products : _mm256_add_epi32(dots[r][half], products);
          add_here(dots[r][half]);
        }
      }
    }
  }

  HANLIN_INLINE static __m256i dot_packed(const int16_t* q, const __m256i* steps, int sub, const int32_t* correction) {
    __m256i dots = first_sum<kFormat>(correction);
    HANLIN_UNROLL
    for (int p = kSubPairs * sub; p < kSubPairs * (sub + 1); ++p) {
      dots = _mm256_add_epi32(dots, _mm256_madd_epi16(input_pair(steps[p / 2], p % 2), broadcast_bytes(q + 2 * p)));
      add_here(dots);
    }
    return dots;
  }
};

void gemm_int16(const GemmArgs& args) {
  with_format(args.w->format, [&]<Packed kFormat>() {
    if constexpr (!is_float(kFormat)) multiply_rows<Int16Product<kFormat>>(args);
  });
}

// 16 values, in units of the largest, to int16; their sum goes to `sum`.
HANLIN_INLINE void store_int16(const __m256* unit, int16_t* q, int32_t* sum) {
  const __m256 steps = _mm256_set1_ps(32767.0f);
  const __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(unit[0], steps)), high = _mm256_cvtps_epi32(_mm256_mul_ps(unit[1], steps));
  _mm256_storeu_si256((__m256i*)q, _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8));
  const __m256i eight = _mm256_add_epi32(low, high);
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  *sum = _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}

// Groups whose largest value is below 1e-35 count as zeros, as in quantize_rows.
void quantize_rows16(const float* x, int64_t ldx, int64_t m, int64_t k, int16_t* q, int64_t ldq, float* scale, int32_t* sum) {
  const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1.0f), minus_one = _mm256_set1_ps(-1.0f);
  for (int64_t row = 0; row < m; ++row) {
    for (int64_t g = 0; g < k / kGroup; ++g, ++scale, sum += 2) {
      __m256 unit[4], most = _mm256_setzero_ps();
      HANLIN_UNROLL
      for (int i = 0; i < 4; ++i) {
        unit[i] = _mm256_loadu_ps(x + row * ldx + g * kGroup + 8 * i);
        unit[i] = _mm256_and_ps(unit[i], _mm256_cmp_ps(unit[i], unit[i], _CMP_ORD_Q));
        most = _mm256_max_ps(most, _mm256_andnot_ps(sign, unit[i]));
      }
      __m128 four = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
      four = _mm_max_ps(four, _mm_movehl_ps(four, four));
      float amax = _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
      amax = amax > FLT_MAX ? FLT_MAX : amax;
      const __m256 inverse = _mm256_set1_ps(amax < 1e-35f ? 0.0f : 1.0f / amax);
      HANLIN_UNROLL
      for (int i = 0; i < 4; ++i) unit[i] = _mm256_max_ps(_mm256_min_ps(_mm256_mul_ps(unit[i], inverse), one), minus_one);
      *scale = amax < 1e-35f ? 0.0f : amax / 32767.0f;
      int16_t* out = q + row * ldq + g * kGroup;
      store_int16(unit, out, sum);
      store_int16(unit + 2, out + 16, sum + 1);
    }
  }
}

}  // namespace

void fill_avx2_gemm_int16(KernelTable& table) {
  table.quantize_rows16 = quantize_rows16;
  table.gemm_int16 = gemm_int16;
  table.takes_int16 = takes_16_bits;
}

}  // namespace hanlin::kernels
