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

// The sums over lanes of 8 registers, in lanes 0 … 7.
HANLIN_INLINE __m256 sum_each(const __m512* v) {
  __m256 half[8];
  HANLIN_UNROLL
  for (int i = 0; i < 8; ++i) half[i] = _mm256_add_ps(_mm512_castps512_ps256(v[i]), _mm512_extractf32x8_ps(v[i], 1));
  const __m256 a = _mm256_hadd_ps(_mm256_hadd_ps(half[0], half[1]), _mm256_hadd_ps(half[2], half[3]));
  const __m256 b = _mm256_hadd_ps(_mm256_hadd_ps(half[4], half[5]), _mm256_hadd_ps(half[6], half[7]));
  return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}

// As in generic-inl.h, two registers a group.
void quantize_rows_512(const float* x, int64_t ldx, int64_t m, int64_t k, int8_t* q, float* scale, int32_t* sum) {
  const int64_t groups = k / kGroup;
  for (int64_t row = 0; row < m; ++row) {
    for (int64_t g = 0; g < groups; ++g) {
      const float* in = x + row * ldx + g * kGroup;
      int8_t* out = q + row * k + g * kGroup;
      __m512 x0 = clean(_mm512_loadu_ps(in)), x1 = clean(_mm512_loadu_ps(in + 16));
      const float amax = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(x0), _mm512_abs_ps(x1)));
      const __m512 inverse = _mm512_set1_ps(amax < 1e-35f ? 0.0f : 1.0f / amax), one = _mm512_set1_ps(1.0f), minus_one = _mm512_set1_ps(-1.0f);
      x0 = _mm512_max_ps(_mm512_min_ps(_mm512_mul_ps(x0, inverse), one), minus_one);
      x1 = _mm512_max_ps(_mm512_min_ps(_mm512_mul_ps(x1, inverse), one), minus_one);
      __m512 r0[4], r1[4], sums[8];  // sum(x q) and sum(q q) of each candidate
      HANLIN_UNROLL
      for (int c = 0; c < 4; ++c) {
        const __m512 steps = _mm512_set1_ps(kGroupSteps[c]);
        r0[c] = _mm512_roundscale_ps(_mm512_mul_ps(x0, steps), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        r1[c] = _mm512_roundscale_ps(_mm512_mul_ps(x1, steps), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        sums[c] = _mm512_fmadd_ps(x0, r0[c], _mm512_mul_ps(x1, r1[c]));
        sums[c + 4] = _mm512_fmadd_ps(r0[c], r0[c], _mm512_mul_ps(r1[c], r1[c]));
      }
      alignas(32) float lanes[8];
      _mm256_store_ps(lanes, sum_each(sums));
      float best = -1, best_scale = 0;
      __m512i q0 = _mm512_setzero_si512(), q1 = q0;
      HANLIN_UNROLL
      for (int c = 0; c < 4; ++c) {
        const float cross = lanes[c], square = lanes[c + 4];
        const float explained = square > 0 ? cross * cross / square : 0.0f;
        if (explained <= best) continue;
        best = explained;
        best_scale = square > 0 ? amax * (cross / square) : 0.0f;
        q0 = _mm512_cvtps_epi32(r0[c]);
        q1 = _mm512_cvtps_epi32(r1[c]);
      }
      _mm_storeu_si128((__m128i*)out, _mm512_cvtepi32_epi8(q0));
      _mm_storeu_si128((__m128i*)(out + 16), _mm512_cvtepi32_epi8(q1));
      scale[row * groups + g] = best_scale;
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
