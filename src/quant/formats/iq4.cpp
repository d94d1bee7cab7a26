// IQ4_NL and IQ4_XS: 4-bit indexes into a table of sixteen uneven levels.
#include "quant/formats/bytes.h"
#include "quant/formats/formats.h"
#include "quant/formats/super_block.h"

namespace hanlin {
namespace {

// The table of ggml-org/ggml (kvalues_iq4nl), part of the format.
constexpr std::array<int8_t, 16> kLevels{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr auto kIndex = nearest_level_table(kLevels);
constexpr SymmetricShape kShape{32, -32, 31, kLevels.data(), 16, kIndex.data(), 1.0f};
constexpr int kNlBlock = 32, kNlBytes = 18, kXsBytes = 136;

void decode_32(const uint8_t* packed, float scale, float* dst) {
  for (int j = 0; j < 16; ++j) {
    dst[j] = scale * static_cast<float>(kLevels[packed[j] & 15]);
    dst[j + 16] = scale * static_cast<float>(kLevels[packed[j] >> 4]);
  }
}

void pack_32(const uint8_t* index, uint8_t* packed) {
  for (int j = 0; j < 16; ++j) packed[j] = static_cast<uint8_t>(index[j] | index[j + 16] << 4);
}

}  // namespace

// IQ4_NL: scale, 16 bytes; value j in the low half of byte j, value j + 16 in the high half.
void decode_iq4_nl(const void* src, int64_t n, float* dst) {
  const auto* block = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += kNlBlock, block += kNlBytes) decode_32(block + 2, load_half(block), dst + i);
}

void encode_iq4_nl(const float* src, int64_t n, void* dst, const float* importance) {
  auto* out = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; i += kNlBlock, out += kNlBytes) {
    const PreparedBlock block = prepare(src + i, kNlBlock, kNlBlock, importance != nullptr ? importance + i : nullptr);
    uint16_t bits = 0;
    uint8_t index[kNlBlock] = {};
    if (!block.zero) {
      const float scale = block.stored(best_symmetric_scale(block.x.data(), block.weight.data(), kNlBlock, kShape), &bits);
      assign_levels(block.x.data(), block.weight.data(), kNlBlock, scale, kShape, index);
    }
    std::memcpy(out, &bits, 2);
    pack_32(index, out + 2);
  }
}

// IQ4_XS: d, 16 bits with the upper two bits of the eight scales, 4 bytes with their low nibbles (offset 32), then
// eight times 16 bytes as in IQ4_NL.
void decode_iq4_xs(const void* src, int64_t n, float* dst) {
  const auto* block = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += kSuper, block += kXsBytes) {
    const float d = load_half(block);
    uint16_t high;
    std::memcpy(&high, block + 2, 2);
    for (int b = 0; b < 8; ++b) {
      const int scale = (block[4 + b / 2] >> (b % 2 * 4) & 15) | (high >> (2 * b) & 3) << 4;
      decode_32(block + 8 + 16 * b, d * static_cast<float>(scale - 32), dst + i + 32 * b);
    }
  }
}

void encode_iq4_xs(const float* src, int64_t n, void* dst, const float* importance) {
  auto* out = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; i += kSuper, out += kXsBytes) {
    const PreparedBlock prepared = prepare(src + i, kSuper, 32, importance != nullptr ? importance + i : nullptr);
    const SymmetricBlock block = encode_symmetric_super(prepared, kShape);
    std::memset(out, 0, 8);
    std::memcpy(out, &block.d, 2);
    int high = 0;
    for (int b = 0; b < 8; ++b) {
      const int scale = block.scale[static_cast<size_t>(b)] + 32;
      high |= (scale >> 4) << (2 * b);
      out[4 + b / 2] = static_cast<uint8_t>(out[4 + b / 2] | (scale & 15) << (b % 2 * 4));
      pack_32(block.index.data() + 32 * b, out + 8 + 16 * b);
    }
    const auto high_bits = static_cast<uint16_t>(high);
    std::memcpy(out + 2, &high_bits, 2);
  }
}

}  // namespace hanlin
