// int16 activations times packed weights with vpmaddwd, exactly: a group's 32 products of 8-bit numbers and 16-bit activations
// stay below 2^29. For rows that need more than 8 bits: two int8 products take twice as long as one of these.
//
// One row works on registers, as groups are unpacked. For more rows a whole panel is unpacked to memory, over which tiles of 4, 2
// or 1 rows x 16 outputs run. Each row sees the same operations in the same order whatever its company.
#include "kernels/avx2/unpack.h"
#include "kernels/fill.h"
#include "kernels/read-ahead-inl.h"

namespace hanlin::kernels {
namespace {

constexpr int kOpenGroup = kGroup * kPanelRows;  // numbers of a group in an open panel

// Unpacked scales and mins of a group (unpack_scales).
constexpr int scale_floats(const Layout& layout) { return 16 * layout.n_sub() * (layout.has_min() ? 2 : 1); }

// Inputs 0 and 1, or 2 and 3, of a step's 8 outputs as unsigned 16-bit numbers.
HANLIN_INLINE __m256i input_pair(__m256i step, int pair) {
  // Bytes 4 n and 4 n + 1 (or + 2 and + 3) of lane n, each with a zero above it.
  const __m128i from = _mm_setr_epi8(0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1);
  return _mm256_shuffle_epi8(step, _mm256_broadcastsi128_si256(pair == 0 ? from : _mm_add_epi8(from, _mm_set1_epi16(2))));
}

HANLIN_INLINE __m256i broadcast_pair(const int16_t* q) {
  int32_t two;
  memcpy(&two, q, 4);
  return _mm256_set1_epi32(two);
}

// Sum of the activations that sub-group `sub` of a group takes.
template <int kSub>
HANLIN_INLINE int32_t sum_of_inputs(const int32_t* sums, int sub) { return kSub == 2 ? sums[sub] : sums[0] + sums[1]; }

// sum + scale * x_scale * dots - min * x_scale * q_sum, for 8 outputs from `scales` on (unpack_scales).
template <int kSub, bool kMin>
HANLIN_INLINE __m256 add_scaled(__m256 sum, __m256i dots, const float* scales, int sub, float x_scale, int32_t q_sum) {
  sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots), _mm256_mul_ps(_mm256_loadu_ps(scales + 16 * sub), _mm256_set1_ps(x_scale)), sum);
  if constexpr (kMin) sum = _mm256_fnmadd_ps(_mm256_loadu_ps(scales + 16 * (kSub + sub)), _mm256_set1_ps(x_scale * (float)q_sum), sum);
  return sum;
}

// A panel as tiles take it: numbers, less the format's zero, [group][16 pairs of inputs][16 outputs][2], scales as unpack_scales
// leaves them.
template <Packed kFormat>
void open_panel(const PackedMatrix& w, int64_t panel, int16_t* numbers, float* scales) {
  constexpr Layout kLayout = layout_of(kFormat);
  const uint8_t* quants = w.data + panel * w.panel_bytes;
  const uint8_t* scale_region = quants + quant_region_bytes(kLayout, w.k);
  const __m256i zero = _mm256_set1_epi16((short)kLayout.zero);
  for (int64_t g = 0; g < w.k / kGroup; ++g, numbers += kOpenGroup, scales += scale_floats(kLayout)) {
    for (int half = 0; half < 2; ++half) {
      __m256i steps[8];
      unpack_half<kFormat>(quants + g * kLayout.group_bytes(), half, steps);
      HANLIN_UNROLL
      for (int p = 0; p < 16; ++p) _mm256_storeu_si256((__m256i*)(numbers + 32 * p + 16 * half), _mm256_sub_epi16(input_pair(steps[p / 2], p % 2), zero));
    }
    unpack_scales<kLayout.scales>(scale_region, g, scales);
  }
}

// Rows row … row + kRows - 1 times an open panel (open_panel).
template <int kSub, bool kMin, int kRows>
void tile(const GemmArgs& args, int64_t row, int64_t panel, const int16_t* numbers, const float* scales, ReadAhead& ahead) {
  const int64_t k = args.w->k, groups = k / kGroup;
  float sums[kRows][16] = {{0}};
  for (int64_t g = 0; g < groups; ++g, numbers += kOpenGroup, scales += 16 * kSub * (kMin ? 2 : 1)) {
    const int16_t* q = args.xq16.q + row * k + g * kGroup;
    ahead.step();
    HANLIN_UNROLL
    for (int sub = 0; sub < kSub; ++sub) {
      __m256i dots[kRows][2];
      HANLIN_UNROLL
      for (int p = 16 / kSub * sub; p < 16 / kSub * (sub + 1); ++p) {
        const __m256i w[2] = {_mm256_loadu_si256((const __m256i*)(numbers + 32 * p)), _mm256_loadu_si256((const __m256i*)(numbers + 32 * p + 16))};
        HANLIN_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const __m256i x = broadcast_pair(q + r * k + 2 * p);
          HANLIN_UNROLL
          for (int half = 0; half < 2; ++half) {
            const __m256i products = _mm256_madd_epi16(w[half], x);
            dots[r][half] = p == 16 / kSub * sub ? products : _mm256_add_epi32(dots[r][half], products);
            add_here(dots[r][half]);
          }
        }
      }
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const int64_t at = (row + r) * groups + g;
        HANLIN_UNROLL
        for (int half = 0; half < 2; ++half) {
          float* sum = sums[r] + 8 * half;
          _mm256_storeu_ps(sum, add_scaled<kSub, kMin>(_mm256_loadu_ps(sum), dots[r][half], scales + 8 * half, sub, args.xq16.scale[at], sum_of_inputs<kSub>(args.xq16.sum + 2 * at, sub)));
        }
      }
    }
  }
  for (int r = 0; r < kRows; ++r) store_outputs(args, row + r, panel, _mm256_loadu_ps(sums[r]), _mm256_loadu_ps(sums[r] + 8));
}

