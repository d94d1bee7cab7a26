// What the products of int8 and of int16 activations share: everything but the products themselves.
//
// Few rows work on registers, as groups are unpacked. For more rows a whole panel is unpacked to memory, over which tiles of 4, 2
// or 1 rows x 16 outputs run. Each row sees the same operations in the same order whatever its company.
//
// A Product is a struct for one format, kFormat, with
//   Number                                               what an open panel holds, 512 for each group of 32 inputs
//   kFewRows                                             up to so many rows are faster without an open panel
//   activations(args)                                    {q, ldq, scale, sum} of the rows that it takes
//   store_half(steps, half, numbers)                     puts 8 outputs of a group (unpack_half) into an open panel
//   dot_tile<kRows>(q, ldq, numbers, sub, correction, ldc, dots)
//                                                        dots[kRows][2]: sums of sub-group `sub`, the format's zero taken off, of rows
//                                                        ldq (corrections: ldc) apart and the 16 outputs of an open panel's group
//   dot_packed(q, steps, sub, correction)                the same of one row and 8 outputs as unpack_half leaves them
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

// What a format's zero and mins take from the sums of rows [row, row + n): int32 -zero * sum q, where integer sums begin, or with mins
// f32 x_scale * sum q; [n][K/32][n_sub].
template <Packed kFormat, class Activations>
void make_corrections(const Activations& x, int64_t groups, int64_t row, int64_t n, int32_t* out) {
  constexpr Layout kLayout = layout_of(kFormat);
  constexpr int kSub = kLayout.n_sub(), kStep = 8 / kSub;  // groups of a register
  const __m256i minus_zero = _mm256_set1_epi32(-kLayout.zero), twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
  for (int64_t r = row; r < row + n; ++r) {
    const int32_t* sums = x.sum + r * groups * 2;
    const float* scales = x.scale + r * groups;
    int64_t g = 0;
    for (; g + kStep <= groups; g += kStep, out += 8) {
      const auto* pairs = (const __m256i*)(sums + 2 * g);
      __m256i value = _mm256_loadu_si256(pairs);
      __m256 x_scale;
      if constexpr (kSub == 1) {
        value = _mm256_permute4x64_epi64(_mm256_hadd_epi32(value, _mm256_loadu_si256(pairs + 1)), 0xd8);
        x_scale = _mm256_loadu_ps(scales + g);
      } else {
        x_scale = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(scales + g)), twice);
      }
      if constexpr (kLayout.has_min()) value = _mm256_castps_si256(_mm256_mul_ps(x_scale, _mm256_cvtepi32_ps(value)));
      else value = _mm256_mullo_epi32(value, minus_zero);
      _mm256_storeu_si256((__m256i*)out, value);
    }
    for (; g < groups; ++g) {
      for (int sub = 0; sub < kSub; ++sub, ++out) {
        const int32_t sum = kSub == 2 ? sums[2 * g + sub] : sums[2 * g] + sums[2 * g + 1];
        const float product = scales[g] * (float)sum;
        if constexpr (kLayout.has_min()) memcpy(out, &product, 4);
        else *out = -kLayout.zero * sum;
      }
    }
  }
}

// Where the integer sums of outputs begin.
template <Packed kFormat>
HANLIN_INLINE __m256i first_sum(const int32_t* correction) {
  return layout_of(kFormat).has_min() ? _mm256_setzero_si256() : _mm256_set1_epi32(*correction);
}

