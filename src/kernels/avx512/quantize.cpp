// Rounding activations to int8 (quantize_rows of args.h), 16 groups at a time: a register holds one input of 16 groups, so
// sums over a group's 32 inputs need no horizontal step and the choice among the candidate steps no branch. The loads are
// transposed on the way in, the bytes on the way out.
#include "kernels/fill.h"
#include "kernels/quantize-inl.h"

namespace hanlin::kernels {
namespace {

constexpr int kBatch = 16;

// 16 rows of 16 floats, row i at in[i], become out[j] = input j of every row.
HANLIN_INLINE void load_transposed(const float* const* in, int64_t offset, __m512* out) {
  __m512 a[16], b[16];
  HANLIN_UNROLL
  for (int i = 0; i < 16; ++i) a[i] = _mm512_loadu_ps(in[i] + offset);
  HANLIN_UNROLL
  for (int i = 0; i < 16; i += 2) {  // pairs of rows interleave within each quarter of a register
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
  HANLIN_UNROLL
  for (int i = 0; i < 16; i += 4) {  // a[i + c], quarter q: input 4 q + c of rows i … i + 3
    a[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(b[i]), _mm512_castps_pd(b[i + 2])));
    a[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(b[i]), _mm512_castps_pd(b[i + 2])));
    a[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(b[i + 1]), _mm512_castps_pd(b[i + 3])));
    a[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(b[i + 1]), _mm512_castps_pd(b[i + 3])));
  }
  HANLIN_UNROLL
  for (int c = 0; c < 4; ++c) {  // the quarters of four registers, transposed
    const __m512 low0 = _mm512_shuffle_f32x4(a[c], a[c + 4], 0x88), low1 = _mm512_shuffle_f32x4(a[c + 8], a[c + 12], 0x88);
    const __m512 high0 = _mm512_shuffle_f32x4(a[c], a[c + 4], 0xdd), high1 = _mm512_shuffle_f32x4(a[c + 8], a[c + 12], 0xdd);
    out[c] = _mm512_shuffle_f32x4(low0, low1, 0x88);
    out[c + 8] = _mm512_shuffle_f32x4(low0, low1, 0xdd);
    out[c + 4] = _mm512_shuffle_f32x4(high0, high1, 0x88);
    out[c + 12] = _mm512_shuffle_f32x4(high0, high1, 0xdd);
  }
}

// Four registers of 4 bytes of each of 16 groups become, for group g, 16 bytes at out[g] + offset; groups from n on are left out.
HANLIN_INLINE void store_transposed(const __m512i* d, int8_t* const* out, int64_t offset, int n) {
  const __m512i b0 = _mm512_unpacklo_epi32(d[0], d[1]), b1 = _mm512_unpackhi_epi32(d[0], d[1]);
  const __m512i b2 = _mm512_unpacklo_epi32(d[2], d[3]), b3 = _mm512_unpackhi_epi32(d[2], d[3]);
  alignas(64) int8_t lines[4][4][16];  // [c][quarter]: group 4 * quarter + c
  _mm512_store_si512(lines[0], _mm512_unpacklo_epi64(b0, b2));
  _mm512_store_si512(lines[1], _mm512_unpackhi_epi64(b0, b2));
  _mm512_store_si512(lines[2], _mm512_unpacklo_epi64(b1, b3));
  _mm512_store_si512(lines[3], _mm512_unpackhi_epi64(b1, b3));
  for (int g = 0; g < n; ++g) memcpy(out[g] + offset, lines[g % 4][g / 4], 16);
}

