// int8 activations times packed weights with VNNI. Panels are 64-byte aligned; outputs past n are masked at the store.
//
// Few rows (up to 8): a group is unpacked into 8 registers and used for all rows at once, so every byte of the panel is
//   read once. 8 registers of weights, 1 to 8 of f32 sums.
// More rows: two panels are unpacked into scratch (bytes and f32 scales), then tiles of up to kTileRows rows run over them.
// In both, each row sees the same operations in the same order, so a row's result does not depend on its company.
//
// Zero point: the integer sum starts at -zero * sum(q), read from a table made once per call. Mins: the same table holds
// scale_x * sum(q) as f32, and min times that is subtracted.
#pragma once

#include "kernels/avx512/unpack.h"
#include "kernels/read-ahead-inl.h"

namespace hanlin::kernels {
namespace {

constexpr int kTileRows = 16;
constexpr int64_t kOpenBytes = 24;  // an open panel takes at most 24 * K bytes: 16 of numbers, 8 of scales

// Corrections of rows [row, row + n): int32 -zero * sum, or f32 scale_x * sum; [n][K/32 * n_sub].
template <Packed kFormat>
void make_corrections(const GemmArgs& args, int64_t row, int64_t n, int32_t* out) {
  constexpr Layout kLayout = layout_of(kFormat);
  constexpr int kSub = kLayout.n_sub();
  const int64_t groups = args.w->k / kGroup;
  const __m512i minus_zero = _mm512_set1_epi32(-kLayout.zero), twice = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
  for (int64_t r = row; r < row + n; ++r) {
    const int32_t* sum = args.xq.sum + r * groups * 2;
    const float* scale = args.xq.scale + r * groups;
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

// One row's share of one group, for kPanels panels. Eight products and three (with a min four) instructions to fold them
// in: 8 / 11 of the VNNI peak is what per-group scales allow.
template <int kSub, bool kMin, int kPanels>
HANLIN_INLINE void add_group(__m512* sums, const __m512i (*w)[8], const GroupScales* scales, const int8_t* q, float x_scale,
                             const int32_t* correction) {
  const __m512 xs = _mm512_set1_ps(x_scale);
  HANLIN_UNROLL
  for (int sub = 0; sub < kSub; ++sub) {
    const __m512i start = _mm512_set1_epi32(correction[sub]);
    __m512i dots[kPanels];
    HANLIN_UNROLL
    for (int p = 0; p < kPanels; ++p) dots[p] = kMin ? _mm512_setzero_si512() : start;
    HANLIN_UNROLL
    for (int s = 8 / kSub * sub; s < 8 / kSub * (sub + 1); ++s) {
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
    HANLIN_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      sums[p] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[p]), _mm512_mul_ps(scales[p].scale[sub], xs), sums[p]);
      if constexpr (kMin) sums[p] = _mm512_fnmadd_ps(scales[p].min[sub], _mm512_castsi512_ps(start), sums[p]);
    }
  }
}

// ------------------------------------------------------------------------------------------------------------ few rows

// Panels [panel, panel + kPanels) side by side: each is a stream of its own for the hardware prefetcher. One thread reads
// 30 % faster from four streams than from one; software prefetch made either slower (Zen 4).
template <Packed kFormat, int kRows, int kPanels>
void few_rows_panels(const GemmArgs& args, const int32_t* corrections, int64_t panel) {
  constexpr Layout kLayout = layout_of(kFormat);
  constexpr int kSub = kLayout.n_sub(), kBytes = kLayout.group_bytes();
  constexpr int kAhead = 2048 / kBytes, kScaleStep = kLayout.scale_bytes() * kGroup / kLayout.scale_span();
  const int64_t k = args.w->k, groups = k / kGroup, stride = args.w->panel_bytes, skip = stride - groups * kBytes;
  const int8_t* q[kRows];
  const float* x_scale[kRows];
  const int32_t* correction[kRows];
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const int64_t row = r < args.m ? r : args.m - 1;  // missing rows repeat the last one and are not stored
    q[r] = args.xq.q + row * k;
    x_scale[r] = args.xq.scale + row * groups;
    correction[r] = corrections + row * groups * kSub;
  }
  const uint8_t* quants = args.w->data + panel * stride;
  const uint8_t* scale_region = quants + quant_region_bytes(kLayout, k);
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
      if constexpr (kRows == 8) {
        const char* ahead = (const char*)src + kAhead * kBytes + (g + kAhead < groups ? 0 : skip);
        HANLIN_UNROLL
        for (int i = 0; i < kBytes; i += 64) _mm_prefetch(ahead + i, _MM_HINT_T0);
        _mm_prefetch((const char*)scale_region + stride + g * kScaleStep, _MM_HINT_T1);
      }
      __m512i w[8];
      unpack_group<kFormat>(src, w);
      const GroupScales scales = load_scales<kLayout.scales>(scale_region + p * stride, g);
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        add_group<kSub, kLayout.has_min(), 1>(&sums[p][r], &w, &scales, q[r] + g * kGroup, x_scale[r][g], correction[r] + g * kSub);
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

template <Packed kFormat, int kRows>
void few_rows(const GemmArgs& args, const int32_t* corrections) {
  constexpr int kPanels = kRows <= 2 ? 4 : kRows == 4 ? 2 : 1;
  int64_t panel = args.panel_begin;
  for (; panel + kPanels <= args.panel_end; panel += kPanels) few_rows_panels<kFormat, kRows, kPanels>(args, corrections, panel);
  for (; panel < args.panel_end; ++panel) few_rows_panels<kFormat, kRows, 1>(args, corrections, panel);
}

template <Packed kFormat>
void few_rows_of(const GemmArgs& args) {
  int32_t* corrections = (int32_t*)args.scratch;
  make_corrections<kFormat>(args, 0, args.m, corrections);
  if (args.m == 1) return few_rows<kFormat, 1>(args, corrections);
  if (args.m == 2) return few_rows<kFormat, 2>(args, corrections);
  if (args.m <= 4) return few_rows<kFormat, 4>(args, corrections);
  return few_rows<kFormat, 8>(args, corrections);
}

// ----------------------------------------------------------------------------------------------------------- many rows

// A panel with its numbers as bytes [K/32][8][64] and its scales, then mins, as f32 [K/32][n_sub * (1 + has_min)][16].
struct OpenPanel {
  const uint8_t* numbers;
  const float* scales;
};

template <Packed kFormat>
OpenPanel open_panel(const PackedMatrix& w, int64_t panel, uint8_t* numbers, float* scales) {
  constexpr Layout kLayout = layout_of(kFormat);
  const uint8_t* quants = w.data + panel * w.panel_bytes;
  const uint8_t* scale_region = quants + quant_region_bytes(kLayout, w.k);
  float* out = scales;
  for (int64_t g = 0; g < w.k / kGroup; ++g) {
    if constexpr (kLayout.bits != 8) {
      __m512i u[8];
      unpack_group<kFormat>(quants + g * kLayout.group_bytes(), u);
      HANLIN_UNROLL
      for (int s = 0; s < 8; ++s) _mm512_store_si512(numbers + g * 512 + 64 * s, u[s]);
    }
    const GroupScales s = load_scales<kLayout.scales>(scale_region, g);
    for (int sub = 0; sub < kLayout.n_sub(); ++sub, out += 16) _mm512_store_ps(out, s.scale[sub]);
    if constexpr (kLayout.has_min()) {
      for (int sub = 0; sub < kLayout.n_sub(); ++sub, out += 16) _mm512_store_ps(out, s.min[sub]);
    }
  }
  return {kLayout.bits == 8 ? quants : numbers, scales};
}

// Rows [row, row + n_rows), at most kTileRows, times kPanels open panels `stride` bytes apart in scratch. The weights of a
// group stay in registers over the rows, the f32 sums in L1: one broadcast activation then serves two products, and the
// loop is bound by multiplications, no longer by loads.
template <int kSub, bool kMin, int kPanels>
void tile(const GemmArgs& args, const OpenPanel* w, const int32_t* corrections, int64_t row, int64_t n_rows, int64_t panel, ReadAhead& ahead) {
  constexpr int kScaleFloats = 16 * kSub * (kMin ? 2 : 1);
  const int64_t k = args.w->k, groups = k / kGroup;
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
      HANLIN_UNROLL
      for (int s = 0; s < 8; ++s) u[p][s] = _mm512_load_si512(w[p].numbers + g * 512 + 64 * s);
      HANLIN_UNROLL
      for (int sub = 0; sub < kSub; ++sub) {
        scales[p].scale[sub] = _mm512_load_ps(w[p].scales + g * kScaleFloats + 16 * sub);
        if constexpr (kMin) scales[p].min[sub] = _mm512_load_ps(w[p].scales + g * kScaleFloats + 16 * (kSub + sub));
      }
    }
    ahead.step();
    const int8_t* q = args.xq.q + row * k + g * kGroup;
    const float* x_scale = args.xq.scale + row * groups + g;
    const int32_t* correction = corrections + g * kSub;
    for (int64_t r = 0; r < n_rows; ++r, q += k, x_scale += groups, correction += groups * kSub) {
      __m512 sum[kPanels];
      HANLIN_UNROLL
      for (int p = 0; p < kPanels; ++p) sum[p] = _mm512_load_ps(sums[r][p]);
      add_group<kSub, kMin, kPanels>(sum, u, scales, q, *x_scale, correction);
      HANLIN_UNROLL
      for (int p = 0; p < kPanels; ++p) _mm512_store_ps(sums[r][p], sum[p]);
    }
  }
  for (int64_t r = 0; r < n_rows; ++r) {
    for (int p = 0; p < kPanels; ++p) store_outputs(args, row + r, panel + p, _mm512_load_ps(sums[r][p]));
  }
}

