// int8 and int16 activations times packed weights with VNNI. Panels are 64-byte aligned; outputs past n are masked at the store.
//
// int16 activations come as two int8 digits, 256 * high + low (KernelTable::int16_in_digits), so each takes two products: as many
// as vpdpwssd would, from the same unpacked weights.
//
// Few rows (up to 8): a group is unpacked into 8 registers and used for all rows at once, so every byte of the panel is
//   read once. 8 registers of weights, 1 to 8 of f32 sums.
// More rows: a group of two panels is unpacked into 16 registers and used for up to kTileRows rows, whose sums are in L1.
// In both, each row sees the same operations in the same order, so a row's result does not depend on its company.
//
// Zero point: the integer sum starts at -zero * sum(q), read from a table made once for a tile of rows. Mins: the same table holds
// scale_x * sum(q) as f32, and min times that is subtracted.
#pragma once

#include "kernels/avx512/unpack.h"
#include "kernels/read-ahead-inl.h"

namespace hanlin::kernels {
namespace {

constexpr int kTileRows = 32;

// Bytes of activations that a group takes.
template <bool kDigits>
constexpr int kGroupBytes = kGroup * (1 + kDigits);

// The activations as bytes; ldq counts them too.
template <bool kDigits>
HANLIN_INLINE QuantRows activations(const GemmArgs& args) {
  if constexpr (!kDigits) return args.xq;
  else return {(const int8_t*)args.xq16.q, 2 * args.xq16.ldq, args.xq16.scale, args.xq16.sum};
}

// Corrections of rows [row, row + n): int32 -zero * sum, or f32 scale_x * sum; [n][K/32 * n_sub].
template <Packed kFormat>
void make_corrections(const QuantRows& x, int64_t groups, int64_t row, int64_t n, int32_t* out) {
  constexpr Layout kLayout = layout_of(kFormat);
  constexpr int kSub = kLayout.n_sub();
  const __m512i minus_zero = _mm512_set1_epi32(-kLayout.zero), twice = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
  for (int64_t r = row; r < row + n; ++r) {
    const int32_t* sum = x.sum + r * groups * 2;
    const float* scale = x.scale + r * groups;
    for (int64_t g = 0; g < groups; g += 8, sum += 16, scale += 8) {
      const int left = groups - g < 8 ? (int)(groups - g) : 8;
      const __mmask16 single = (__mmask16)((1u << left) - 1), pairs = (__mmask16)((1u << 2 * left) - 1);
      __m512i value = _mm512_maskz_loadu_epi32(pairs, sum);  // two sums of 16 per group
      __m512 x_scale = _mm512_maskz_loadu_ps(single, scale);
      if constexpr (kSub == 1) {
        value = _mm512_add_epi32(value, _mm512_srli_epi64(value, 32));
        value = _mm512_castsi256_si512(_mm512_cvtepi64_epi32(value));
      } else {
        x_scale = _mm512_permutexvar_ps(twice, x_scale);
      }
      if constexpr (kLayout.has_min()) {
        value = _mm512_castps_si512(_mm512_mul_ps(x_scale, _mm512_cvtepi32_ps(value)));
      } else {
        value = _mm512_mullo_epi32(value, minus_zero);
      }
      _mm512_mask_storeu_epi32(out, kSub == 1 ? single : pairs, value);
      out += left * kSub;
    }
  }
}

// dots[p] += the products of step s, inputs 4 s … 4 s + 3.
template <int kPanels>
HANLIN_INLINE void add_step(__m512i* dots, const __m512i (*w)[8], int s, const int8_t* q) {
  if constexpr (kPanels == 1) {
    dots[0] = dot4(dots[0], w[0][s], q + 4 * s);
  } else {
    int32_t four;
    memcpy(&four, q + 4 * s, 4);
    const __m512i x = _mm512_set1_epi32(four);
    HANLIN_UNROLL
    for (int p = 0; p < kPanels; ++p) dots[p] = _mm512_dpbusd_epi32(dots[p], w[p][s], x);
  }
}

// One row's share of one group, for kPanels panels. Eight products and three (with a min four) instructions to fold them
// in: 8 / 11 of the VNNI peak is what per-group scales allow.
template <int kSub, bool kMin, bool kDigits, int kPanels>
HANLIN_INLINE void add_group(__m512* sums, const __m512i (*w)[8], const GroupScales* scales, const int8_t* q, float x_scale,
                             const int32_t* correction) {
  const __m512 xs = _mm512_set1_ps(x_scale);
  HANLIN_UNROLL
  for (int sub = 0; sub < kSub; ++sub) {
    const __m512i start = _mm512_set1_epi32(correction[sub]);
    // Two chains of additions: the low and the high digits, or even and odd steps where one chain would be eight long and few
    // others run beside it.
    constexpr bool kTwo = kDigits || (kSub == 1 && kPanels > 1);
    __m512i dots[kPanels], others[kPanels];
    HANLIN_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      dots[p] = kMin ? _mm512_setzero_si512() : start;
      others[p] = _mm512_setzero_si512();
    }
    HANLIN_UNROLL
    for (int s = 8 / kSub * sub; s < 8 / kSub * (sub + 1); ++s) {
      if constexpr (kDigits) {
        add_step<kPanels>(others, w, s, q);
        add_step<kPanels>(dots, w, s, q + kGroup);
      } else {
        add_step<kPanels>(kTwo && s % 2 == 1 ? others : dots, w, s, q);
      }
    }
    HANLIN_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      if constexpr (kTwo) dots[p] = _mm512_add_epi32(dots[p], kDigits ? _mm512_slli_epi32(others[p], 8) : others[p]);
      sums[p] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[p]), _mm512_mul_ps(scales[p].scale[sub], xs), sums[p]);
      if constexpr (kMin) sums[p] = _mm512_fnmadd_ps(scales[p].min[sub], _mm512_castsi512_ps(start), sums[p]);
    }
  }
}