// sums[2] of 8 outputs += a group of one row, from packed numbers.
template <Packed kFormat>
HANLIN_INLINE void add_packed_group(const GemmArgs& args, int64_t g, const uint8_t* quants, const uint8_t* scale_region, __m256* sums) {
  constexpr Layout kLayout = layout_of(kFormat);
  constexpr int kSub = kLayout.n_sub();
  const int16_t* q = args.xq16.q + g * kGroup;
  alignas(32) float scales[scale_floats(kLayout)];
  unpack_scales<kLayout.scales>(scale_region, g, scales);
  HANLIN_UNROLL
  for (int half = 0; half < 2; ++half) {
    __m256i steps[8];
    unpack_half<kFormat>(quants + g * kLayout.group_bytes(), half, steps);
    HANLIN_UNROLL
    for (int sub = 0; sub < kSub; ++sub) {
      const int32_t q_sum = sum_of_inputs<kSub>(args.xq16.sum + 2 * g, sub);
      __m256i dots = _mm256_set1_epi32(-kLayout.zero * q_sum);
      HANLIN_UNROLL
      for (int p = 16 / kSub * sub; p < 16 / kSub * (sub + 1); ++p) {
        dots = _mm256_add_epi32(dots, _mm256_madd_epi16(input_pair(steps[p / 2], p % 2), broadcast_pair(q + 2 * p)));
        add_here(dots);
      }
      sums[half] = add_scaled<kSub, kLayout.has_min()>(sums[half], dots, scales + 8 * half, sub, args.xq16.scale[g], q_sum);
    }
  }
}

// kPanels at a time: memory is read fastest in several streams.
template <Packed kFormat, int kPanels>
HANLIN_INLINE void one_row_panels(const GemmArgs& args, int64_t panel) {
  const uint8_t* quants = args.w->data + panel * args.w->panel_bytes;
  const uint8_t* scale_region = quants + quant_region_bytes(layout_of(kFormat), args.w->k);
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
  constexpr int kSub = layout_of(kFormat).n_sub();
  constexpr bool kMin = layout_of(kFormat).has_min();
  if (args.m == 0) return;
  if (args.m == 1) return one_row<kFormat>(args);
  int16_t* numbers = (int16_t*)args.scratch;
  float* scales = (float*)(numbers + 16 * args.w->k);
  const int64_t n_tiles = args.m / 4 + (args.m & 2) / 2 + (args.m & 1);
  for (int64_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
    open_panel<kFormat>(*args.w, panel, numbers, scales);
    ReadAhead ahead = read_ahead(args, panel, 1, n_tiles * (args.w->k / kGroup));
    int64_t row = 0;
    for (; row + 4 <= args.m; row += 4) tile<kSub, kMin, 4>(args, row, panel, numbers, scales, ahead);
    for (; row + 2 <= args.m; row += 2) tile<kSub, kMin, 2>(args, row, panel, numbers, scales, ahead);
    for (; row < args.m; ++row) tile<kSub, kMin, 1>(args, row, panel, numbers, scales, ahead);
  }
}

void gemm_int16(const GemmArgs& args) {
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
    default: return;  // float formats have no integer product
  }
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
void quantize_rows16(const float* x, int64_t ldx, int64_t m, int64_t k, int16_t* q, float* scale, int32_t* sum) {
  const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1.0f), minus_one = _mm256_set1_ps(-1.0f);
  for (int64_t row = 0; row < m; ++row) {
    for (int64_t g = 0; g < k / kGroup; ++g, q += kGroup, ++scale, sum += 2) {
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
      store_int16(unit, q, sum);
      store_int16(unit + 2, q + 16, sum + 1);
    }
  }
}

}  // namespace

void fill_avx2_gemm_int16(KernelTable& table) {
  table.quantize_rows16 = quantize_rows16;
  table.gemm_int16 = gemm_int16;
}

}  // namespace hanlin::kernels
