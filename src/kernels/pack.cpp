// Source encodings are GGUF's (ggml-quants: block_q4_0 … block_iq4_xs); the panel is described in layout.h.
#include "kernels/pack.h"

#include <string.h>

#include "kernels/layout.h"

namespace hanlin::kernels {
namespace {

// One group of 32 numbers of all 16 outputs, unpacked: [step][output][4 inputs].
struct Numbers {
  uint8_t step[8][64];
};

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

void nibbles_16(const uint8_t* qs, uint8_t* out) {
  for (int i = 0; i < 16; ++i) {
    out[i] = qs[i] & 15;
    out[i + 16] = qs[i] >> 4;
  }
}

void add_fifth_bit(const uint8_t* qh, uint8_t* out) {
  uint32_t bits;
  memcpy(&bits, qh, 4);
  for (int i = 0; i < 32; ++i) out[i] |= (uint8_t)((bits >> i & 1) << 4);
}

// Numbers of group `g` (0 … 7 of a 256-block, 0 of a 32-block) of one source block.
void group_numbers(Packed format, const uint8_t* block, int g, uint8_t* out) {
  const int half = g / 4, j = g % 4;  // *_K with 2-bit planes run over halves of 128
  switch (format) {
    case Packed::kQ4_0:
    case Packed::kIQ4_NL: nibbles_16(block + 2, out); break;
    case Packed::kQ4_1: nibbles_16(block + 4, out); break;
    case Packed::kQ5_0:
      nibbles_16(block + 6, out);
      add_fifth_bit(block + 2, out);
      break;
    case Packed::kQ5_1:
      nibbles_16(block + 8, out);
      add_fifth_bit(block + 4, out);
      break;
    case Packed::kQ8_0:
      for (int i = 0; i < 32; ++i) out[i] = block[2 + i] ^ 0x80;
      break;
    case Packed::kQ2_K: {
      const uint8_t* qs = block + 16 + 32 * half;
      for (int i = 0; i < 32; ++i) out[i] = qs[i] >> (2 * j) & 3;
      break;
    }
    case Packed::kQ3_K: {
      const uint8_t* qs = block + 32 + 32 * half;
      for (int i = 0; i < 32; ++i) out[i] = (uint8_t)((qs[i] >> (2 * j) & 3) | (block[i] >> g & 1) << 2);
      break;
    }
    case Packed::kQ4_K: {
      const uint8_t* qs = block + 16 + 32 * (g / 2);
      for (int i = 0; i < 32; ++i) out[i] = qs[i] >> (4 * (g & 1)) & 15;
      break;
    }
    case Packed::kQ5_K: {
      const uint8_t* qh = block + 16;
      const uint8_t* qs = block + 48 + 32 * (g / 2);
      for (int i = 0; i < 32; ++i) out[i] = (uint8_t)((qs[i] >> (4 * (g & 1)) & 15) | (qh[i] >> g & 1) << 4);
      break;
    }
    case Packed::kQ6_K: {
      const uint8_t* ql = block + 64 * half + 32 * (j & 1);
      const uint8_t* qh = block + 128 + 32 * half;
      for (int i = 0; i < 32; ++i) out[i] = (uint8_t)((ql[i] >> (4 * (j / 2)) & 15) | (qh[i] >> (2 * j) & 3) << 4);
      break;
    }
    case Packed::kIQ4_XS: nibbles_16(block + 8 + 16 * g, out); break;
    default: break;
  }
}

// --------------------------------------------------------------------------------------------- planes of a packed group

void put_nibbles(const Numbers& numbers, uint8_t* dst) {
  const uint8_t* low = numbers.step[0];
  const uint8_t* high = numbers.step[4];
  for (int i = 0; i < 256; ++i) dst[i] = (uint8_t)((low[i] & 15) | high[i] << 4);
}

void put_pairs(const Numbers& numbers, int shift, uint8_t* dst) {
  const uint8_t* u = numbers.step[0];
  for (int i = 0; i < 128; ++i) {
    dst[i] = (uint8_t)((u[i] >> shift & 3) | (u[i + 128] >> shift & 3) << 2 | (u[i + 256] >> shift & 3) << 4 |
                       (u[i + 384] >> shift & 3) << 6);
  }
}

void put_bits(const Numbers& numbers, int shift, uint8_t* dst) {
  for (int b = 0; b < 64; ++b) {
    int byte = 0;
    for (int s = 0; s < 8; ++s) byte |= (numbers.step[s][b] >> shift & 1) << s;
    dst[b] = (uint8_t)byte;
  }
}

void put_group(int bits, const Numbers& numbers, uint8_t* dst) {
  switch (bits) {
    case 2: put_pairs(numbers, 0, dst); break;
    case 3: put_pairs(numbers, 0, dst); put_bits(numbers, 2, dst + 128); break;
    case 4: put_nibbles(numbers, dst); break;
    case 5: put_nibbles(numbers, dst); put_bits(numbers, 4, dst + 256); break;
    case 6: put_nibbles(numbers, dst); put_pairs(numbers, 4, dst + 256); break;
    default: memcpy(dst, numbers.step, 512); break;
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

void pack_quantised(Packed format, const uint8_t* rows, int64_t row_stride, int n_rows, int64_t k, uint8_t* dst) {
  const Layout layout = layout_of(format);
  const SourceBlock source = source_block(format);
  const int64_t groups_per_block = source.values / kGroup;
  uint8_t* scales = dst + quant_region_bytes(layout, k);
  const int64_t region_end = panel_bytes(format, k);
  memset(scales, 0, (size_t)(region_end - quant_region_bytes(layout, k)));
  Numbers numbers;
  memset(&numbers, 0, sizeof numbers);
  for (int64_t b = 0; b < k / source.values; ++b) {
    for (int64_t g = 0; g < groups_per_block; ++g) {
      for (int n = 0; n < n_rows; ++n) {
        uint8_t row[32];
        group_numbers(format, rows + n * row_stride + b * source.bytes, (int)g, row);
        for (int s = 0; s < 8; ++s) memcpy(numbers.step[s] + 4 * n, row + 4 * s, 4);
      }
      put_group(layout.bits, numbers, dst + (b * groups_per_block + g) * layout.group_bytes());
    }
    for (int n = 0; n < n_rows; ++n) {
      put_scales(format, rows + n * row_stride + b * source.bytes, n, scales + b * layout.scale_bytes());
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
  if (!is_float(format)) return pack_quantised(format, rows, row_stride, n_rows, k, dst);
  memset(dst, 0, (size_t)panel_bytes(format, k));
  if (format == Packed::kF32) pack_columns<4>(rows, row_stride, n_rows, k, dst);
  if (format == Packed::kF16) pack_columns<2>(rows, row_stride, n_rows, k, dst);
  if (format == Packed::kBF16) pack_pairs(rows, row_stride, n_rows, k, dst);
}

}  // namespace hanlin::kernels