// Calls for what is wanted some groups after g, and for the scales of the panel `next`.
template <Layout kLayout>
HANLIN_INLINE void prefetch_ahead(const uint8_t* quants, const uint8_t* next, int64_t groups, int64_t g) {
  prefetch_group<kLayout, 2048>(quants, next, groups, g);
  _mm_prefetch((const char*)next + quant_region_bytes(kLayout, groups * kGroup) + g * kLayout.group_scale_bytes(), _MM_HINT_T1);
}

// ------------------------------------------------------------------------------------------------------------ few rows

// Panels [panel, panel + kPanels) side by side: each is a stream of its own for the hardware prefetcher. One thread reads
// 30 % faster from four streams than from one (Zen 4), but the prefetcher begins anew with every panel.
template <Packed kFormat, bool kDigits, int kRows, int kPanels>
void few_rows_panels(const GemmArgs& args, const int32_t* corrections, int64_t panel) {
  constexpr Layout kLayout = layout_of(kFormat);
  const QuantRows x = activations<kDigits>(args);
  constexpr int kSub = kLayout.n_sub(), kBytes = kLayout.group_bytes();
  const int64_t k = args.w->k, groups = k / kGroup, stride = args.w->panel_bytes;
  const int8_t* q[kRows];
  const float* x_scale[kRows];
  const int32_t* correction[kRows];
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const int64_t row = r < args.m ? r : args.m - 1;  // missing rows repeat the last one and are not stored
    q[r] = x.q + row * x.ldq;
    x_scale[r] = x.scale + row * groups;
    correction[r] = corrections + row * groups * kSub;
  }
  const uint8_t* quants = args.w->data + panel * stride;
  const uint8_t* scale_region = quants + quant_region_bytes(kLayout, k);
  const uint8_t* next = panels_after(args, panel + kPanels);
  __m512 sums[kPanels][kRows];
  HANLIN_UNROLL
  for (int p = 0; p < kPanels; ++p) {
    HANLIN_UNROLL
    for (int r = 0; r < kRows; ++r) sums[p][r] = _mm512_setzero_ps();
  }
  for (int64_t g = 0; g < groups; ++g) {
    HANLIN_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      const uint8_t* src = quants + p * stride + g * kBytes;
      prefetch_ahead<kLayout>(quants + p * stride, next + p * stride, groups, g);
      __m512i w[8];
      unpack_group<kFormat>(src, w);
      const GroupScales scales = load_scales<kLayout.scales>(scale_region + p * stride, g);
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        add_group<kSub, kLayout.has_min(), kDigits, 1>(&sums[p][r], &w, &scales, q[r] + g * kGroupBytes<kDigits>, x_scale[r][g], correction[r] + g * kSub);
      }
    }
  }
  HANLIN_UNROLL
  for (int p = 0; p < kPanels; ++p) {
    HANLIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      if (r < args.m) store_outputs(args, r, panel + p, sums[p][r]);
    }
  }
}

template <Packed kFormat, bool kDigits, int kRows>
void few_rows(const GemmArgs& args, const int32_t* corrections) {
  constexpr int kPanels = kRows <= 2 ? 4 : kRows == 4 ? 2 : 1;
  int64_t panel = args.panel_begin;
  for (; panel + kPanels <= args.panel_end; panel += kPanels) few_rows_panels<kFormat, kDigits, kRows, kPanels>(args, corrections, panel);
  for (; panel < args.panel_end; ++panel) few_rows_panels<kFormat, kDigits, kRows, 1>(args, corrections, panel);
}