// sum + scale * x_scale * dots - min * x_scale * sum q, for 8 outputs from `scales` on (unpack_scales).
template <Packed kFormat>
HANLIN_INLINE __m256 add_scaled(__m256 sum, __m256i dots, const float* scales, int sub, __m256 x_scale, const int32_t* correction) {
  constexpr Layout kLayout = layout_of(kFormat);
  sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots), _mm256_mul_ps(_mm256_loadu_ps(scales + 16 * sub), x_scale), sum);
  if constexpr (kLayout.has_min()) {
    sum = _mm256_fnmadd_ps(_mm256_loadu_ps(scales + 16 * (kLayout.n_sub() + sub)), _mm256_castsi256_ps(_mm256_set1_epi32(*correction)), sum);
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

// Rows row … row + kRows - 1 times an open panel; `correction` is the first row's.
template <class Product, int kRows>
void tile(const GemmArgs& args, const int32_t* correction, int64_t row, int64_t panel, const typename Product::Number* numbers, const float* scales, ReadAhead& ahead) {
  constexpr Layout kLayout = layout_of(Product::kFormat);
  constexpr int kSub = kLayout.n_sub();
  const auto x = Product::activations(args);
  const int64_t groups = args.w->k / kGroup, ldq = x.ldq;
  const auto* q = x.q + row * ldq;
  float sums[kRows][16];
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) {  // an initialiser becomes `rep stos`, which takes a twentieth of a short product's time
    _mm256_storeu_ps(sums[r], _mm256_setzero_ps());
    _mm256_storeu_ps(sums[r] + 8, _mm256_setzero_ps());
    __builtin_prefetch(args.y + (row + r) * args.ldy + panel * kPanelRows, 1);
  }
  for (int64_t g = 0; g < groups; ++g, q += kGroup, numbers += 512, scales += scale_floats(kLayout), correction += kSub) {
    ahead.step();
    HANLIN_UNROLL
    for (int sub = 0; sub < kSub; ++sub) {
      __m256i dots[kRows][2];
      Product::template dot_tile<kRows>(q, ldq, numbers, sub, correction + sub, groups * kSub, dots);
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const __m256 x_scale = _mm256_set1_ps(x.scale[(row + r) * groups + g]);
        HANLIN_UNROLL
        for (int half = 0; half < 2; ++half) {
          float* sum = sums[r] + 8 * half;
          _mm256_storeu_ps(sum, add_scaled<Product::kFormat>(_mm256_loadu_ps(sum), dots[r][half], scales + 8 * half, sub, x_scale, correction + r * groups * kSub + sub));
        }
      }
    }
  }
  for (int r = 0; r < kRows; ++r) store_outputs(args, row + r, panel, _mm256_loadu_ps(sums[r]), _mm256_loadu_ps(sums[r] + 8));
}

// sum of 8 outputs += a row's group, with numbers as unpack_half leaves them.
template <class Product, class Number>
HANLIN_INLINE __m256 add_half(__m256 sum, const Number* q, float x_scale, const int32_t* correction, const __m256i* steps, const float* scales) {
  constexpr int kSub = layout_of(Product::kFormat).n_sub();
  HANLIN_UNROLL
  for (int sub = 0; sub < kSub; ++sub) {
    const __m256i dots = Product::dot_packed(q, steps, sub, correction + sub);
    sum = add_scaled<Product::kFormat>(sum, dots, scales, sub, _mm256_set1_ps(x_scale), correction + sub);
  }
  return sum;
}

// Calls for what one row wants some groups after g, of a panel or, past its end, of the panel `next`. The hardware's prefetchers
// alone lose a fifth where groups are not a power of two or scales stand for 32 inputs, and begin anew with every panel.
template <Layout kLayout>
HANLIN_INLINE void prefetch_ahead(const uint8_t* quants, const uint8_t* next, int64_t groups, int64_t g) {
  constexpr int kBytes = kLayout.group_scale_bytes();
  prefetch_group<kLayout, 1536>(quants, next, groups, g);
  const int64_t wanted = g + 256 / kBytes;
  const uint8_t* panel = wanted < groups ? quants + wanted * kBytes : next + (wanted - groups) * kBytes;
  _mm_prefetch((const char*)panel + quant_region_bytes(kLayout, groups * kGroup), _MM_HINT_T0);
}

// One row times kPanels panels as they are packed: memory is read fastest in several streams.
template <class Product, int kPanels>
HANLIN_INLINE void one_row(const GemmArgs& args, const int32_t* corrections, int64_t row, int64_t panel) {
  constexpr Layout kLayout = layout_of(Product::kFormat);
  const auto x = Product::activations(args);
  const int64_t stride = args.w->panel_bytes, groups = args.w->k / kGroup;
  const uint8_t* quants = args.w->data + panel * stride;
  const uint8_t* scale_region = quants + quant_region_bytes(kLayout, args.w->k);
  const uint8_t* next = panels_after(args, panel + kPanels);
  const auto* q = x.q + row * x.ldq;
  const float* x_scales = x.scale + row * groups;
  __m256 sums[kPanels][2];
  for (int p = 0; p < kPanels; ++p) sums[p][0] = sums[p][1] = _mm256_setzero_ps();
  for (int64_t g = 0; g < groups; ++g, q += kGroup, corrections += kLayout.n_sub()) {
    for (int p = 0; p < kPanels; ++p) {
      const uint8_t* group = quants + p * stride + g * kLayout.group_bytes();
      prefetch_ahead<kLayout>(quants + p * stride, next + p * stride, groups, g);
      alignas(32) float scales[scale_floats(kLayout)];
      unpack_scales<kLayout.scales>(scale_region + p * stride, g, scales);
      HANLIN_UNROLL
      for (int half = 0; half < 2; ++half) {
        __m256i steps[8];
        unpack_half<Product::kFormat>(group, half, steps);
        sums[p][half] = add_half<Product>(sums[p][half], q, x_scales[g], corrections, steps, scales + 8 * half);
      }
    }
  }
  for (int p = 0; p < kPanels; ++p) store_outputs(args, row, panel + p, sums[p][0], sums[p][1]);
}

