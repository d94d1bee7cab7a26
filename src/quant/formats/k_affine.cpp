// Q2_K, Q4_K, Q5_K: super-blocks of 256 values, x = d·scale·q − dmin·min, scale and min integers per sub-block.
#include "quant/formats/bytes.h"
#include "quant/formats/formats.h"
#include "quant/formats/super_block.h"

namespace hanlin {
namespace {

constexpr AffineShape kQ2{16, 3, 15}, kQ4{32, 15, 63}, kQ5{32, 31, 63};
constexpr int kQ2Bytes = 84, kQ4Bytes = 144, kQ5Bytes = 176;

// Eight pairs of 6-bit scales and mins in 12 bytes: the low bits of pairs 0–3 stand whole in bytes 0–3 and 4–7; bytes
// 8–11 hold the low nibbles of pairs 4–7, whose upper two bits fill the tops of bytes 0–7.
void unpack_scales(const uint8_t* packed, uint8_t* scale, uint8_t* min) {
  for (int b = 0; b < 4; ++b) {
    scale[b] = packed[b] & 63;
    min[b] = packed[b + 4] & 63;
    scale[b + 4] = static_cast<uint8_t>((packed[b + 8] & 15) | (packed[b] >> 6) << 4);
    min[b + 4] = static_cast<uint8_t>(packed[b + 8] >> 4 | (packed[b + 4] >> 6) << 4);
  }
}
void pack_scales(const uint8_t* scale, const uint8_t* min, uint8_t* packed) {
  for (int b = 0; b < 4; ++b) {
    packed[b] = static_cast<uint8_t>(scale[b] | (scale[b + 4] >> 4) << 6);
    packed[b + 4] = static_cast<uint8_t>(min[b] | (min[b + 4] >> 4) << 6);
    packed[b + 8] = static_cast<uint8_t>((scale[b + 4] & 15) | (min[b + 4] & 15) << 4);
  }
}

// Q4_K and Q5_K: d, dmin, 12 bytes of scales, (Q5_K: 32 bytes of fifth bits, bit b of byte l for value 32b + l,) then
// 128 bytes; 32 bytes hold sub-block 2k in their low halves and 2k + 1 in their high ones.
template <bool kFifthBit>
void decode_45(const void* src, int64_t n, float* dst) {
  const auto* block = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += kSuper, block += kFifthBit ? kQ5Bytes : kQ4Bytes) {
    const float d = load_half(block), dmin = load_half(block + 2);
    uint8_t scale[8], min[8];
    unpack_scales(block + 4, scale, min);
    const uint8_t *fifth = block + 16, *low = block + (kFifthBit ? 48 : 16);
    for (int b = 0; b < 8; ++b) {
      const float step = d * static_cast<float>(scale[b]), offset = dmin * static_cast<float>(min[b]);
      for (int l = 0; l < 32; ++l) {
        const uint8_t byte = low[b / 2 * 32 + l];
        const int q = (b % 2 == 0 ? byte & 15 : byte >> 4) + (kFifthBit ? (fifth[l] >> b & 1) * 16 : 0);
        *dst++ = step * static_cast<float>(q) - offset;
      }
    }
  }
}

template <bool kFifthBit>
void encode_45(const float* src, int64_t n, void* dst, const float* importance) {
  auto* out = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; i += kSuper, out += kFifthBit ? kQ5Bytes : kQ4Bytes) {
    const PreparedBlock prepared = prepare(src + i, kSuper, 32, importance != nullptr ? importance + i : nullptr);
    const AffineBlock block = encode_affine_super(prepared, kFifthBit ? kQ5 : kQ4);
    std::memcpy(out, &block.d, 2);
    std::memcpy(out + 2, &block.dmin, 2);
    pack_scales(block.scale.data(), block.min.data(), out + 4);
    uint8_t *fifth = out + 16, *low = out + (kFifthBit ? 48 : 16);
    for (int l = 0; kFifthBit && l < 32; ++l) {
      int bits = 0;
      for (int b = 0; b < 8; ++b) bits |= (block.q[static_cast<size_t>(32 * b + l)] >> 4) << b;
      fifth[l] = static_cast<uint8_t>(bits);
    }
    for (int l = 0; l < 128; ++l) {
      const auto first = static_cast<size_t>(l / 32 * 64 + l % 32);
      low[l] = static_cast<uint8_t>((block.q[first] & 15) | (block.q[first + 32] & 15) << 4);
    }
  }
}

}  // namespace

void decode_q4_k(const void* src, int64_t n, float* dst) { decode_45<false>(src, n, dst); }
void encode_q4_k(const float* src, int64_t n, void* dst, const float* importance) { encode_45<false>(src, n, dst, importance); }
void decode_q5_k(const void* src, int64_t n, float* dst) { decode_45<true>(src, n, dst); }
void encode_q5_k(const float* src, int64_t n, void* dst, const float* importance) { encode_45<true>(src, n, dst, importance); }

// Q2_K: 16 bytes (scale in the low, min in the high half), 64 bytes of 2-bit values, d, dmin. Value 128h + 32s + l
// stands in bits 2s of byte 32h + l.
void decode_q2_k(const void* src, int64_t n, float* dst) {
  const auto* block = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += kSuper, block += kQ2Bytes) {
    const float d = load_half(block + 80), dmin = load_half(block + 82);
    for (int v = 0; v < kSuper; ++v) {
      const uint8_t packed = block[v / 16];
      const float step = d * static_cast<float>(packed & 15), offset = dmin * static_cast<float>(packed >> 4);
      const int q = block[16 + v / 128 * 32 + v % 32] >> (v / 32 % 4 * 2) & 3;
      *dst++ = step * static_cast<float>(q) - offset;
    }
  }
}

void encode_q2_k(const float* src, int64_t n, void* dst, const float* importance) {
  auto* out = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; i += kSuper, out += kQ2Bytes) {
    const PreparedBlock prepared = prepare(src + i, kSuper, 16, importance != nullptr ? importance + i : nullptr);
    const AffineBlock block = encode_affine_super(prepared, kQ2);
    for (size_t b = 0; b < 16; ++b) out[b] = static_cast<uint8_t>(block.scale[b] | block.min[b] << 4);
    std::memset(out + 16, 0, 64);
    for (int v = 0; v < kSuper; ++v) {
      uint8_t& byte = out[16 + v / 128 * 32 + v % 32];
      byte = static_cast<uint8_t>(byte | block.q[static_cast<size_t>(v)] << (v / 32 % 4 * 2));
    }
    std::memcpy(out + 80, &block.d, 2);
    std::memcpy(out + 82, &block.dmin, 2);
  }
}

}  // namespace hanlin