template <Packed kFormat, bool kDigits>
void few_rows_of(const GemmArgs& args) {
  int32_t* corrections = (int32_t*)args.scratch;
  make_corrections<kFormat>(activations<kDigits>(args), args.w->k / kGroup, 0, args.m, corrections);
  if (args.m == 1) return few_rows<kFormat, kDigits, 1>(args, corrections);
  if (args.m == 2) return few_rows<kFormat, kDigits, 2>(args, corrections);
  if (args.m <= 4) return few_rows<kFormat, kDigits, 4>(args, corrections);
  return few_rows<kFormat, kDigits, 8>(args, corrections);
}

// ----------------------------------------------------------------------------------------------------------- many rows

// Rows [row, row + n_rows), at most kTileRows, times kPanels panels. The weights of a group are unpacked into registers and stay
// there over the rows, the f32 sums are in L1: one broadcast activation serves two products, and the loop is bound by
// multiplications, not by loads. Unpacking takes 2 to 4 % of the work of 32 rows and spares the numbers' way through memory.
template <Packed kFormat, bool kDigits, int kPanels>
void tile(const GemmArgs& args, const int32_t* corrections, int64_t row, int64_t n_rows, int64_t panel) {
  constexpr Layout kLayout = layout_of(kFormat);
  constexpr int kSub = kLayout.n_sub();
  const QuantRows x = activations<kDigits>(args);
  const int64_t groups = args.w->k / kGroup, stride = args.w->panel_bytes;
  const uint8_t* quants = args.w->data + panel * stride;
  const uint8_t* scale_region = quants + quant_region_bytes(kLayout, args.w->k);
  const uint8_t* next = panels_after(args, panel + kPanels);
  alignas(64) float sums[kTileRows][kPanels][16];
  for (int64_t r = 0; r < n_rows; ++r) {
    for (int p = 0; p < kPanels; ++p) {
      _mm512_store_ps(sums[r][p], _mm512_setzero_ps());
      __builtin_prefetch(args.y + (row + r) * args.ldy + (panel + p) * kPanelRows, 1);
    }
  }
  for (int64_t g = 0; g < groups; ++g) {
    __m512i u[kPanels][8];
    GroupScales scales[kPanels];
    HANLIN_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      prefetch_ahead<kLayout>(quants + p * stride, next + p * stride, groups, g);
      unpack_group<kFormat>(quants + p * stride + g * kLayout.group_bytes(), u[p]);
      scales[p] = load_scales<kLayout.scales>(scale_region + p * stride, g);
    }
    const int8_t* q = x.q + row * x.ldq + g * kGroupBytes<kDigits>;
    const float* x_scale = x.scale + row * groups + g;
    const int32_t* correction = corrections + g * kSub;
    for (int64_t r = 0; r < n_rows; ++r, q += x.ldq, x_scale += groups, correction += groups * kSub) {
      __m512 sum[kPanels];
      HANLIN_UNROLL
      for (int p = 0; p < kPanels; ++p) sum[p] = _mm512_load_ps(sums[r][p]);
      _mm_prefetch((const char*)q + 128, _MM_HINT_T0);  // these are too many rows for the prefetchers to follow
      add_group<kSub, kLayout.has_min(), kDigits, kPanels>(sum, u, scales, q, *x_scale, correction);
      HANLIN_UNROLL
      for (int p = 0; p < kPanels; ++p) _mm512_store_ps(sums[r][p], sum[p]);
    }
  }
  for (int64_t r = 0; r < n_rows; ++r) {
    for (int p = 0; p < kPanels; ++p) store_outputs(args, row + r, panel + p, _mm512_load_ps(sums[r][p]));
  }
}

// The activations of a tile of rows stay in the second-level cache, and the call's panels pass by.
template <Packed kFormat, bool kDigits>
void many_rows_of(const GemmArgs& args) {
  int32_t* corrections = (int32_t*)args.scratch;
  const int64_t n_tiles = (args.m + kTileRows - 1) / kTileRows;
  for (int64_t t = 0; t < n_tiles; ++t) {
    const int64_t first = args.m * t / n_tiles, n_rows = args.m * (t + 1) / n_tiles - first;  // tiles of about the same height
    make_corrections<kFormat>(activations<kDigits>(args), args.w->k / kGroup, first, n_rows, corrections);
    int64_t panel = args.panel_begin;
    for (; panel + 2 <= args.panel_end; panel += 2) tile<kFormat, kDigits, 2>(args, corrections, first, n_rows, panel);
    if (panel < args.panel_end) tile<kFormat, kDigits, 1>(args, corrections, first, n_rows, panel);
  }
}

template <Packed kFormat, bool kDigits>
void vnni_gemm(const GemmArgs& args) {
  if (args.m > 0) args.m <= 8 ? few_rows_of<kFormat, kDigits>(args) : many_rows_of<kFormat, kDigits>(args);
}

}  // namespace
}  // namespace hanlin::kernels
