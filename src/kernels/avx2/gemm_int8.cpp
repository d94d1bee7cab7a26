// int8 activations times packed weights with vpmaddubsw, exactly: sums of pairs stay below 2^15 as long as only so many
// steps are added in 16 bits (numbers up to 15: 8 steps, 31: 4, 63: 2). 8-bit numbers are taken as signed, |w| <= 128, and go
// pair by pair to 32 bits with the sign moved to the activation.
//
// One row works on registers, as groups are unpacked. For more rows a whole panel is unpacked to memory, over which tiles of 4, 2
// or 1 rows x 16 outputs run. Each row sees the same operations in the same order whatever its company.
#include "kernels/avx2/unpack.h"
#include "kernels/fill.h"
#include "kernels/read-ahead-inl.h"

namespace hanlin::kernels {
namespace {

// What the loops over a format's groups need to know of it.
template <Packed kFormat>
struct Shape {
  static constexpr Layout kLayout = layout_of(kFormat);
  static constexpr bool kSigned = kLayout.bits == 8 || kLayout.lut;
  static constexpr int kZero = kSigned ? kLayout.zero - 128 : kLayout.zero;
  static constexpr int kSub = kLayout.n_sub(), kSubSteps = 8 / kSub;            // scales of a group, steps of a scale
  static constexpr int kScaleFloats = 16 * kSub * (kLayout.has_min() ? 2 : 1);  // unpacked, of a group
  static constexpr int kFitting = 32767 / (((1 << kLayout.bits) - 1) * 127 * 2);
  static constexpr int kPower = kSigned ? 1 : kFitting >= 8 ? 8 : kFitting >= 4 ? 4 : 2;
  static constexpr int kSteps = kPower < kSubSteps ? kPower : kSubSteps;        // steps whose pair sums fit into 16 bits
};

// Numbers as the products take them: 8-bit ones signed.
template <Packed kFormat>
HANLIN_INLINE __m256i operand(__m256i w) { return Shape<kFormat>::kSigned ? _mm256_xor_si256(w, _mm256_set1_epi8((char)0x80)) : w; }

template <Packed kFormat>
HANLIN_INLINE __m256i pair_products(__m256i w, __m256i x) {
  return Shape<kFormat>::kSigned ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) : _mm256_maddubs_epi16(w, x);
}

HANLIN_INLINE __m256i broadcast_step(const int8_t* q) {
  int32_t four;
  memcpy(&four, q, 4);
  return _mm256_set1_epi32(four);
}

// Sums of activations that correct for a format's zero and mins: of sub-group `sub` of group `g`.
template <Packed kFormat>
HANLIN_INLINE int32_t sum_of_inputs(const int32_t* sums, int sub) { return Shape<kFormat>::kSub == 2 ? sums[sub] : sums[0] + sums[1]; }

// sum + scale * x_scale * dots - min * correction, for 8 outputs from `scales` on (unpack_scales).
template <Packed kFormat>
HANLIN_INLINE __m256 add_scaled(__m256 sum, __m256i dots, const float* scales, int sub, __m256 x_scale, __m256 correction) {
  using S = Shape<kFormat>;
  sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots), _mm256_mul_ps(_mm256_loadu_ps(scales + 16 * sub), x_scale), sum);
  if constexpr (S::kLayout.has_min()) sum = _mm256_fnmadd_ps(_mm256_loadu_ps(scales + 16 * (S::kSub + sub)), correction, sum);
  return sum;
}

// A panel as tiles take it: numbers [group][8 steps][2 halves][32], scales as unpack_scales leaves them.
template <Packed kFormat>
HANLIN_INLINE void open_panel(const PackedMatrix& w, int64_t panel, uint8_t* numbers, float* scales) {
  using S = Shape<kFormat>;
  const uint8_t* quants = w.data + panel * w.panel_bytes;
  const uint8_t* scale_region = quants + quant_region_bytes(S::kLayout, w.k);
  for (int64_t g = 0; g < w.k / kGroup; ++g, numbers += 512, scales += S::kScaleFloats) {
    for (int half = 0; half < 2; ++half) {
      __m256i steps[8];
      unpack_half<kFormat>(quants + g * S::kLayout.group_bytes(), half, steps);
      HANLIN_UNROLL
      for (int s = 0; s < 8; ++s) store_256(numbers + 64 * s + 32 * half, operand<kFormat>(steps[s]));
    }
    unpack_scales<S::kLayout.scales>(scale_region, g, scales);
  }
}

