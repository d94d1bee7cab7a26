// What the products of int8 and of int16 activations share: the loops over panels and rows, scales, corrections.
//
// One row works on registers, as groups are unpacked. For more rows a whole panel is unpacked to memory, over which tiles of 4, 2
// or 1 rows x 16 outputs run. Each row sees the same operations in the same order whatever its company.
//
// A Product<format> is a struct with
//   Number                                            what an open panel holds, 16 * K of them
//   open_panel(w, panel, numbers, scales)             unpacks a panel; scales as unpack_scales leaves them, group by group
//   tile<kRows>(args, row, panel, numbers, scales, ahead)   rows row … row + kRows - 1 times an open panel
//   add_packed_group(args, g, quants, scale_region, sums)   sums[2] of 8 outputs += group g of row 0, from packed numbers
#pragma once

#include "kernels/avx2/unpack.h"
#include "kernels/read-ahead-inl.h"

namespace hanlin::kernels {
namespace {

// Holds an addition of a chain at its place. g++ moves them to where the sum is needed and leaves all the products in memory until
// then, which takes twice the time.
HANLIN_INLINE void add_here(__m256i& sum) { __asm__("" : "+x"(sum)); }

// The same four bytes of activations in all lanes.
HANLIN_INLINE __m256i broadcast_bytes(const void* q) {
  int32_t four;
  memcpy(&four, q, 4);
  return _mm256_set1_epi32(four);
}

// Unpacked scales and mins of a group.
constexpr int scale_floats(const Layout& layout) { return 16 * layout.n_sub() * (layout.has_min() ? 2 : 1); }

// Sum of the activations that sub-group `sub` of a group takes: corrects for a format's zero and mins.
template <Packed kFormat>
HANLIN_INLINE int32_t sum_of_inputs(const int32_t* sums, int sub) { return layout_of(kFormat).n_sub() == 2 ? sums[sub] : sums[0] + sums[1]; }

// sum + scale * x_scale * dots - min * x_scale * q_sum, for 8 outputs from `scales` on (unpack_scales).
template <Packed kFormat>
HANLIN_INLINE __m256 add_scaled(__m256 sum, __m256i dots, const float* scales, int sub, __m256 x_scale, int32_t q_sum) {
  constexpr Layout kLayout = layout_of(kFormat);
  sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots), _mm256_mul_ps(_mm256_loadu_ps(scales + 16 * sub), x_scale), sum);
  if constexpr (kLayout.has_min()) {
    sum = _mm256_fnmadd_ps(_mm256_loadu_ps(scales + 16 * (kLayout.n_sub() + sub)), _mm256_mul_ps(x_scale, _mm256_cvtepi32_ps(_mm256_set1_epi32(q_sum))), sum);
  }
  return sum;
}

// kPanels at a time: memory is read fastest in several streams.
template <template <Packed> class Product, Packed kFormat, int kPanels>
HANLIN_INLINE void one_row_panels(const GemmArgs& args, int64_t panel) {
  const int64_t stride = args.w->panel_bytes;
  const uint8_t* quants = args.w->data + panel * stride;
  const uint8_t* scale_region = quants + quant_region_bytes(layout_of(kFormat), args.w->k);
  __m256 sums[kPanels][2];
  for (int p = 0; p < kPanels; ++p) sums[p][0] = sums[p][1] = _mm256_setzero_ps();
  for (int64_t g = 0; g < args.w->k / kGroup; ++g) {
    for (int p = 0; p < kPanels; ++p) Product<kFormat>::add_packed_group(args, g, quants + p * stride, scale_region + p * stride, sums[p]);
  }
  for (int p = 0; p < kPanels; ++p) store_outputs(args, 0, panel + p, sums[p][0], sums[p][1]);
}

template <template <Packed> class Product, Packed kFormat>
void multiply_rows(const GemmArgs& args) {
  if (args.m == 1) {
    int64_t panel = args.panel_begin;
    for (; panel + 4 <= args.panel_end; panel += 4) one_row_panels<Product, kFormat, 4>(args, panel);
    for (; panel < args.panel_end; ++panel) one_row_panels<Product, kFormat, 1>(args, panel);
    return;
  }
  auto* numbers = (typename Product<kFormat>::Number*)args.scratch;
  float* scales = (float*)(numbers + 16 * args.w->k);
  const int64_t n_tiles = args.m / 4 + (args.m & 2) / 2 + (args.m & 1);
  for (int64_t panel = args.panel_begin; panel < args.panel_end && args.m > 0; ++panel) {
    Product<kFormat>::open_panel(*args.w, panel, numbers, scales);
    ReadAhead ahead = read_ahead(args, panel, 1, n_tiles * (args.w->k / kGroup));
    int64_t row = 0;
    for (; row + 4 <= args.m; row += 4) Product<kFormat>::template tile<4>(args, row, panel, numbers, scales, ahead);
    for (; row + 2 <= args.m; row += 2) Product<kFormat>::template tile<2>(args, row, panel, numbers, scales, ahead);
    for (; row < args.m; ++row) Product<kFormat>::template tile<1>(args, row, panel, numbers, scales, ahead);
  }
}

}  // namespace
}  // namespace hanlin::kernels