// Groups at in[0 … 15] (32 floats each); the first n of them are stored.
void quantize_batch(const float* const* in, int8_t* const* out, int n, float* scale, int32_t* sum) {
  alignas(64) __m512 unit[kGroup];  // in units of the group's largest value
  load_transposed(in, 0, unit);
  load_transposed(in, 16, unit + 16);
  __m512 amax = _mm512_setzero_ps();
  for (int i = 0; i < kGroup; ++i) {
    unit[i] = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(unit[i], unit[i], _CMP_ORD_Q), unit[i]);
    amax = _mm512_max_ps(amax, _mm512_abs_ps(unit[i]));
  }
  amax = _mm512_min_ps(amax, _mm512_set1_ps(FLT_MAX));
  const __mmask16 is_zero = _mm512_cmp_ps_mask(amax, _mm512_set1_ps(1e-35f), _CMP_LT_OQ);
  const __m512 one = _mm512_set1_ps(1.0f), minus_one = _mm512_set1_ps(-1.0f);
  const __m512 inverse = _mm512_maskz_div_ps((__mmask16)~is_zero, one, amax);
  __m512 cross[4], square[4];  // sum(x q) and sum(q q) of each candidate
  HANLIN_UNROLL
  for (int c = 0; c < 4; ++c) cross[c] = square[c] = _mm512_setzero_ps();
  for (int i = 0; i < kGroup; ++i) {
    const __m512 x = _mm512_max_ps(_mm512_min_ps(_mm512_mul_ps(unit[i], inverse), one), minus_one);
    unit[i] = x;
    HANLIN_UNROLL
    for (int c = 0; c < 4; ++c) {
      const __m512 r = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(kGroupSteps[c])), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      cross[c] = _mm512_fmadd_ps(x, r, cross[c]);
      square[c] = _mm512_fmadd_ps(r, r, square[c]);
    }
  }
  __m512 best = minus_one, best_steps = _mm512_setzero_ps(), best_scale = _mm512_setzero_ps();
  HANLIN_UNROLL
  for (int c = 0; c < 4; ++c) {
    const __mmask16 is_number = _mm512_cmp_ps_mask(square[c], _mm512_setzero_ps(), _CMP_GT_OQ);
    const __m512 step = _mm512_maskz_div_ps(is_number, cross[c], square[c]), explained = _mm512_mul_ps(cross[c], step);
    const __mmask16 better = _mm512_cmp_ps_mask(explained, best, _CMP_GT_OQ);
    best = _mm512_mask_mov_ps(best, better, explained);
    best_steps = _mm512_mask_mov_ps(best_steps, better, _mm512_set1_ps(kGroupSteps[c]));
    best_scale = _mm512_mask_mov_ps(best_scale, better, step);
  }
  const __mmask16 stored = (__mmask16)((1u << n) - 1);
  _mm512_mask_storeu_ps(scale, stored, _mm512_mul_ps(best_scale, amax));
  alignas(64) int32_t sums[2][kBatch];
  const __m512i byte = _mm512_set1_epi32(255);
  HANLIN_UNROLL
  for (int half = 0; half < 2; ++half) {
    __m512i total = _mm512_setzero_si512(), four[4];
    for (int t = 0; t < 4; ++t) {
      __m512i q[4];
      HANLIN_UNROLL
      for (int j = 0; j < 4; ++j) {
        q[j] = _mm512_cvtps_epi32(_mm512_mul_ps(unit[16 * half + 4 * t + j], best_steps));
        total = _mm512_add_epi32(total, q[j]);
        q[j] = j < 3 ? _mm512_and_si512(q[j], byte) : q[j];
      }
      four[t] = _mm512_or_si512(_mm512_or_si512(q[0], _mm512_slli_epi32(q[1], 8)), _mm512_or_si512(_mm512_slli_epi32(q[2], 16), _mm512_slli_epi32(q[3], 24)));
    }
    store_transposed(four, out, 16 * half, n);
    _mm512_store_si512(sums[half], total);
  }
  for (int g = 0; g < n; ++g) {
    sum[2 * g] = sums[0][g];
    sum[2 * g + 1] = sums[1][g];
  }
}

}  // namespace

void fill_avx512_quantize(KernelTable& table) { table.quantize_rows = quantize_in_batches<kBatch, quantize_batch>; }

}  // namespace hanlin::kernels