// Rows row … row + kRows - 1 times an open panel (open_panel).
template <Packed kFormat, int kRows>
void tile(const GemmArgs& args, int64_t row, int64_t panel, const uint8_t* numbers, const float* scales, ReadAhead& ahead) {
  using S = Shape<kFormat>;
  const int64_t k = args.w->k, groups = k / kGroup;
  const __m256i ones = _mm256_set1_epi16(1);
  float sums[kRows][16] = {{0}};
  for (int64_t g = 0; g < groups; ++g, numbers += 512, scales += S::kScaleFloats) {
    const int8_t* q = args.xq.q + row * k + g * kGroup;
    ahead.step();
    for (int sub = 0; sub < S::kSub; ++sub) {
      __m256i dots[kRows][2];
      int32_t q_sums[kRows];
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        q_sums[r] = sum_of_inputs<kFormat>(args.xq.sum + ((row + r) * groups + g) * 2, sub);
        dots[r][0] = dots[r][1] = _mm256_set1_epi32(-S::kZero * q_sums[r]);
      }
      HANLIN_UNROLL
      for (int s0 = sub * S::kSubSteps; s0 < (sub + 1) * S::kSubSteps; s0 += S::kSteps) {
        __m256i pairs[kRows][2];
        HANLIN_UNROLL
        for (int s = s0; s < s0 + S::kSteps; ++s) {
          const __m256i w[2] = {load_256(numbers + 64 * s), load_256(numbers + 64 * s + 32)};
          HANLIN_UNROLL
          for (int r = 0; r < kRows; ++r) {
            const __m256i x = broadcast_step(q + r * k + 4 * s);
            HANLIN_UNROLL
            for (int half = 0; half < 2; ++half) {
              const __m256i products = pair_products<kFormat>(w[half], x);
              pairs[r][half] = s == s0 ? products : _mm256_add_epi16(pairs[r][half], products);
              add_here(pairs[r][half]);
            }
          }
        }
        HANLIN_UNROLL
        for (int r = 0; r < kRows; ++r) {
          HANLIN_UNROLL
          for (int half = 0; half < 2; ++half) {
            dots[r][half] = _mm256_add_epi32(dots[r][half], _mm256_madd_epi16(pairs[r][half], ones));
            if constexpr (S::kSteps == 1) add_here(dots[r][half]);  // else few additions, and registers are short
          }
        }
      }
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const __m256 x_scale = _mm256_set1_ps(args.xq.scale[(row + r) * groups + g]);
        HANLIN_UNROLL
        for (int half = 0; half < 2; ++half) {
          float* sum = sums[r] + 8 * half;
          _mm256_storeu_ps(sum, add_scaled<kFormat>(_mm256_loadu_ps(sum), dots[r][half], scales + 8 * half, sub, x_scale, _mm256_mul_ps(x_scale, _mm256_cvtepi32_ps(_mm256_set1_epi32(q_sums[r])))));
        }
      }
    }
  }
  for (int r = 0; r < kRows; ++r) store_outputs(args, row + r, panel, _mm256_loadu_ps(sums[r]), _mm256_loadu_ps(sums[r] + 8));
}

