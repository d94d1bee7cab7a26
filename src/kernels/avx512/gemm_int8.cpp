// int8 activations times packed weights with VNNI. Panels are 64-byte aligned; outputs past n are masked at the store.
//
// Few rows (up to 8): a group is unpacked into 8 registers and used for all rows at once, so every byte of the panel is
//   read once. 8 registers of weights, 1 to 8 of f32 sums.
// More rows: the panel is unpacked into scratch once (bytes and f32 scales), then tiles of 12 rows x 16 outputs run over
//   it: 8 registers of weights, 12 of f32 sums, the rest for the integer sums of the group at hand. Rows left over are
//   taken by a tile that overlaps the one before; it writes the same values again.
// In both, each row sees the same operations in the same order, so a row's result does not depend on its company.
//
// Zero point: the integer sum starts at -zero * sum(q), read from a table made once per call. Mins: the same table holds
// scale_x * sum(q) as f32, and min times that is subtracted.
#include "kernels/avx512/unpack.h"
#include "kernels/fill.h"

namespace hanlin::kernels {
namespace {

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

// One row's share of one group.
template <int kSub, bool kMin>
HANLIN_INLINE __m512 add_group(__m512 sums, const __m512i* w, const GroupScales& scales, const int8_t* q, float x_scale,
                               const int32_t* correction) {
  const __m512 xs = _mm512_set1_ps(x_scale);
  HANLIN_UNROLL
  for (int sub = 0; sub < kSub; ++sub) {
    __m512i dots = kMin ? _mm512_setzero_si512() : _mm512_set1_epi32(correction[sub]);
    HANLIN_UNROLL
    for (int s = 8 / kSub * sub; s < 8 / kSub * (sub + 1); ++s) dots = dot4(dots, w[s], q + 4 * s);
    sums = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots), _mm512_mul_ps(scales.scale[sub], xs), sums);
    if constexpr (kMin) {
      sums = _mm512_fnmadd_ps(scales.min[sub], _mm512_castsi512_ps(_mm512_set1_epi32(correction[sub])), sums);
    }
  }
  return sums;
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
        sums[p][r] = add_group<kSub, kLayout.has_min()>(sums[p][r], w, scales, q[r] + g * kGroup, x_scale[r][g], correction[r] + g * kSub);
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

// kRows is a multiple of 4 (rows are addressed as four pointers plus 0, 1 or 2 leading dimensions, 12 in all).
template <int kRows, int kSub, bool kMin>
void tile(const GemmArgs& args, const OpenPanel& w, const int32_t* corrections, int64_t row, int64_t panel, const uint8_t* next, int64_t next_step) {
  constexpr int kPointers = 4, kPer = kRows / 4, kScaleFloats = 16 * kSub * (kMin ? 2 : 1);
  const int64_t k = args.w->k, groups = k / kGroup, ld_correction = groups * kSub;
  const int8_t* q[kPointers];
  const float* x_scale[kPointers];
  const int32_t* correction[kPointers];
  HANLIN_UNROLL
  for (int p = 0; p < kPointers; ++p) {
    q[p] = args.xq.q + (row + p * kPer) * k;
    x_scale[p] = args.xq.scale + (row + p * kPer) * groups;
    correction[p] = corrections + p * kPer * ld_correction;
  }
  __m512 sums[kRows];
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    sums[r] = _mm512_setzero_ps();
    __builtin_prefetch(args.y + (row + r) * args.ldy + panel * kPanelRows, 1);
  }
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t i = 0; i < next_step; i += 64) _mm_prefetch((const char*)next + g * next_step + i, _MM_HINT_T1);
    __m512i u[8];
    HANLIN_UNROLL
    for (int s = 0; s < 8; ++s) u[s] = _mm512_load_si512(w.numbers + g * 512 + 64 * s);
    GroupScales scales;
    HANLIN_UNROLL
    for (int sub = 0; sub < kSub; ++sub) {
      scales.scale[sub] = _mm512_load_ps(w.scales + g * kScaleFloats + 16 * sub);
      if constexpr (kMin) scales.min[sub] = _mm512_load_ps(w.scales + g * kScaleFloats + 16 * (kSub + sub));
    }
    HANLIN_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int p = r / kPer, i = r % kPer;
      sums[r] = add_group<kSub, kMin>(sums[r], u, scales, q[p] + i * k + g * kGroup, x_scale[p][i * groups + g],
                                      correction[p] + i * ld_correction + g * kSub);
    }
  }
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) store_outputs(args, row + r, panel, sums[r]);
}

template <Packed kFormat>
void many_rows_of(const GemmArgs& args) {
  constexpr Layout kLayout = layout_of(kFormat);
  constexpr int kSub = kLayout.n_sub();
  constexpr bool kMin = kLayout.has_min();
  constexpr int64_t kBlockRows = kSub == 2 ? 120 : 252;  // their corrections take at most 32 bytes * K of scratch
  const int64_t k = args.w->k, groups = k / kGroup;
  uint8_t* numbers = (uint8_t*)args.scratch;
  float* scales = (float*)(numbers + 16 * k);
  int32_t* corrections = (int32_t*)(scales + 16 * groups * kSub * (kMin ? 2 : 1));
  for (int64_t begin = 0; begin < args.m;) {
    // A last block of fewer than 4 rows would have no tile: it takes some from the block before.
    int64_t n_rows = args.m - begin < kBlockRows ? args.m - begin : kBlockRows;
    if (args.m - begin > kBlockRows && args.m - begin < kBlockRows + 4) n_rows -= 4;
    make_corrections<kFormat>(args, begin, n_rows, corrections);
    for (int64_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
      const OpenPanel w = open_panel<kFormat>(*args.w, panel, numbers, scales);
      const uint8_t* next = args.w->data + (panel + 1) * args.w->panel_bytes;
      int64_t next_step = (kLayout.group_bytes() + 127) / 64 * 64;  // the first tile fetches the next panel into L2
      for (int64_t r = 0; r < n_rows;) {
        // The last tile is moved back over rows that are done already.
        const int64_t left = n_rows - r;
        int64_t rows = left > 8 ? 12 : left > 4 ? 8 : 4;
        while (rows > n_rows) rows -= 4;
        if (rows > left) r = n_rows - rows;
        const int32_t* c = corrections + r * groups * kSub;
        if (rows == 12) tile<12, kSub, kMin>(args, w, c, begin + r, panel, next, next_step);
        if (rows == 8) tile<8, kSub, kMin>(args, w, c, begin + r, panel, next, next_step);
        if (rows == 4) tile<4, kSub, kMin>(args, w, c, begin + r, panel, next, next_step);
        r += rows;
        next_step = 0;
      }
    }
    begin += n_rows;
  }
}

template <Packed kFormat>
void gemm_of(const GemmArgs& args) {
  args.m <= 8 ? few_rows_of<kFormat>(args) : many_rows_of<kFormat>(args);
}

void gemm_int8(const GemmArgs& args) {
  if (args.m <= 0) return;
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

void fill_avx512_gemm_int8(KernelTable& table) { table.gemm_int8 = gemm_int8; }

}  // namespace hanlin::kernels
