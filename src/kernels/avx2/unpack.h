// Packed groups with 256-bit registers: the numbers of 8 outputs in 8 registers, scales and mins of 16 outputs as f32.
#pragma once

#include "kernels/decode-inl.h"

namespace hanlin::kernels {
namespace {

HANLIN_INLINE __m256i load_256(const uint8_t* p) { return _mm256_loadu_si256((const __m256i*)p); }
HANLIN_INLINE void store_256(uint8_t* p, __m256i v) { _mm256_storeu_si256((__m256i*)p, v); }

// Bit `from` of every byte, moved to bit `to`.
HANLIN_INLINE __m256i move_bit(__m256i bytes, int from, int to) {
  const __m256i moved = from < to ? _mm256_slli_epi16(bytes, to - from) : _mm256_srli_epi16(bytes, from - to);
  return _mm256_and_si256(moved, _mm256_set1_epi8((char)(1 << to)));
}

// The numbers of outputs 8 * half to 8 * half + 7 of a group, a register for each step.
template <Packed kFormat>
HANLIN_INLINE void unpack_half(const uint8_t* src, int half, __m256i* w) {
  constexpr Layout kLayout = layout_of(kFormat);
  constexpr int kBits = kLayout.bits;
  const __m256i low4 = _mm256_set1_epi8(15), low2 = _mm256_set1_epi8(3), high2 = _mm256_set1_epi8(0x30);
  src += 32 * half;
  if constexpr (kBits == 8) {
    HANLIN_UNROLL
    for (int s = 0; s < 8; ++s) w[s] = load_256(src + 64 * s);
  }
  if constexpr (kBits >= 4 && kBits < 8) {
    HANLIN_UNROLL
    for (int s = 0; s < 4; ++s) {
      const __m256i both = load_256(src + 64 * s);
      w[s] = _mm256_and_si256(both, low4);
      w[s + 4] = _mm256_and_si256(_mm256_srli_epi16(both, 4), low4);
    }
  }
  if constexpr (kBits < 4) {
    HANLIN_UNROLL
    for (int s = 0; s < 2; ++s) {
      const __m256i four = load_256(src + 64 * s);
      HANLIN_UNROLL
      for (int i = 0; i < 4; ++i) w[s + 2 * i] = _mm256_and_si256(_mm256_srli_epi16(four, 2 * i), low2);
    }
  }
  if constexpr (kBits == 6) {
    HANLIN_UNROLL
    for (int s = 0; s < 2; ++s) {
      const __m256i four = load_256(src + 256 + 64 * s);
      w[s] = _mm256_or_si256(w[s], _mm256_and_si256(_mm256_slli_epi16(four, 4), high2));
      w[s + 2] = _mm256_or_si256(w[s + 2], _mm256_and_si256(_mm256_slli_epi16(four, 2), high2));
      w[s + 4] = _mm256_or_si256(w[s + 4], _mm256_and_si256(four, high2));
      w[s + 6] = _mm256_or_si256(w[s + 6], _mm256_and_si256(_mm256_srli_epi16(four, 2), high2));
    }
  }
  if constexpr (kBits == 3 || kBits == 5) {
    const __m256i plane = load_256(src + (kBits == 3 ? 128 : 256));
    HANLIN_UNROLL
    for (int s = 0; s < 8; ++s) w[s] = _mm256_or_si256(w[s], move_bit(plane, s, kBits - 1));
  }
  if constexpr (kLayout.lut) {
    const __m256i values = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)kIq4Values));
    HANLIN_UNROLL
    for (int s = 0; s < 8; ++s) w[s] = _mm256_shuffle_epi8(values, w[s]);
  }
}

HANLIN_INLINE __m256 load_f16(const uint8_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)); }
HANLIN_INLINE __m256i load_u8(const uint8_t* p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)); }
HANLIN_INLINE __m256i load_i8(const uint8_t* p) { return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p)); }

// Scales [n_sub][16], then mins [n_sub][16] where the format has them.
template <Scales kScales>
HANLIN_INLINE void unpack_scales(const uint8_t* scales, int64_t g, float* out) {
  constexpr int kBytes = Layout{0, 0, false, kScales}.scale_bytes();
  for (int n = 0; n < 16; n += 8) {
    if constexpr (kScales == Scales::kD || kScales == Scales::kDM) {
      const uint8_t* record = scales + g * kBytes;
      _mm256_storeu_ps(out + n, load_f16(record + 2 * n));
      if constexpr (kScales == Scales::kDM) {
        _mm256_storeu_ps(out + 16 + n, _mm256_xor_ps(load_f16(record + 32 + 2 * n), _mm256_set1_ps(-0.0f)));
      }
    } else {
      const uint8_t* record = scales + g / 8 * kBytes;
      const int i = (int)(g % 8);
      const __m256 d = load_f16(record + 2 * n);
      if constexpr (kScales == Scales::kSuperU8) {
        const uint8_t* pair = record + 64 + 32 * i + n;
        _mm256_storeu_ps(out + n, _mm256_mul_ps(d, _mm256_cvtepi32_ps(load_u8(pair))));
        _mm256_storeu_ps(out + 16 + n, _mm256_mul_ps(load_f16(record + 32 + 2 * n), _mm256_cvtepi32_ps(load_u8(pair + 16))));
      } else if constexpr (kScales == Scales::kSuperNib) {
        const __m256 dmin = load_f16(record + 32 + 2 * n);
        for (int sub = 0; sub < 2; ++sub) {
          const __m256i both = load_u8(record + 64 + 16 * (2 * i + sub) + n);
          _mm256_storeu_ps(out + 16 * sub + n, _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_and_si256(both, _mm256_set1_epi32(15)))));
          _mm256_storeu_ps(out + 32 + 16 * sub + n, _mm256_mul_ps(dmin, _mm256_cvtepi32_ps(_mm256_srli_epi32(both, 4))));
        }
      } else if constexpr (kScales == Scales::kSuperI8) {
        _mm256_storeu_ps(out + n, _mm256_mul_ps(d, _mm256_cvtepi32_ps(load_i8(record + 32 + 16 * i + n))));
      } else {
        for (int sub = 0; sub < 2; ++sub) {
          _mm256_storeu_ps(out + 16 * sub + n, _mm256_mul_ps(d, _mm256_cvtepi32_ps(load_i8(record + 32 + 16 * (2 * i + sub) + n))));
        }
      }
    }
  }
}

// y[0 … 15] of one row and panel; outputs past the last one are not written.
HANLIN_INLINE void store_outputs(const GemmArgs& args, int64_t row, int64_t panel, __m256 low, __m256 high) {
  const int n_outputs = panel_outputs(*args.w, panel);
  float* y = args.y + row * args.ldy + panel * kPanelRows;
  const float* bias = args.bias ? args.bias + panel * kPanelRows : nullptr;
  if (n_outputs == kPanelRows) {
    if (bias) {
      low = _mm256_add_ps(low, _mm256_loadu_ps(bias));
      high = _mm256_add_ps(high, _mm256_loadu_ps(bias + 8));
    }
    _mm256_storeu_ps(y, low);
    _mm256_storeu_ps(y + 8, high);
    return;
  }
  float lanes[16];
  _mm256_storeu_ps(lanes, low);
  _mm256_storeu_ps(lanes + 8, high);
  for (int n = 0; n < n_outputs; ++n) y[n] = lanes[n] + (bias ? bias[n] : 0.0f);
}

}  // namespace
}  // namespace hanlin::kernels
