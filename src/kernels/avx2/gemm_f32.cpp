// f32 activations times any packed format: quantised panels are expanded to f32 in scratch, f16 and bf16 widened as they are
// loaded; bf16, which takes three instructions, in scratch too where many rows share it. Tiles of 6, 2 or 1 rows x 16
// outputs; each sum runs over k in order in one lane.
#include "kernels/avx2/unpack.h"
#include "kernels/fill.h"

namespace hanlin::kernels {
namespace {

template <Packed kFormat>
void expand(const PackedMatrix& w, int64_t panel, float* out) {
  constexpr Layout kLayout = layout_of(kFormat);
  const uint8_t* quants = w.data + panel * w.panel_bytes;
  const uint8_t* scale_region = quants + quant_region_bytes(kLayout, w.k);
  const __m256i zero = _mm256_set1_epi32(kLayout.zero);
  float scales[64];
  for (int64_t g = 0; g < w.k / kGroup; ++g, out += kGroup * kPanelRows) {
    unpack_scales<kLayout.scales>(scale_region, g, scales);
    for (int half = 0; half < 2; ++half) {
      __m256i numbers[8];
      unpack_half<kFormat>(quants + g * kLayout.group_bytes(), half, numbers);
      for (int s = 0; s < 8; ++s) {
        const float* scale = scales + (kLayout.n_sub() == 2 ? s / 4 * 16 : 0) + 8 * half;
        for (int j = 0; j < 4; ++j) {
          const __m256i number = _mm256_and_si256(_mm256_srli_epi32(numbers[s], 8 * j), _mm256_set1_epi32(255));
          __m256 value = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(number, zero)), _mm256_loadu_ps(scale));
          if constexpr (kLayout.has_min()) value = _mm256_sub_ps(value, _mm256_loadu_ps(scale + 16 * kLayout.n_sub()));
          _mm256_storeu_ps(out + (4 * s + j) * kPanelRows + 8 * half, value);
        }
      }
    }
  }
}

template <Packed kFormat>
HANLIN_INLINE __m256 weights_at(const uint8_t* panel, int64_t k, int half) {
  if constexpr (kFormat == Packed::kF32) return _mm256_loadu_ps((const float*)panel + k * kPanelRows + 8 * half);
  if constexpr (kFormat == Packed::kF16) return load_f16(panel + k * kPanelRows * 2 + 16 * half);
  const __m256i pairs = load_256(panel + k / 2 * 64 + 32 * half);
  return _mm256_castsi256_ps(k % 2 ? _mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000)) : _mm256_slli_epi32(pairs, 16));
}

template <Packed kFormat, int kRows>
void tile(const GemmArgs& args, const uint8_t* weights, int64_t row, int64_t panel) {
  __m256 sums[kRows][2];
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) sums[r][0] = sums[r][1] = _mm256_setzero_ps();
  const float* x = args.x + row * args.ldx;
  const auto add_input = [&](int64_t k) __attribute__((always_inline)) {
    const __m256 w0 = weights_at<kFormat>(weights, k, 0), w1 = weights_at<kFormat>(weights, k, 1);
    HANLIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const __m256 value = _mm256_set1_ps(x[r * args.ldx + k]);
      sums[r][0] = _mm256_fmadd_ps(value, w0, sums[r][0]);
      sums[r][1] = _mm256_fmadd_ps(value, w1, sums[r][1]);
    }
  };
  int64_t k = 0;
  for (; k + 2 <= args.w->k; k += 2) {
    add_input(k);
    add_input(k + 1);
  }
  if (k < args.w->k) add_input(k);
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) store_outputs(args, row + r, panel, sums[r][0], sums[r][1]);
}

template <Packed kFormat>
void panel_rows(const GemmArgs& args, const uint8_t* weights, int64_t panel) {
  int64_t row = 0;
  for (; row + 6 <= args.m; row += 6) tile<kFormat, 6>(args, weights, row, panel);
  for (; row + 2 <= args.m; row += 2) tile<kFormat, 2>(args, weights, row, panel);
  for (; row < args.m; ++row) tile<kFormat, 1>(args, weights, row, panel);
}

template <Packed kFormat>
void gemm_of(const GemmArgs& args) {
  constexpr int64_t kWidenedRows = 12;  // from two tiles on
  for (int64_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
    const uint8_t* weights = args.w->data + panel * args.w->panel_bytes;
    if constexpr (is_float(kFormat)) {
      if (kFormat != Packed::kBF16 || args.m < kWidenedRows) {
        panel_rows<kFormat>(args, weights, panel);
        continue;
      }
    }
    auto* expanded = (float*)args.scratch;
    if constexpr (is_float(kFormat)) {
      for (int64_t k = 0; k < args.w->k; ++k) {
        for (int half = 0; half < 2; ++half) _mm256_storeu_ps(expanded + k * kPanelRows + 8 * half, weights_at<kFormat>(weights, k, half));
      }
    } else {
      expand<kFormat>(*args.w, panel, expanded);
    }
    panel_rows<Packed::kF32>(args, (const uint8_t*)expanded, panel);
  }
}

void gemm_f32(const GemmArgs& args) {
  with_format(args.w->format, [&]<Packed kFormat>() { gemm_of<kFormat>(args); });
}

}  // namespace

void fill_avx2_gemm_f32(KernelTable& table) { table.gemm_f32 = gemm_f32; }

}  // namespace hanlin::kernels