template <Packed kFormat, int kPanels>
void panels_by_rows(const GemmArgs& args, const int32_t* corrections, uint8_t* scratch, int64_t begin, int64_t n_rows, int64_t panel) {
  constexpr Layout kLayout = layout_of(kFormat);
  const int64_t k = args.w->k;
  OpenPanel w[kPanels];
  for (int p = 0; p < kPanels; ++p, scratch += kOpenBytes * k) w[p] = open_panel<kFormat>(*args.w, panel + p, scratch, (float*)(scratch + 16 * k));
  const int64_t n_tiles = (n_rows + kTileRows - 1) / kTileRows;
  ReadAhead ahead = read_ahead(args, panel, kPanels, n_tiles * (k / kGroup));
  for (int64_t t = 0; t < n_tiles; ++t) {
    const int64_t first = n_rows * t / n_tiles, last = n_rows * (t + 1) / n_tiles;  // tiles of about the same height
    tile<kLayout.n_sub(), kLayout.has_min(), kPanels>(args, w, corrections + first * (k / kGroup) * kLayout.n_sub(), begin + first, last - first, panel, ahead);
  }
}

template <Packed kFormat>
void many_rows_of(const GemmArgs& args) {
  int32_t* corrections = (int32_t*)args.scratch;
  uint8_t* open = (uint8_t*)args.scratch + 64 * args.w->k;
  for (int64_t begin = 0; begin < args.m; begin += kGemmBlockRows) {
    const int64_t n_rows = args.m - begin < kGemmBlockRows ? args.m - begin : kGemmBlockRows;
    make_corrections<kFormat>(args, begin, n_rows, corrections);
    int64_t panel = args.panel_begin;
    for (; panel + 2 <= args.panel_end; panel += 2) panels_by_rows<kFormat, 2>(args, corrections, open, begin, n_rows, panel);
    if (panel < args.panel_end) panels_by_rows<kFormat, 1>(args, corrections, open, begin, n_rows, panel);
  }
}

template <Packed kFormat>
void vnni_gemm(const GemmArgs& args) {
  if (args.m > 0) args.m <= 8 ? few_rows_of<kFormat>(args) : many_rows_of<kFormat>(args);
}

}  // namespace

}  // namespace hanlin::kernels
