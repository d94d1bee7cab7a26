// Rounding activations to int8 (quantize_rows of args.h), 8 groups at a time: a register holds one input of 8 groups, so
// sums over a group's 32 inputs need no horizontal step and the choice among the candidate steps no branch. The loads are
// transposed on the way in, the bytes on the way out.
#include "kernels/fill.h"
#include "kernels/quantize-inl.h"

namespace hanlin::kernels {
namespace {

constexpr int kBatch = 8;
constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest even whole number in the low bits

// Rows and columns change places.
HANLIN_INLINE void transpose(const __m256* in, __m256* out) {
  __m256 a[8], b[8];
  HANLIN_UNROLL
  for (int i = 0; i < 8; i += 2) {  // pairs of rows interleave within each half of a register
    a[i] = _mm256_unpacklo_ps(in[i], in[i + 1]);
    a[i + 1] = _mm256_unpackhi_ps(in[i], in[i + 1]);
  }
  HANLIN_UNROLL
  for (int i = 0; i < 8; i += 4) {  // b[i + c], half h: column 4 h + c of rows i … i + 3
    b[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a[i]), _mm256_castps_pd(a[i + 2])));
    b[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a[i]), _mm256_castps_pd(a[i + 2])));
    b[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a[i + 1]), _mm256_castps_pd(a[i + 3])));
    b[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a[i + 1]), _mm256_castps_pd(a[i + 3])));
  }
  HANLIN_UNROLL
  for (int c = 0; c < 4; ++c) {
    out[c] = _mm256_permute2f128_ps(b[c], b[c + 4], 0x20);
    out[c + 4] = _mm256_permute2f128_ps(b[c], b[c + 4], 0x31);
  }
}

// Groups at in[0 … 7] (32 floats each); the first n of them are stored.
void quantize_batch(const float* const* in, int8_t* const* out, int n, float* scale, int32_t* sum) {
  alignas(32) __m256 unit[kGroup];  // in units of the group's largest value
  HANLIN_UNROLL
  for (int i = 0; i < kGroup; i += 8) {
    __m256 rows[8];
    HANLIN_UNROLL
    for (int r = 0; r < 8; ++r) rows[r] = _mm256_loadu_ps(in[r] + i);
    transpose(rows, unit + i);
  }
  const __m256 zero = _mm256_setzero_ps(), one = _mm256_set1_ps(1.0f), minus_one = _mm256_set1_ps(-1.0f), magic = _mm256_set1_ps(kMagic);
  __m256 amax = zero;
  for (int i = 0; i < kGroup; ++i) {
    unit[i] = _mm256_and_ps(unit[i], _mm256_cmp_ps(unit[i], unit[i], _CMP_ORD_Q));
    amax = _mm256_max_ps(amax, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), unit[i]));
  }
  amax = _mm256_min_ps(amax, _mm256_set1_ps(FLT_MAX));
  const __m256 inverse = _mm256_and_ps(_mm256_div_ps(one, amax), _mm256_cmp_ps(amax, _mm256_set1_ps(1e-35f), _CMP_GE_OQ));
  __m256 cross[4], square[4];  // sum(x q) and sum(q q) of each candidate
  HANLIN_UNROLL
  for (int c = 0; c < 4; ++c) cross[c] = square[c] = zero;
  for (int i = 0; i < kGroup; ++i) {
    const __m256 x = _mm256_max_ps(_mm256_min_ps(_mm256_mul_ps(unit[i], inverse), one), minus_one);
    unit[i] = x;
    HANLIN_UNROLL
    for (int c = 0; c < 4; ++c) {
      const __m256 r = _mm256_sub_ps(_mm256_fmadd_ps(x, _mm256_set1_ps(kGroupSteps[c]), magic), magic);
      cross[c] = _mm256_fmadd_ps(x, r, cross[c]);
      square[c] = _mm256_fmadd_ps(r, r, square[c]);
    }
  }
  __m256 best = minus_one, best_steps = zero, best_scale = zero;
  HANLIN_UNROLL
  for (int c = 0; c < 4; ++c) {
    const __m256 step = _mm256_and_ps(_mm256_div_ps(cross[c], square[c]), _mm256_cmp_ps(square[c], zero, _CMP_GT_OQ)), explained = _mm256_mul_ps(cross[c], step);
    const __m256 better = _mm256_cmp_ps(explained, best, _CMP_GT_OQ);
    best = _mm256_blendv_ps(best, explained, better);
    best_steps = _mm256_blendv_ps(best_steps, _mm256_set1_ps(kGroupSteps[c]), better);
    best_scale = _mm256_blendv_ps(best_scale, step, better);
  }
  alignas(32) float scales[kBatch];
  alignas(32) int32_t sums[2][kBatch];
  _mm256_store_ps(scales, _mm256_mul_ps(best_scale, amax));
  const __m256i byte = _mm256_set1_epi32(255);
  __m256 four[8], lines[8];  // four[t]: inputs 4 t … 4 t + 3 as bytes, of every group; lines[g]: a group's 32 bytes
  HANLIN_UNROLL
  for (int half = 0; half < 2; ++half) {
    __m256i total = _mm256_setzero_si256();
    HANLIN_UNROLL
    for (int t = 4 * half; t < 4 * half + 4; ++t) {
      __m256i q[4];
      HANLIN_UNROLL
      for (int j = 0; j < 4; ++j) {
        q[j] = _mm256_sub_epi32(_mm256_castps_si256(_mm256_fmadd_ps(unit[4 * t + j], best_steps, magic)), _mm256_castps_si256(magic));
        total = _mm256_add_epi32(total, q[j]);
        q[j] = j < 3 ? _mm256_and_si256(q[j], byte) : q[j];
      }
      four[t] = _mm256_castsi256_ps(_mm256_or_si256(_mm256_or_si256(q[0], _mm256_slli_epi32(q[1], 8)), _mm256_or_si256(_mm256_slli_epi32(q[2], 16), _mm256_slli_epi32(q[3], 24))));
    }
    _mm256_store_si256((__m256i*)sums[half], total);
  }
  transpose(four, lines);
  HANLIN_UNROLL
  for (int g = 0; g < kBatch; ++g) {
    if (g >= n) break;
    _mm256_storeu_ps((float*)out[g], lines[g]);
    scale[g] = scales[g];
    sum[2 * g] = sums[0][g];
    sum[2 * g + 1] = sums[1][g];
  }
}

}  // namespace

void fill_avx2_quantize(KernelTable& table) { table.quantize_rows = quantize_in_batches<kBatch, quantize_batch>; }

}  // namespace hanlin::kernels
