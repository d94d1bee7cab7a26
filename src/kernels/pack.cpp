// Source encodings are GGUF's (ggml-quants: block_q4_0 … block_iq4_xs); the panel is described in layout.h.
#include "kernels/pack.h"

#include <string.h>

#include "kernels/layout.h"

namespace hanlin::kernels {
namespace {

// Numbers are worked on four at a time, as the bytes of a word: a step of one output (layout.h). A group of one output is
// eight such words, and the planes of the panel are made of words again. Compilers turn this into vector code for plain
// x86-64 already; memory is slower than that, so that there is no need for a form in each level of kernels.
struct Words {
  uint32_t step[8];
};

inline uint32_t load32(const uint8_t* from) {
  uint32_t word;
  memcpy(&word, from, 4);
  return word;
}
inline void store32(uint8_t* to, uint32_t word) { memcpy(to, &word, 4); }

constexpr uint32_t kOnes = 0x01010101;  // times a byte: that byte in each of the four

struct SourceBlock {
  int64_t values, bytes;
};

constexpr SourceBlock source_block(Packed format) {
  switch (format) {
    case Packed::kF32: return {1, 4};
    case Packed::kF16: return {1, 2};
    case Packed::kBF16: return {1, 2};
    case Packed::kQ4_0: return {32, 18};
    case Packed::kQ4_1: return {32, 20};
    case Packed::kQ5_0: return {32, 22};
    case Packed::kQ5_1: return {32, 24};
    case Packed::kQ8_0: return {32, 34};
    case Packed::kQ2_K: return {256, 84};
    case Packed::kQ3_K: return {256, 110};
    case Packed::kQ4_K: return {256, 144};
    case Packed::kQ5_K: return {256, 176};
    case Packed::kQ6_K: return {256, 210};
    case Packed::kIQ4_NL: return {32, 18};
    case Packed::kIQ4_XS: return {256, 136};
  }
  return {1, 0};
}

// ------------------------------------------------------------------------------------------------- numbers of a group

inline void nibbles_16(const uint8_t* qs, Words& out) {
  for (int s = 0; s < 4; ++s) {
    const uint32_t word = load32(qs + 4 * s);
    out.step[s] = word & 15 * kOnes;
    out.step[s + 4] = word >> 4 & 15 * kOnes;
  }
}

// Bit i of qh is the fifth bit of number i.
inline void add_fifth_bit(const uint8_t* qh, Words& out) {
  const uint32_t bits = load32(qh);
  // The product puts bit b of four at 8 * b: 7 * b further than it is.
  for (int s = 0; s < 8; ++s) out.step[s] |= ((bits >> (4 * s) & 15) * 0x00204081u & kOnes) << 4;
}

// Numbers of group `g` (0 … 7 of a 256-block, 0 of a 32-block) of one source block.
template <Packed kFormat>
inline void group_words(const uint8_t* block, int g, Words& out) {
  [[maybe_unused]] const int half = g / 4, j = g % 4;  // *_K with 2-bit planes run over halves of 128
  if constexpr (kFormat == Packed::kQ4_0 || kFormat == Packed::kIQ4_NL) {
    nibbles_16(block + 2, out);
  } else if constexpr (kFormat == Packed::kQ4_1) {
    nibbles_16(block + 4, out);
  } else if constexpr (kFormat == Packed::kIQ4_XS) {
    nibbles_16(block + 8 + 16 * g, out);
  } else if constexpr (kFormat == Packed::kQ5_0) {
    nibbles_16(block + 6, out);
    add_fifth_bit(block + 2, out);
  } else if constexpr (kFormat == Packed::kQ5_1) {
    nibbles_16(block + 8, out);
    add_fifth_bit(block + 4, out);
  } else {
    for (int s = 0; s < 8; ++s) {
      const int i = 4 * s;
      if constexpr (kFormat == Packed::kQ8_0) {
        out.step[s] = load32(block + 2 + i) ^ 128 * kOnes;
      } else if constexpr (kFormat == Packed::kQ2_K) {
        out.step[s] = load32(block + 16 + 32 * half + i) >> (2 * j) & 3 * kOnes;
      } else if constexpr (kFormat == Packed::kQ3_K) {
        out.step[s] = (load32(block + 32 + 32 * half + i) >> (2 * j) & 3 * kOnes) | (load32(block + i) >> g & kOnes) << 2;
      } else if constexpr (kFormat == Packed::kQ4_K) {
        out.step[s] = load32(block + 16 + 32 * (g / 2) + i) >> (4 * (g & 1)) & 15 * kOnes;
      } else if constexpr (kFormat == Packed::kQ5_K) {
        out.step[s] = (load32(block + 48 + 32 * (g / 2) + i) >> (4 * (g & 1)) & 15 * kOnes) | (load32(block + 16 + i) >> g & kOnes) << 4;
      } else {
        static_assert(kFormat == Packed::kQ6_K);
        out.step[s] = (load32(block + 64 * half + 32 * (j & 1) + i) >> (4 * (j / 2)) & 15 * kOnes) |
                      (load32(block + 128 + 32 * half + i) >> (2 * j) & 3 * kOnes) << 4;
      }
    }
  }
}

// --------------------------------------------------------------------------------------------- planes of a packed group

// `dst` is where the output's first word of a plane stands; the next step's is 64 bytes further.
inline void put_nibbles(const Words& words, uint8_t* dst) {
  for (int s = 0; s < 4; ++s) store32(dst + 64 * s, (words.step[s] & 15 * kOnes) | (words.step[s + 4] & 15 * kOnes) << 4);
}

inline void put_pairs(const Words& words, int shift, uint8_t* dst) {
  for (int s = 0; s < 2; ++s) {
    uint32_t word = 0;
    for (int t = 0; t < 4; ++t) word |= (words.step[2 * t + s] >> shift & 3 * kOnes) << (2 * t);
    store32(dst + 64 * s, word);
  }
}

inline void put_bits(const Words& words, int shift, uint8_t* dst) {
  uint32_t word = 0;
  for (int s = 0; s < 8; ++s) word |= (words.step[s] >> shift & kOnes) << s;
  store32(dst, word);
}

template <int kBits>
inline void put_words(const Words& words, uint8_t* dst) {
  if constexpr (kBits == 2 || kBits == 3) put_pairs(words, 0, dst);
  if constexpr (kBits == 3) put_bits(words, 2, dst + 128);
  if constexpr (kBits >= 4 && kBits <= 6) put_nibbles(words, dst);
  if constexpr (kBits == 5) put_bits(words, 4, dst + 256);
  if constexpr (kBits == 6) put_pairs(words, 4, dst + 256);
  if constexpr (kBits == 8) {
    for (int s = 0; s < 8; ++s) store32(dst + 64 * s, words.step[s]);
  }
}

// ------------------------------------------------------------------------------------------------------ scale records

void put_f16(uint8_t* record, int output, const uint8_t* f16) { memcpy(record + 2 * output, f16, 2); }

// 6-bit scale and min of group g of Q4_K and Q5_K.
void scale_min_6bit(const uint8_t* s, int g, uint8_t* scale, uint8_t* min) {
  if (g < 4) {
    *scale = s[g] & 63;
    *min = s[g + 4] & 63;
  } else {
    *scale = (uint8_t)((s[g + 4] & 15) | s[g - 4] >> 6 << 4);
    *min = (uint8_t)(s[g + 4] >> 4 | s[g] >> 6 << 4);
  }
}

// Writes what `block` says into output `n` of a scale record.
void put_scales(Packed format, const uint8_t* block, int n, uint8_t* record) {
  switch (format) {
    case Packed::kQ4_1:
    case Packed::kQ5_1: put_f16(record + 32, n, block + 2); [[fallthrough]];
    case Packed::kQ4_0:
    case Packed::kQ5_0:
    case Packed::kQ8_0:
    case Packed::kIQ4_NL: put_f16(record, n, block); break;
    case Packed::kQ4_K:
    case Packed::kQ5_K:
      put_f16(record, n, block);
      put_f16(record + 32, n, block + 2);
      for (int g = 0; g < 8; ++g) {
        uint8_t* pair = record + 64 + 32 * g;
        scale_min_6bit(block + 4, g, pair + n, pair + 16 + n);
      }
      break;
    case Packed::kQ2_K:
      put_f16(record, n, block + 80);
      put_f16(record + 32, n, block + 82);
      for (int i = 0; i < 16; ++i) record[64 + 16 * i + n] = block[i];
      break;
    case Packed::kQ3_K: {
      put_f16(record, n, block + 108);
      const uint8_t* s = block + 96;
      for (int i = 0; i < 16; ++i) {
        const int low = i < 8 ? s[i] & 15 : s[i - 8] >> 4;
        const int high = s[8 + i % 4] >> (2 * (i / 4)) & 3;
        record[32 + 16 * i + n] = (uint8_t)(int8_t)((low | high << 4) - 32);
      }
      break;
    }
    case Packed::kQ6_K:
      put_f16(record, n, block + 208);
      for (int i = 0; i < 16; ++i) record[32 + 16 * i + n] = block[192 + i];
      break;
    case Packed::kIQ4_XS: {
      put_f16(record, n, block);
      uint16_t high;
      memcpy(&high, block + 2, 2);
      for (int g = 0; g < 8; ++g) {
        const int sc = (block[4 + g / 2] >> (4 * (g & 1)) & 15) | (high >> (2 * g) & 3) << 4;
        record[32 + 16 * g + n] = (uint8_t)(int8_t)(sc - 32);
      }
      break;
    }
    default: break;
  }
}

template <Packed kFormat>
void pack_quantised(const uint8_t* rows, int64_t row_stride, int n_rows, int64_t k, uint8_t* dst) {
  constexpr Layout kLayout = layout_of(kFormat);
  constexpr SourceBlock kSource = source_block(kFormat);
  constexpr int kGroups = (int)(kSource.values / kGroup);
  const int64_t n_blocks = k / kSource.values;
  uint8_t* scales = dst + quant_region_bytes(kLayout, k);
  uint8_t* scales_end = scales + n_blocks * kLayout.scale_bytes();
  if (n_rows < kPanelRows) memset(dst, 0, (size_t)(scales_end - dst));
  memset(scales_end, 0, (size_t)(dst + panel_bytes(kFormat, k) - scales_end));
  for (int64_t b = 0; b < n_blocks; ++b) {
    const uint8_t* blocks = rows + b * kSource.bytes;
    uint8_t* quants = dst + b * kGroups * kLayout.group_bytes();
    for (int n = 0; n < n_rows; ++n) {
      const uint8_t* block = blocks + n * row_stride;
#pragma GCC unroll 8
      for (int g = 0; g < kGroups; ++g) {  // with g known, its shifts and offsets are constants
        Words words;
        group_words<kFormat>(block, g, words);
        put_words<kLayout.bits>(words, quants + g * kLayout.group_bytes() + 4 * n);
      }
      put_scales(kFormat, block, n, scales + b * kLayout.scale_bytes());
    }
  }
}

// f32 and f16: [K][16].
template <int kSize>
void pack_columns(const uint8_t* rows, int64_t row_stride, int n_rows, int64_t k, uint8_t* dst) {
  for (int64_t i = 0; i < k; ++i) {
    for (int n = 0; n < n_rows; ++n) memcpy(dst + (i * kPanelRows + n) * kSize, rows + n * row_stride + i * kSize, kSize);
  }
}

// bf16: [K/2][16][2].
void pack_pairs(const uint8_t* rows, int64_t row_stride, int n_rows, int64_t k, uint8_t* dst) {
  for (int64_t i = 0; i < k; ++i) {
    for (int n = 0; n < n_rows; ++n) memcpy(dst + ((i / 2 * kPanelRows + n) * 2 + i % 2) * 2, rows + n * row_stride + i * 2, 2);
  }
}

}  // namespace

int64_t source_row_bytes(Packed format, int64_t k) {
  const SourceBlock source = source_block(format);
  return k / source.values * source.bytes;
}

int64_t panel_bytes(Packed format, int64_t k) {
  int64_t bytes = 0;
  if (format == Packed::kF32) {
    bytes = k * kPanelRows * 4;
  } else if (format == Packed::kF16) {
    bytes = k * kPanelRows * 2;
  } else if (format == Packed::kBF16) {
    bytes = (k + 1) / 2 * kPanelRows * 4;
  } else {
    const Layout layout = layout_of(format);
    bytes = quant_region_bytes(layout, k) + k / layout.scale_span() * layout.scale_bytes();
  }
  return (bytes + 63) / 64 * 64;
}

int64_t packed_bytes(Packed format, int64_t n, int64_t k) {
  return (n + kPanelRows - 1) / kPanelRows * panel_bytes(format, k);
}

void pack_panel(Packed format, const uint8_t* rows, int64_t row_stride, int n_rows, int64_t k, uint8_t* dst) {
  with_format(format, [&]<Packed kFormat>() {
    if constexpr (!is_float(kFormat)) return pack_quantised<kFormat>(rows, row_stride, n_rows, k, dst);
    memset(dst, 0, (size_t)panel_bytes(format, k));
    if constexpr (kFormat == Packed::kF32) pack_columns<4>(rows, row_stride, n_rows, k, dst);
    if constexpr (kFormat == Packed::kF16) pack_columns<2>(rows, row_stride, n_rows, k, dst);
    if constexpr (kFormat == Packed::kBF16) pack_pairs(rows, row_stride, n_rows, k, dst);
  });
}

int layout_version() { return kLayoutVersion; }

}  // namespace hanlin::kernels
