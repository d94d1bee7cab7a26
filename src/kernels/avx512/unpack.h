// Packed groups in 512-bit registers. One group of 32 inputs is 8 registers of 16 outputs x 4 inputs, unsigned bytes.
#pragma once

#include "kernels/decode-inl.h"

namespace hanlin::kernels {
namespace {

// acc + u8 x s8 dot products of 4, the s8 operand being 4 bytes broadcast from memory. Written as assembly because g++ 12
// does not fold the broadcast into the instruction, and the separate one costs a vector slot of every multiplication.
HANLIN_INLINE __m512i dot4(__m512i acc, __m512i weights, const int8_t* x) {
  __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(weights), "m"(*(const int32_t*)x));
  return acc;
}

template <int kBits>
HANLIN_INLINE void unpack_numbers(const uint8_t* src, __m512i* w) {
  const __m512i low4 = _mm512_set1_epi8(15), low2 = _mm512_set1_epi8(3);
  if constexpr (kBits == 8) {
    HANLIN_UNROLL
    for (int s = 0; s < 8; ++s) w[s] = _mm512_load_si512(src + 64 * s);
    return;
  }
  if constexpr (kBits >= 4) {
    HANLIN_UNROLL
    for (int s = 0; s < 4; ++s) {
      const __m512i both = _mm512_load_si512(src + 64 * s);
      w[s] = _mm512_and_si512(both, low4);
      w[s + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low4);
    }
  }
  if constexpr (kBits == 2 || kBits == 3) {
    HANLIN_UNROLL
    for (int s = 0; s < 2; ++s) {
      const __m512i four = _mm512_load_si512(src + 64 * s);
      HANLIN_UNROLL
      for (int i = 0; i < 4; ++i) w[s + 2 * i] = _mm512_and_si512(_mm512_srli_epi16(four, 2 * i), low2);
    }
  }
  if constexpr (kBits == 6) {
    const __m512i high2 = _mm512_set1_epi8(0x30);
    HANLIN_UNROLL
    for (int s = 0; s < 2; ++s) {
      const __m512i four = _mm512_load_si512(src + 256 + 64 * s);
      // number |= bits << 4; the ternary function is a | (b & c).
      w[s] = _mm512_ternarylogic_epi32(w[s], _mm512_slli_epi16(four, 4), high2, 0xf8);
      w[s + 2] = _mm512_ternarylogic_epi32(w[s + 2], _mm512_slli_epi16(four, 2), high2, 0xf8);
      w[s + 4] = _mm512_ternarylogic_epi32(w[s + 4], four, high2, 0xf8);
      w[s + 6] = _mm512_ternarylogic_epi32(w[s + 6], _mm512_srli_epi16(four, 2), high2, 0xf8);
    }
  }
  if constexpr (kBits == 3 || kBits == 5) {
    constexpr int kTo = kBits - 1;
    const __m512i bit = _mm512_set1_epi8(1 << kTo), plane = _mm512_load_si512(src + (kBits == 3 ? 128 : 256));
    HANLIN_UNROLL
    for (int s = 0; s < 8; ++s) {
      const __m512i moved = s == kTo ? plane : s < kTo ? _mm512_slli_epi16(plane, kTo - s) : _mm512_srli_epi16(plane, s - kTo);
      w[s] = _mm512_ternarylogic_epi32(w[s], moved, bit, 0xf8);  // number | moved & bit
    }
  }
}

template <Packed kFormat>
HANLIN_INLINE void unpack_group(const uint8_t* src, __m512i* w) {
  constexpr Layout kLayout = layout_of(kFormat);
  unpack_numbers<kLayout.bits>(src, w);
  if constexpr (kLayout.lut) {
    const __m512i values = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i*)kIq4Values));
    HANLIN_UNROLL
    for (int s = 0; s < 8; ++s) w[s] = _mm512_shuffle_epi8(values, w[s]);
  }
}

HANLIN_INLINE __m512 load_f16(const uint8_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
HANLIN_INLINE __m512 load_u8(const uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)));
}
HANLIN_INLINE __m512 load_i8(const uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p)));
}

// Scales and mins of one group, [sub].
struct GroupScales {
  __m512 scale[2], min[2];
};

template <Scales kScales>
HANLIN_INLINE GroupScales load_scales(const uint8_t* scales, int64_t g) {
  GroupScales out;
  if constexpr (kScales == Scales::kD) {
    out.scale[0] = load_f16(scales + g * 32);
  } else if constexpr (kScales == Scales::kDM) {
    out.scale[0] = load_f16(scales + g * 64);
    // min = -m; the sign bit is flipped, which is exact.
    out.min[0] = _mm512_xor_ps(load_f16(scales + g * 64 + 32), _mm512_set1_ps(-0.0f));
  } else {
    constexpr int kBytes = Layout{0, 0, false, kScales}.scale_bytes();
    const uint8_t* record = scales + g / 8 * kBytes;
    const int i = (int)(g % 8);
    const __m512 d = load_f16(record);
    if constexpr (kScales == Scales::kSuperU8) {
      out.scale[0] = _mm512_mul_ps(d, load_u8(record + 64 + 32 * i));
      out.min[0] = _mm512_mul_ps(load_f16(record + 32), load_u8(record + 64 + 32 * i + 16));
    } else if constexpr (kScales == Scales::kSuperNib) {
      const __m512 dmin = load_f16(record + 32);
      HANLIN_UNROLL
      for (int sub = 0; sub < 2; ++sub) {
        const __m512i both = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)(record + 64 + 16 * (2 * i + sub))));
        out.scale[sub] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_and_si512(both, _mm512_set1_epi32(15))));
        out.min[sub] = _mm512_mul_ps(dmin, _mm512_cvtepi32_ps(_mm512_srli_epi32(both, 4)));
      }
    } else if constexpr (kScales == Scales::kSuperI8) {
      out.scale[0] = _mm512_mul_ps(d, load_i8(record + 32 + 16 * i));
    } else {
      HANLIN_UNROLL
      for (int sub = 0; sub < 2; ++sub) out.scale[sub] = _mm512_mul_ps(d, load_i8(record + 32 + 16 * (2 * i + sub)));
    }
  }
  return out;
}

// y[0 … 15] of one row and panel; lanes past the last output are not written.
HANLIN_INLINE void store_outputs(const GemmArgs& args, int64_t row, int64_t panel, __m512 sums) {
  const int64_t left = args.w->n - panel * kPanelRows;
  const __mmask16 lanes = left >= kPanelRows ? 0xffff : (__mmask16)((1u << left) - 1);
  if (args.bias) sums = _mm512_add_ps(sums, _mm512_maskz_loadu_ps(lanes, args.bias + panel * kPanelRows));
  _mm512_mask_storeu_ps(args.y + row * args.ldy + panel * kPanelRows, lanes, sums);
}

}  // namespace
}  // namespace hanlin::kernels
