// Q3_K and Q6_K: super-blocks of 256 values, x = d·scale·q with signed integer scales per 16 values.
#include "quant/formats/bytes.h"
#include "quant/formats/formats.h"
#include "quant/formats/super_block.h"

namespace hanlin {
namespace {

template <size_t kLevels>
constexpr std::array<int8_t, kLevels> integer_levels() {
  std::array<int8_t, kLevels> levels{};
  for (size_t i = 0; i < kLevels; ++i) levels[i] = static_cast<int8_t>(static_cast<int>(i) - static_cast<int>(kLevels / 2));
  return levels;
}
constexpr auto kLevels3 = integer_levels<8>();
constexpr auto kLevels6 = integer_levels<64>();
constexpr auto kIndex3 = nearest_level_table(kLevels3);
constexpr auto kIndex6 = nearest_level_table(kLevels6);
constexpr SymmetricShape kQ3{16, -32, 31, kLevels3.data(), 8, kIndex3.data(), 0.1f};
constexpr SymmetricShape kQ6{16, -128, 127, kLevels6.data(), 64, kIndex6.data(), 0.1f};
constexpr int kQ3Bytes = 110, kQ6Bytes = 210;

}  // namespace

// Q3_K: 32 bytes of third bits (bit 4h + s of byte l for value 128h + 32s + l), 64 bytes of the low two bits as in Q2_K,
// 12 bytes of 6-bit scales (offset 32), d. Scale b: low nibble in byte b % 8, half b / 8; top bits in byte 8 + b % 4.
void decode_q3_k(const void* src, int64_t n, float* dst) {
  const auto* block = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += kSuper, block += kQ3Bytes) {
    const float d = load_half(block + 108);
    const uint8_t* packed = block + 96;
    for (int v = 0; v < kSuper; ++v) {
      const int b = v / 16;
      const int scale = (packed[b % 8] >> (b / 8 * 4) & 15) | (packed[8 + b % 4] >> (b / 4 * 2) & 3) << 4;
      const int q = (block[32 + v / 128 * 32 + v % 32] >> (v / 32 % 4 * 2) & 3) + (block[v % 32] >> (v / 32) & 1) * 4 - 4;
      *dst++ = d * static_cast<float>(scale - 32) * static_cast<float>(q);
    }
  }
}

void encode_q3_k(const float* src, int64_t n, void* dst, const float* importance) {
  auto* out = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; i += kSuper, out += kQ3Bytes) {
    const PreparedBlock prepared = prepare(src + i, kSuper, 16, importance != nullptr ? importance + i : nullptr);
    const SymmetricBlock block = encode_symmetric_super(prepared, kQ3);
    std::memset(out, 0, 108);
    for (int b = 0; b < 16; ++b) {
      const int scale = block.scale[static_cast<size_t>(b)] + 32;
      out[96 + b % 8] = static_cast<uint8_t>(out[96 + b % 8] | (scale & 15) << (b / 8 * 4));
      out[104 + b % 4] = static_cast<uint8_t>(out[104 + b % 4] | (scale >> 4) << (b / 4 * 2));
    }
    for (int v = 0; v < kSuper; ++v) {
      const int q = block.index[static_cast<size_t>(v)];
      out[v % 32] = static_cast<uint8_t>(out[v % 32] | (q >> 2) << (v / 32));
      uint8_t& low = out[32 + v / 128 * 32 + v % 32];
      low = static_cast<uint8_t>(low | (q & 3) << (v / 32 % 4 * 2));
    }
    std::memcpy(out + 108, &block.d, 2);
  }
}

// Q6_K: 128 bytes of low nibbles, 64 bytes of the upper two bits, 16 signed scales, d. Value v = 128h + 32s + l: nibble
// in byte 64h + 32(s % 2) + l, half s / 2; upper bits in byte 32h + l, bits 2s.
void decode_q6_k(const void* src, int64_t n, float* dst) {
  const auto* block = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += kSuper, block += kQ6Bytes) {
    const float d = load_half(block + 208);
    for (int v = 0; v < kSuper; ++v) {
      const int h = v / 128, s = v / 32 % 4, l = v % 32;
      const int low = block[64 * h + 32 * (s % 2) + l] >> (s / 2 * 4) & 15;
      const int q = (low | (block[128 + 32 * h + l] >> (2 * s) & 3) << 4) - 32;
      *dst++ = d * static_cast<float>(static_cast<int8_t>(block[192 + v / 16])) * static_cast<float>(q);
    }
  }
}

void encode_q6_k(const float* src, int64_t n, void* dst, const float* importance) {
  auto* out = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; i += kSuper, out += kQ6Bytes) {
    const PreparedBlock prepared = prepare(src + i, kSuper, 16, importance != nullptr ? importance + i : nullptr);
    const SymmetricBlock block = encode_symmetric_super(prepared, kQ6);
    std::memset(out, 0, 192);
    for (int v = 0; v < kSuper; ++v) {
      const int h = v / 128, s = v / 32 % 4, l = v % 32, q = block.index[static_cast<size_t>(v)];
      uint8_t& low = out[64 * h + 32 * (s % 2) + l];
      low = static_cast<uint8_t>(low | (q & 15) << (s / 2 * 4));
      uint8_t& high = out[128 + 32 * h + l];
      high = static_cast<uint8_t>(high | (q >> 4) << (2 * s));
    }
    std::memcpy(out + 192, block.scale.data(), 16);
    std::memcpy(out + 208, &block.d, 2);
  }
}

}  // namespace hanlin
