// int16 activations, for rows that need more than 8 bits of them.
#include "kernels/avx512/gemm_integer-inl.h"
#include "kernels/fill.h"

namespace hanlin::kernels {
namespace {

void gemm_int16(const GemmArgs& args) {
  with_format(args.w->format, [&]<Packed kFormat>() {
    if constexpr (!is_float(kFormat)) vnni_gemm<kFormat, true>(args);
  });
}

constexpr float kDigitSteps = 127 * 256 + 127;  // of a group's largest value: its high digit is then at most 127

// 16 values, in units of the largest, to the high digits at out[0 … 15] and the low ones at out[32 … 47]; returns their sum.
HANLIN_INLINE int32_t store_digits(__m512 unit, int8_t* out) {
  const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(unit, _mm512_set1_ps(kDigitSteps)));
  _mm_storeu_si128((__m128i*)out, _mm512_cvtepi32_epi8(_mm512_srai_epi32(_mm512_add_epi32(q, _mm512_set1_epi32(128)), 8)));
  _mm_storeu_si128((__m128i*)(out + kGroup), _mm512_cvtepi32_epi8(q));
  return _mm512_reduce_add_epi32(q);
}

// Groups whose largest value is below 1e-35 count as zeros, as in quantize_rows.
void quantize_rows16(const float* x, int64_t ldx, int64_t m, int64_t k, int16_t* q, int64_t ldq, float* scale, int32_t* sum) {
  const __m512 one = _mm512_set1_ps(1.0f), minus_one = _mm512_set1_ps(-1.0f);
  for (int64_t row = 0; row < m; ++row) {
    for (int64_t g = 0; g < k / kGroup; ++g, ++scale, sum += 2) {
      __m512 unit[2];
      HANLIN_UNROLL
      for (int i = 0; i < 2; ++i) {
        unit[i] = _mm512_loadu_ps(x + row * ldx + g * kGroup + 16 * i);
        unit[i] = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(unit[i], unit[i], _CMP_ORD_Q), unit[i]);
      }
      float amax = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(unit[0]), _mm512_abs_ps(unit[1])));
      amax = amax > FLT_MAX ? FLT_MAX : amax;
      const __m512 inverse = _mm512_set1_ps(amax < 1e-35f ? 0.0f : 1.0f / amax);
      *scale = amax < 1e-35f ? 0.0f : amax / kDigitSteps;
      auto* out = (int8_t*)(q + row * ldq + g * kGroup);
      HANLIN_UNROLL
      for (int i = 0; i < 2; ++i) {
        sum[i] = store_digits(_mm512_max_ps(_mm512_min_ps(_mm512_mul_ps(unit[i], inverse), one), minus_one), out + 16 * i);
      }
    }
  }
}

}  // namespace

void fill_avx512_gemm_int16(KernelTable& table) {
  table.int16_in_digits = true;
  table.quantize_rows16 = quantize_rows16;
  table.gemm_int16 = gemm_int16;
  table.takes_int16 = [](Packed) { return false; };
}

}  // namespace hanlin::kernels
