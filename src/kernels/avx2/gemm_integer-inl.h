// What the products of int8 and of int16 activations share: everything but the products themselves.
//
// One row works on registers, as groups are unpacked. For more rows a whole panel is unpacked to memory, over which tiles of 4, 2
// or 1 rows x 16 outputs run. Each row sees the same operations in the same order whatever its company.
//
// A Product is a struct for one format, kFormat, with
//   Number                                               what an open panel holds, 512 for each group of 32 inputs
//   activations(args)                                    {q, scale, sum} of the rows that it takes
//   store_half(steps, half, numbers)                     puts 8 outputs of a group (unpack_half) into an open panel
//   dot_tile<kRows>(q, ldq, numbers, sub, q_sums, dots)  dots[kRows][2]: sums of sub-group `sub`, the format's zero taken off, of rows
//                                                        ldq apart and the 16 outputs of an open panel's group
//   dot_packed(q, steps, sub, q_sum)                     the same of one row and 8 outputs as unpack_half leaves them
#pragma once

#include "kernels/avx2/unpack.h"
#include "kernels/read-ahead-inl.h"

namespace hanlin::kernels {
namespace {

// Formats of 8-bit numbers, for which vpmaddubsw's sums of two products are too small.
constexpr bool takes_16_bits(Packed format) { return layout_of(format).bits == 8 || layout_of(format).lut; }

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

// A panel as tiles take it; scales as unpack_scales leaves them, group by group.
template <class Product>
HANLIN_INLINE void open_panel(const PackedMatrix& w, int64_t panel, typename Product::Number* numbers, float* scales) {
  constexpr Layout kLayout = layout_of(Product::kFormat);
  const uint8_t* quants = w.data + panel * w.panel_bytes;
  const uint8_t* scale_region = quants + quant_region_bytes(kLayout, w.k);
  for (int64_t g = 0; g < w.k / kGroup; ++g, numbers += 512, scales += scale_floats(kLayout)) {
    for (int half = 0; half < 2; ++half) {
      __m256i steps[8];
      unpack_half<Product::kFormat>(quants + g * kLayout.group_bytes(), half, steps);
      Product::store_half(steps, half, numbers);
    }
    unpack_scales<kLayout.scales>(scale_region, g, scales);
  }
}

// Rows row … row + kRows - 1 times an open panel.
template <class Product, int kRows>
void tile(const GemmArgs& args, int64_t row, int64_t panel, const typename Product::Number* numbers, const float* scales, ReadAhead& ahead) {
  constexpr Layout kLayout = layout_of(Product::kFormat);
  constexpr int kSub = kLayout.n_sub();
  const auto x = Product::activations(args);
  const int64_t k = args.w->k, groups = k / kGroup;
  float sums[kRows][16];
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) {  // an initialiser becomes `rep stos`, which takes a twentieth of a short product's time
    _mm256_storeu_ps(sums[r], _mm256_setzero_ps());
    _mm256_storeu_ps(sums[r] + 8, _mm256_setzero_ps());
    __builtin_prefetch(args.y + (row + r) * args.ldy + panel * kPanelRows, 1);
  }
  for (int64_t g = 0; g < groups; ++g, numbers += 512, scales += scale_floats(kLayout)) {
    ahead.step();
    HANLIN_UNROLL
    for (int sub = 0; sub < kSub; ++sub) {
      int32_t q_sums[kRows];
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) q_sums[r] = sum_of_inputs<Product::kFormat>(x.sum + ((row + r) * groups + g) * 2, sub);
      __m256i dots[kRows][2];
      Product::template dot_tile<kRows>(x.q + row * k + g * kGroup, k, numbers, sub, q_sums, dots);
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const __m256 x_scale = _mm256_set1_ps(x.scale[(row + r) * groups + g]);
        HANLIN_UNROLL
        for (int half = 0; half < 2; ++half) {
          float* sum = sums[r] + 8 * half;
          _mm256_storeu_ps(sum, add_scaled<Product::kFormat>(_mm256_loadu_ps(sum), dots[r][half], scales + 8 * half, sub, x_scale, q_sums[r]));
        }
      }
    }
  }
  for (int r = 0; r < kRows; ++r) store_outputs(args, row + r, panel, _mm256_loadu_ps(sums[r]), _mm256_loadu_ps(sums[r] + 8));
}

