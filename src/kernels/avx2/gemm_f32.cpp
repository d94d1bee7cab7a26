// f32 activations times any packed format: quantised panels are expanded to f32 in scratch, f16 and bf16 widened as they are
// loaded; bf16, which takes three instructions, in scratch too where many rows share it. Tiles of 1 to 6 rows x 16
// outputs, one row of a float format x 64; each sum runs over k in order in one lane.
#include "kernels/avx2/unpack.h"
#include "kernels/fill.h"
#include "kernels/read-ahead-inl.h"

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

// kRows rows times kPanels panels `stride` bytes apart. Several panels call for `next`, those that follow.
template <Packed kFormat, int kRows, int kPanels>
void tile(const GemmArgs& args, const uint8_t* weights, int64_t stride, const uint8_t* next, int64_t row, int64_t panel) {
  constexpr int64_t kPairBytes = 2 * kPanelRows * (kFormat == Packed::kF32 ? 4 : 2), kAhead = 1536;
  const int64_t n = args.w->k, ldx = args.ldx, bytes = n / 2 * kPairBytes;
  const float* x = args.x + row * ldx;
  __m256 sums[kRows][kPanels][2];
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    HANLIN_UNROLL
    for (int p = 0; p < kPanels; ++p) sums[r][p][0] = sums[r][p][1] = _mm256_setzero_ps();
  }
  const auto add_input = [&](int64_t k) __attribute__((always_inline)) {
    HANLIN_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      const __m256 w0 = weights_at<kFormat>(weights + p * stride, k, 0), w1 = weights_at<kFormat>(weights + p * stride, k, 1);
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const __m256 value = _mm256_set1_ps(x[r * ldx + k]);
        sums[r][p][0] = _mm256_fmadd_ps(value, w0, sums[r][p][0]);
        sums[r][p][1] = _mm256_fmadd_ps(value, w1, sums[r][p][1]);
      }
    }
  };
  int64_t k = 0;
  for (; k + 2 <= n; k += 2) {
    if constexpr (kPanels > 1) {
      const int64_t wanted = k / 2 * kPairBytes + kAhead;
      const uint8_t* ahead = wanted < bytes ? weights + wanted : next + (wanted - bytes);
      HANLIN_UNROLL
      for (int p = 0; p < kPanels; ++p) {
        HANLIN_UNROLL
        for (int64_t line = 0; line < kPairBytes; line += 64) _mm_prefetch((const char*)ahead + p * stride + line, _MM_HINT_T0);
      }
    }
    add_input(k);
    add_input(k + 1);
  }
  if (k < n) add_input(k);
  HANLIN_UNROLL
  for (int r = 0; r < kRows; ++r) {
    HANLIN_UNROLL
    for (int p = 0; p < kPanels; ++p) store_outputs(args, row + r, panel + p, sums[r][p][0], sums[r][p][1]);
  }
}

// A tile of n_rows rows, at most kRows, times one panel.
template <Packed kFormat, int kRows>
void tile_of(const GemmArgs& args, const uint8_t* weights, int64_t row, int64_t n_rows, int64_t panel) {
  if (n_rows == kRows) return tile<kFormat, kRows, 1>(args, weights, 0, nullptr, row, panel);
  if constexpr (kRows > 1) tile_of<kFormat, kRows - 1>(args, weights, row, n_rows, panel);
}

// Tiles of about the same height: one or two rows alone would wait for their sums.
template <Packed kFormat>
void panel_rows(const GemmArgs& args, const uint8_t* weights, int64_t panel) {
  constexpr int kMost = 6;
  const int64_t n_tiles = (args.m + kMost - 1) / kMost;
  for (int64_t t = 0; t < n_tiles; ++t) {
    const int64_t row = args.m * t / n_tiles;
    tile_of<kFormat, kMost>(args, weights, row, args.m * (t + 1) / n_tiles - row, panel);
  }
}

// One row times four panels: one alone would wait for its sums, and memory is read faster in several streams.
template <Packed kFormat>
void one_row(const GemmArgs& args, int64_t panel) {
  const int64_t stride = args.w->panel_bytes;
  tile<kFormat, 1, 4>(args, args.w->data + panel * stride, stride, panels_after(args, panel + 4), 0, panel);
}

template <Packed kFormat>
void gemm_of(const GemmArgs& args) {
  constexpr int64_t kWidenedRows = 12;  // from two tiles on
  int64_t panel = args.panel_begin;
  if constexpr (is_float(kFormat)) {
    for (; args.m == 1 && panel + 4 <= args.panel_end; panel += 4) one_row<kFormat>(args, panel);
  }
  for (; panel < args.panel_end; ++panel) {
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