// Rows from `row` on, at most kFewRows, times a panel as it is packed: a half's numbers stay in registers over the rows, the sums in L1.
template <class Product>
void few_rows(const GemmArgs& args, const int32_t* corrections, int64_t row, int64_t n_rows, int64_t panel) {
  constexpr Layout kLayout = layout_of(Product::kFormat);
  const auto x = Product::activations(args);
  const int64_t k = args.w->k, groups = k / kGroup;
  const uint8_t* quants = args.w->data + panel * args.w->panel_bytes;
  const uint8_t* scale_region = quants + quant_region_bytes(kLayout, k);
  const auto* q = x.q + row * x.ldq;
  const float* x_scales = x.scale + row * groups;
  __m256 sums[Product::kFewRows][2];
  for (int64_t r = 0; r < n_rows; ++r) sums[r][0] = sums[r][1] = _mm256_setzero_ps();
  ReadAhead ahead = read_ahead(args, panel, 1, groups);
  for (int64_t g = 0; g < groups; ++g) {
    ahead.step();
    alignas(32) float scales[scale_floats(kLayout)];
    unpack_scales<kLayout.scales>(scale_region, g, scales);
    HANLIN_UNROLL
    for (int half = 0; half < 2; ++half) {
      __m256i steps[8];
      unpack_half<Product::kFormat>(quants + g * kLayout.group_bytes(), half, steps);
      for (int64_t r = 0; r < n_rows; ++r) {
        sums[r][half] = add_half<Product>(sums[r][half], q + r * x.ldq + g * kGroup, x_scales[r * groups + g],
                                          corrections + (r * groups + g) * kLayout.n_sub(), steps, scales + 8 * half);
      }
    }
  }
  for (int64_t r = 0; r < n_rows; ++r) store_outputs(args, row + r, panel, sums[r][0], sums[r][1]);
}

template <class Product>
void multiply_rows(const GemmArgs& args) {
  const int64_t k = args.w->k, groups = k / kGroup;
  auto* corrections = (int32_t*)args.scratch;
  auto* numbers = (typename Product::Number*)((uint8_t*)args.scratch + 64 * k);
  float* scales = (float*)(numbers + 16 * k);
  for (int64_t begin = 0; begin < args.m; begin += kGemmBlockRows) {
    const int64_t n_rows = args.m - begin < kGemmBlockRows ? args.m - begin : kGemmBlockRows;
    make_corrections<Product::kFormat>(Product::activations(args), groups, begin, n_rows, corrections);
    int64_t panel = args.panel_begin;
    if (n_rows == 1) {
      for (; panel + 4 <= args.panel_end; panel += 4) one_row<Product, 4>(args, corrections, begin, panel);
      for (; panel < args.panel_end; ++panel) one_row<Product, 1>(args, corrections, begin, panel);
    }
    if (n_rows <= Product::kFewRows) {
      for (; panel < args.panel_end; ++panel) few_rows<Product>(args, corrections, begin, n_rows, panel);
    }
    const int64_t n_tiles = n_rows / 4 + (n_rows & 2) / 2 + (n_rows & 1);
    for (; panel < args.panel_end; ++panel) {
      open_panel<Product>(*args.w, panel, numbers, scales);
      ReadAhead ahead = read_ahead(args, panel, 1, n_tiles * groups);
      const auto rows = [&]<int kRows>(int64_t& row) {
        for (; row + kRows <= n_rows; row += kRows) {
          tile<Product, kRows>(args, corrections + row * groups * layout_of(Product::kFormat).n_sub(), begin + row, panel, numbers, scales, ahead);
        }
      };
      int64_t row = 0;
      rows.template operator()<4>(row);
      rows.template operator()<2>(row);
      rows.template operator()<1>(row);
    }
  }
}

}  // namespace
}  // namespace hanlin::kernels
