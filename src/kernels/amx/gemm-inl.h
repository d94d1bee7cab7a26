// int8 and int16 activations times packed weights on AMX tiles, written over a class Tiles that is the hardware (fill.cpp) or its
// emulation (emulated.cpp, for tests on machines without AMX).
//
// From 16 rows on. A panel's group, unpacked to bytes, is already a B tile: 32 inputs are 8 rows (inputs / 4) of 64
// bytes (16 outputs x 4 inputs), unsigned; a sub-group of 16 inputs is 4 rows. The A tile is 16 rows of activations as they
// stand in memory, signed, `ldq` bytes apart. One group: up to 2 A x 2 B tiles, 4 C tiles of int32, which go through a buffer
// in L1 and are folded into f32 sums with AVX-512 while the tiles work on the next group.
//   tiles: 0-3 C (2 * a + p), 4-5 A, 6-7 B
// int16 activations are two int8 digits: the two A tiles are then the high and the low digits of the same 16 rows.
// Integer sums are exact and the folding is that of the VNNI kernel, operation by operation: results are the same bits.
#pragma once

#include "kernels/avx512/gemm_integer-inl.h"

namespace hanlin::kernels {
namespace {

// The 64 bytes of ldtilecfg (Intel SDM vol. 1, 18.2): palette 1, per tile its rows and bytes per row.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {0};
  uint16_t row_bytes[16] = {0};
  uint8_t rows[16] = {0};
};
static_assert(sizeof(TileConfig) == 64);

template <int kSub>
TileConfig tile_config() {
  TileConfig config;
  for (int t = 0; t < 8; ++t) {
    config.rows[t] = (uint8_t)(t < 6 ? 16 : 8 / kSub);
    config.row_bytes[t] = (uint16_t)(t == 4 || t == 5 ? 32 / kSub : 64);
  }
  return config;
}

constexpr int kTile = 16;           // rows of an A tile
constexpr int64_t kOpenBytes = 24;  // an open panel takes at most 24 * K bytes: 16 of numbers, 8 of scales

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

// Integer sums of one sub-group: dots[a][p][16 rows][16 outputs]. kBytes: of a group's activations.
template <class Tiles, int kSub, int kBytes, int kATiles, int kPanels>
HANLIN_INLINE void tile_products(Tiles& tiles, const int8_t* const* q, int64_t ldq, const OpenPanel* w, int64_t g, int sub,
                                 int32_t (*dots)[kPanels][kTile * 16]) {
  tiles.template zero<0>();
  if constexpr (kPanels == 2) tiles.template zero<1>();
  if constexpr (kATiles == 2) tiles.template zero<2>();
  if constexpr (kATiles == 2 && kPanels == 2) tiles.template zero<3>();
  const int64_t a = g * kBytes + sub * 16, b = g * 512 + sub * 256;
  tiles.template load<4>(q[0] + a, ldq);
  tiles.template load<6>(w[0].numbers + b, 64);
  tiles.template dot<0, 4, 6>();
  if constexpr (kPanels == 2) {
    tiles.template load<7>(w[1].numbers + b, 64);
    tiles.template dot<1, 4, 7>();
  }
  if constexpr (kATiles == 2) {
    tiles.template load<5>(q[1] + a, ldq);
    tiles.template dot<2, 5, 6>();
    if constexpr (kPanels == 2) tiles.template dot<3, 5, 7>();
  }
  tiles.template store<0>(dots[0][0], 64);
  if constexpr (kPanels == 2) tiles.template store<1>(dots[0][1], 64);
  if constexpr (kATiles == 2) tiles.template store<2>(dots[1][0], 64);
  if constexpr (kATiles == 2 && kPanels == 2) tiles.template store<3>(dots[1][1], 64);
}

// Row tiles starting at rows first[a] (they may overlap), times kPanels open panels.
template <class Tiles, int kSub, bool kMin, bool kDigits, int kRowTiles, int kPanels>
void amx_tile(Tiles& tiles, const GemmArgs& args, const OpenPanel* w, const int32_t* corrections, int64_t block, const int64_t* first, int64_t panel) {
  constexpr int kScaleFloats = 16 * kSub * (kMin ? 2 : 1);
  constexpr int kATiles = kDigits ? 2 : kRowTiles;
  static_assert(!kDigits || kRowTiles == 1);
  const QuantRows x = activations<kDigits>(args);
  const int64_t groups = args.w->k / kGroup, steps = groups * kSub;
  alignas(64) int32_t dots[2][kATiles][kPanels][kTile * 16];
  alignas(64) float sums[kRowTiles][kPanels][kTile][16];
  const int8_t* q[kATiles];
  for (int a = 0; a < kATiles; ++a) q[a] = x.q + (kDigits ? (block + first[0]) * x.ldq + a * kGroup : (block + first[a]) * x.ldq);
  for (int a = 0; a < kRowTiles; ++a) {
    for (int p = 0; p < kPanels; ++p) {
      for (int r = 0; r < kTile; ++r) _mm512_store_ps(sums[a][p][r], _mm512_setzero_ps());
    }
  }
  // Step i is sub-group i % kSub of group i / kSub. The tiles run one step ahead of the folding.
  tile_products<Tiles, kSub, kGroupBytes<kDigits>, kATiles, kPanels>(tiles, q, x.ldq, w, 0, 0, dots[0]);
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t next = i + 1, g = i / kSub;
    const int sub = (int)(i % kSub);
    if (next < steps) tile_products<Tiles, kSub, kGroupBytes<kDigits>, kATiles, kPanels>(tiles, q, x.ldq, w, next / kSub, (int)(next % kSub), dots[next % 2]);
    __m512 scale[kPanels], min[kPanels];
    for (int p = 0; p < kPanels; ++p) {
      scale[p] = _mm512_load_ps(w[p].scales + g * kScaleFloats + 16 * sub);
      if constexpr (kMin) min[p] = _mm512_load_ps(w[p].scales + g * kScaleFloats + 16 * (kSub + sub));
    }
    for (int a = 0; a < kRowTiles; ++a) {
      const float* x_scale = x.scale + (block + first[a]) * groups + g;
      const int32_t* correction = corrections + first[a] * steps + i;
      for (int r = 0; r < kTile; ++r, x_scale += groups, correction += steps) {
        const __m512 xs = _mm512_set1_ps(*x_scale);
        const __m512i start = _mm512_set1_epi32(*correction);
        HANLIN_UNROLL
        for (int p = 0; p < kPanels; ++p) {
          __m512i dot = _mm512_load_si512(dots[i % 2][a][p] + 16 * r);
          if constexpr (kDigits) dot = _mm512_add_epi32(_mm512_slli_epi32(dot, 8), _mm512_load_si512(dots[i % 2][1][p] + 16 * r));
          if constexpr (!kMin) dot = _mm512_add_epi32(dot, start);
          __m512 sum = _mm512_load_ps(sums[a][p][r]);
          sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(scale[p], xs), sum);
          if constexpr (kMin) sum = _mm512_fnmadd_ps(min[p], _mm512_castsi512_ps(start), sum);
          _mm512_store_ps(sums[a][p][r], sum);
        }
      }
    }
  }
  for (int a = 0; a < kRowTiles; ++a) {
    for (int r = 0; r < kTile; ++r) {
      for (int p = 0; p < kPanels; ++p) store_outputs(args, block + first[a] + r, panel + p, _mm512_load_ps(sums[a][p][r]));
    }
  }
}

