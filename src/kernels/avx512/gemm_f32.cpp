// f32 activations times any packed format. Quantised panels are expanded to f32 in scratch ([K][16], exactly), f16 and bf16
// are widened as they are loaded. Tiles of 8, 4, 2 or 1 rows x 2 panels; each sum runs over k in order in one lane, so a
// row's result does not depend on the batch.
#include "kernels/avx512/unpack.h"
#include "kernels/fill.h"

namespace hanlin::kernels {
namespace {

template <Packed kFormat>
void expand(const PackedMatrix& w, int64_t panel, float* out) {
  constexpr Layout kLayout = layout_of(kFormat);
  const uint8_t* quants = w.data + panel * w.panel_bytes;
  const uint8_t* scale_region = quants + quant_region_bytes(kLayout, w.k);
  const __m512i zero = _mm512_set1_epi32(kLayout.zero), byte = _mm512_set1_epi32(255);
  for (int64_t g = 0; g < w.k / kGroup; ++g, out += kGroup * kPanelRows) {
    __m512i u[8];
    unpack_group<kFormat>(quants + g * kLayout.group_bytes(), u);
    const GroupScales scales = load_scales<kLayout.scales>(scale_region, g);
    HANLIN_UNROLL
    for (int s = 0; s < 8; ++s) {
      const int sub = kLayout.n_sub() == 2 ? s / 4 : 0;
      const __m512i shifted[4] = {u[s], _mm512_srli_epi32(u[s], 8), _mm512_srli_epi32(u[s], 16), _mm512_srli_epi32(u[s], 24)};
      HANLIN_UNROLL
      for (int j = 0; j < 4; ++j) {
        const __m512 number = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_and_si512(shifted[j], byte), zero));
        __m512 value = _mm512_mul_ps(number, scales.scale[sub]);
        if constexpr (kLayout.has_min()) value = _mm512_sub_ps(value, scales.min[sub]);  // the product is exact
        _mm512_store_ps(out + (4 * s + j) * kPanelRows, value);
      }
    }
  }
}

// Weights of inputs k and k + 1 (the second is not used past the end).
template <Packed kFormat>
HANLIN_INLINE __m512 weights_at(const uint8_t* panel, int64_t k) {
  if constexpr (kFormat == Packed::kF32) return _mm512_load_ps((const float*)panel + k * kPanelRows);
  if constexpr (kFormat == Packed::kF16) return load_f16(panel + k * kPanelRows * 2);
  const __m512i pairs = _mm512_load_si512(panel + k / 2 * 64);
  return _mm512_castsi512_ps(k % 2 ? _mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000)) : _mm512_slli_epi32(pairs, 16));
}

// Two panels share every broadcast activation: one panel alone is bound by loads, not by multiplications.
template <Packed kFormat, int kRows, int kPanels>
void tile(const GemmArgs& args, const uint8_t* weights, int64_t stride, int64_t row, int64_t panel) {
  constexpr int kPointers = kRows < 4 ? kRows : 4, kPer = kRows / kPointers;
  const int64_t ldx = args.ldx, n = args.w->k;
  const float* x[kPointers];
  HANLIN_UNROLL
  for (int p = 0; p < kPointers; ++p) x[p] = args.x + (row + p * kPer) * ldx;
  __m512 sums[kRows][kPanels];
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    HANLIN_UNROLL
    for (int p = 0; p < kPanels; ++p) sums[r][p] = _mm512_setzero_ps();
  }
  const auto add_input = [&](int64_t k) __attribute__((always_inline)) {
    __m512 w[kPanels];
    HANLIN_UNROLL
    for (int p = 0; p < kPanels; ++p) w[p] = weights_at<kFormat>(weights + p * stride, k);
    HANLIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const __m512 value = _mm512_set1_ps(x[r / kPer][r % kPer * ldx + k]);
      HANLIN_UNROLL
      for (int p = 0; p < kPanels; ++p) sums[r][p] = _mm512_fmadd_ps(value, w[p], sums[r][p]);
    }
  };
  int64_t k = 0;
  for (; k + 2 <= n; k += 2) {
    add_input(k);
    add_input(k + 1);
  }
  if (k < n) add_input(k);
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    HANLIN_UNROLL
    for (int p = 0; p < kPanels; ++p) store_outputs(args, row + r, panel + p, sums[r][p]);
  }
}

template <Packed kFormat, int kPanels>
void panel_rows(const GemmArgs& args, const uint8_t* weights, int64_t stride, int64_t panel) {
  int64_t row = 0;
  for (; row + 8 <= args.m; row += 8) tile<kFormat, 8, kPanels>(args, weights, stride, row, panel);
  for (; row + 4 <= args.m; row += 4) tile<kFormat, 4, kPanels>(args, weights, stride, row, panel);
  for (; row + 2 <= args.m; row += 2) tile<kFormat, 2, kPanels>(args, weights, stride, row, panel);
  for (; row < args.m; ++row) tile<kFormat, 1, kPanels>(args, weights, stride, row, panel);
}

template <Packed kFormat, int kPanels>
void panels_of(const GemmArgs& args, int64_t panel) {
  if constexpr (is_float(kFormat)) {
    panel_rows<kFormat, kPanels>(args, args.w->data + panel * args.w->panel_bytes, args.w->panel_bytes, panel);
  } else {
    const int64_t n = args.w->k * kPanelRows;
    float* expanded = (float*)args.scratch;
    for (int p = 0; p < kPanels; ++p) expand<kFormat>(*args.w, panel + p, expanded + p * n);
    panel_rows<Packed::kF32, kPanels>(args, (const uint8_t*)expanded, n * 4, panel);
  }
}

template <Packed kFormat>
void gemm_of(const GemmArgs& args) {
  int64_t panel = args.panel_begin;
  for (; panel + 2 <= args.panel_end; panel += 2) panels_of<kFormat, 2>(args, panel);
  if (panel < args.panel_end) panels_of<kFormat, 1>(args, panel);
}

void gemm_f32(const GemmArgs& args) {
  with_format(args.w->format, [&]<Packed kFormat>() { gemm_of<kFormat>(args); });
}

}  // namespace

void fill_avx512_gemm_f32(KernelTable& table) { table.gemm_f32 = gemm_f32; }

}  // namespace hanlin::kernels
