// The AVX-512 level (F BW VL DQ VNNI): hand-written products and attention, the generic loops in 512-bit vectors.
#include "kernels/fill.h"

#include "kernels/generic-inl.h"

namespace hanlin::kernels {
namespace {

HANLIN_INLINE __m512 clean(__m512 x) {
  const __m512 largest = _mm512_set1_ps(FLT_MAX);
  const __m512 number = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), x);
  return _mm512_max_ps(_mm512_min_ps(number, largest), _mm512_sub_ps(_mm512_setzero_ps(), largest));
}

HANLIN_INLINE __m512i round_to_int8(__m512 x, __m512 inverse) {
  const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(x, inverse));
  return _mm512_max_epi32(_mm512_min_epi32(rounded, _mm512_set1_epi32(127)), _mm512_set1_epi32(-127));
}

// As in generic-inl.h, two registers a group.
void quantize_rows_512(const float* x, int64_t ldx, int64_t m, int64_t k, int8_t* q, float* scale, int32_t* sum) {
  const int64_t groups = k / kGroup;
  for (int64_t row = 0; row < m; ++row) {
    for (int64_t g = 0; g < groups; ++g) {
      const float* in = x + row * ldx + g * kGroup;
      int8_t* out = q + row * k + g * kGroup;
      const __m512 x0 = clean(_mm512_loadu_ps(in)), x1 = clean(_mm512_loadu_ps(in + 16));
      const float amax = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(x0), _mm512_abs_ps(x1)));
      const bool zero = amax < 1e-35f;
      const __m512 inverse = _mm512_set1_ps(zero ? 0.0f : 127.0f / amax);
      const __m512i q0 = round_to_int8(x0, inverse), q1 = round_to_int8(x1, inverse);
      _mm_storeu_si128((__m128i*)out, _mm512_cvtepi32_epi8(q0));
      _mm_storeu_si128((__m128i*)(out + 16), _mm512_cvtepi32_epi8(q1));
      const __m512 f0 = _mm512_cvtepi32_ps(q0), f1 = _mm512_cvtepi32_ps(q1);
      const float xq = _mm512_reduce_add_ps(_mm512_fmadd_ps(_mm512_mul_ps(x0, inverse), f0, _mm512_mul_ps(_mm512_mul_ps(x1, inverse), f1)));
      const float qq = _mm512_reduce_add_ps(_mm512_fmadd_ps(f0, f0, _mm512_mul_ps(f1, f1)));
      scale[row * groups + g] = zero ? 0.0f : amax / 127.0f * (xq / qq);
      sum[2 * (row * groups + g)] = _mm512_reduce_add_epi32(q0);
      sum[2 * (row * groups + g) + 1] = _mm512_reduce_add_epi32(q1);
    }
  }
}

}  // namespace

void fill_avx512(KernelTable& table) {
  table.isa = Isa::kAvx512;
  fill_generic(table);
  table.quantize_rows = quantize_rows_512;
  fill_avx512_attention(table);
  fill_avx512_gemm_int8(table);
  fill_avx512_gemm_f32(table);
}

}  // namespace hanlin::kernels