// All rows of a block (at least 16) times kPanels panels. The last row tile is moved back over rows done already.
template <class Tiles, Packed kFormat, bool kDigits, int kPanels>
void amx_panels(Tiles& tiles, const GemmArgs& args, const int32_t* corrections, uint8_t* scratch, int64_t block, int64_t n_rows, int64_t panel) {
  constexpr Layout kLayout = layout_of(kFormat);
  constexpr int kSub = kLayout.n_sub();
  constexpr bool kMin = kLayout.has_min();
  const int64_t k = args.w->k;
  OpenPanel w[kPanels];
  for (int p = 0; p < kPanels; ++p, scratch += kOpenBytes * k) w[p] = open_panel<kFormat>(*args.w, panel + p, scratch, (float*)(scratch + 16 * k));
  constexpr int kRowTiles = kDigits ? 1 : 2;
  const int64_t last = n_rows - kTile;
  for (int64_t r = 0; r < n_rows; r += kRowTiles * kTile) {
    const int64_t first[2] = {r < last ? r : last, r + kTile < last ? r + kTile : last};
    if (first[0] == first[1]) amx_tile<Tiles, kSub, kMin, kDigits, 1, kPanels>(tiles, args, w, corrections, block, first, panel);
    else amx_tile<Tiles, kSub, kMin, kDigits, kRowTiles, kPanels>(tiles, args, w, corrections, block, first, panel);
  }
}

template <class Tiles, Packed kFormat, bool kDigits>
void amx_gemm(const GemmArgs& args) {
  if (args.m < kTile) return vnni_gemm<kFormat, kDigits>(args);
  Tiles tiles;
  tiles.configure(tile_config<layout_of(kFormat).n_sub()>());
  int32_t* corrections = (int32_t*)args.scratch;
  uint8_t* open = (uint8_t*)args.scratch + 64 * args.w->k;
  for (int64_t begin = 0; begin < args.m;) {
    // A last block below 16 rows would have no tile: it takes some from this one.
    const int64_t left = args.m - begin;
    const int64_t n_rows = left <= kGemmBlockRows ? left : left < kGemmBlockRows + kTile ? kGemmBlockRows - kTile : kGemmBlockRows;
    make_corrections<kFormat>(activations<kDigits>(args), args.w->k / kGroup, begin, n_rows, corrections);
    int64_t panel = args.panel_begin;
    for (; panel + 2 <= args.panel_end; panel += 2) amx_panels<Tiles, kFormat, kDigits, 2>(tiles, args, corrections, open, begin, n_rows, panel);
    if (panel < args.panel_end) amx_panels<Tiles, kFormat, kDigits, 1>(tiles, args, corrections, open, begin, n_rows, panel);
    begin += n_rows;
  }
  tiles.release();
}

template <class Tiles, bool kDigits>
void amx_integer_gemm(const GemmArgs& args) {
  with_format(args.w->format, [&]<Packed kFormat>() {
    if constexpr (!is_float(kFormat)) amx_gemm<Tiles, kFormat, kDigits>(args);
  });
}

template <class Tiles>
void fill_products(KernelTable& table) {
  table.gemm_int8 = amx_integer_gemm<Tiles, false>;
  table.gemm_int16 = amx_integer_gemm<Tiles, true>;
}

}  // namespace
}  // namespace hanlin::kernels