// sums[2] of 8 outputs += a group of one row, from packed numbers.
template <Packed kFormat>
HANLIN_INLINE void add_packed_group(const GemmArgs& args, int64_t g, const uint8_t* quants, const uint8_t* scale_region, __m256* sums) {
  using S = Shape<kFormat>;
  const __m256i ones = _mm256_set1_epi16(1);
  const int8_t* q = args.xq.q + g * kGroup;
  alignas(32) float scales[S::kScaleFloats];
  unpack_scales<S::kLayout.scales>(scale_region, g, scales);
  const __m256 x_scale = _mm256_set1_ps(args.xq.scale[g]);
  HANLIN_UNROLL
  for (int half = 0; half < 2; ++half) {
    __m256i steps[8];
    unpack_half<kFormat>(quants + g * S::kLayout.group_bytes(), half, steps);
    HANLIN_UNROLL
    for (int sub = 0; sub < S::kSub; ++sub) {
      const int32_t q_sum = sum_of_inputs<kFormat>(args.xq.sum + 2 * g, sub);
      __m256i dots = _mm256_set1_epi32(-S::kZero * q_sum);
      HANLIN_UNROLL
      for (int s0 = sub * S::kSubSteps; s0 < (sub + 1) * S::kSubSteps; s0 += S::kSteps) {
        __m256i pairs = _mm256_setzero_si256();
        HANLIN_UNROLL
        for (int s = s0; s < s0 + S::kSteps; ++s) {
          pairs = _mm256_add_epi16(pairs, pair_products<kFormat>(operand<kFormat>(steps[s]), broadcast_step(q + 4 * s)));
          add_here(pairs);
        }
        dots = _mm256_add_epi32(dots, _mm256_madd_epi16(pairs, ones));
      }
      sums[half] = add_scaled<kFormat>(sums[half], dots, scales + 8 * half, sub, x_scale, _mm256_set1_ps(args.xq.scale[g] * (float)q_sum));
    }
  }
}

// kPanels at a time: memory is read fastest in several streams.
template <Packed kFormat, int kPanels>
HANLIN_INLINE void one_row_panels(const GemmArgs& args, int64_t panel) {
  using S = Shape<kFormat>;
  const uint8_t* quants = args.w->data + panel * args.w->panel_bytes;
  const uint8_t* scale_region = quants + quant_region_bytes(S::kLayout, args.w->k);
  __m256 sums[kPanels][2];
  for (int p = 0; p < kPanels; ++p) sums[p][0] = sums[p][1] = _mm256_setzero_ps();
  for (int64_t g = 0; g < args.w->k / kGroup; ++g) {
    for (int p = 0; p < kPanels; ++p) add_packed_group<kFormat>(args, g, quants + p * args.w->panel_bytes, scale_region + p * args.w->panel_bytes, sums[p]);
  }
  for (int p = 0; p < kPanels; ++p) store_outputs(args, 0, panel + p, sums[p][0], sums[p][1]);
}

template <Packed kFormat>
void one_row(const GemmArgs& args) {
  int64_t panel = args.panel_begin;
  for (; panel + 4 <= args.panel_end; panel += 4) one_row_panels<kFormat, 4>(args, panel);
  for (; panel < args.panel_end; ++panel) one_row_panels<kFormat, 1>(args, panel);
}

template <Packed kFormat>
void gemm_of(const GemmArgs& args) {
  if (args.m == 0) return;
  if (args.m == 1) return one_row<kFormat>(args);
  uint8_t* numbers = (uint8_t*)args.scratch;
  float* scales = (float*)(numbers + 16 * args.w->k);
  const int64_t n_tiles = args.m / 4 + (args.m & 2) / 2 + (args.m & 1);
  for (int64_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
    open_panel<kFormat>(*args.w, panel, numbers, scales);
    ReadAhead ahead = read_ahead(args, panel, 1, n_tiles * (args.w->k / kGroup));
    int64_t row = 0;
    for (; row + 4 <= args.m; row += 4) tile<kFormat, 4>(args, row, panel, numbers, scales, ahead);
    for (; row + 2 <= args.m; row += 2) tile<kFormat, 2>(args, row, panel, numbers, scales, ahead);
    for (; row < args.m; ++row) tile<kFormat, 1>(args, row, panel, numbers, scales, ahead);
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