// sums[2] of 8 outputs += group g of row 0, from packed numbers.
template <class Product>
HANLIN_INLINE void add_packed_group(const GemmArgs& args, int64_t g, const uint8_t* quants, const uint8_t* scale_region, __m256* sums) {
  constexpr Layout kLayout = layout_of(Product::kFormat);
  constexpr int kSub = kLayout.n_sub();
  const auto x = Product::activations(args);
  alignas(32) float scales[scale_floats(kLayout)];
  unpack_scales<kLayout.scales>(scale_region, g, scales);
  const __m256 x_scale = _mm256_set1_ps(x.scale[g]);
  HANLIN_UNROLL
  for (int half = 0; half < 2; ++half) {
    __m256i steps[8];
    unpack_half<Product::kFormat>(quants + g * kLayout.group_bytes(), half, steps);
    HANLIN_UNROLL
    for (int sub = 0; sub < kSub; ++sub) {
      const int32_t q_sum = sum_of_inputs<Product::kFormat>(x.sum + 2 * g, sub);
      const __m256i dots = Product::dot_packed(x.q + g * kGroup, steps, sub, q_sum);
      sums[half] = add_scaled<Product::kFormat>(sums[half], dots, scales + 8 * half, sub, x_scale, q_sum);
    }
  }
}

// kPanels at a time: memory is read fastest in several streams.
template <class Product, int kPanels>
HANLIN_INLINE void one_row_panels(const GemmArgs& args, int64_t panel) {
  const int64_t stride = args.w->panel_bytes;
  const uint8_t* quants = args.w->data + panel * stride;
  const uint8_t* scale_region = quants + quant_region_bytes(layout_of(Product::kFormat), args.w->k);
  __m256 sums[kPanels][2];
  for (int p = 0; p < kPanels; ++p) sums[p][0] = sums[p][1] = _mm256_setzero_ps();
  for (int64_t g = 0; g < args.w->k / kGroup; ++g) {
    for (int p = 0; p < kPanels; ++p) add_packed_group<Product>(args, g, quants + p * stride, scale_region + p * stride, sums[p]);
  }
  for (int p = 0; p < kPanels; ++p) store_outputs(args, 0, panel + p, sums[p][0], sums[p][1]);
}

template <class Product>
void multiply_rows(const GemmArgs& args) {
  if (args.m == 1) {
    int64_t panel = args.panel_begin;
    for (; panel + 4 <= args.panel_end; panel += 4) one_row_panels<Product, 4>(args, panel);
    for (; panel < args.panel_end; ++panel) one_row_panels<Product, 1>(args, panel);
    return;
  }
  auto* numbers = (typename Product::Number*)args.scratch;
  float* scales = (float*)(numbers + 16 * args.w->k);
  const int64_t n_tiles = args.m / 4 + (args.m & 2) / 2 + (args.m & 1);
  for (int64_t panel = args.panel_begin; panel < args.panel_end && args.m > 0; ++panel) {
    open_panel<Product>(*args.w, panel, numbers, scales);
    ReadAhead ahead = read_ahead(args, panel, 1, n_tiles * (args.w->k / kGroup));
    int64_t row = 0;
    for (; row + 4 <= args.m; row += 4) tile<Product, 4>(args, row, panel, numbers, scales, ahead);
    for (; row + 2 <= args.m; row += 2) tile<Product, 2>(args, row, panel, numbers, scales, ahead);
    for (; row < args.m; ++row) tile<Product, 1>(args, row, panel, numbers, scales, ahead);
  }
}

}  // namespace
}  // namespace hanlin::kernels
