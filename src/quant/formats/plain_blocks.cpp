// Q8_0, Q4_0, Q4_1, Q5_0, Q5_1: blocks of 32 values with one scale (and for _1 an offset), rounded to nearest.
// 4- and 5-bit blocks keep value j in the low half of byte j and value j + 16 in the high half; the fifth bits follow
// the scale as one 32-bit word, bit j for value j.
#include "quant/formats/bytes.h"
#include "quant/formats/formats.h"

namespace hanlin {
namespace {

constexpr int kBlock = 32;

// Layout and range of a 4- or 5-bit type.
struct Shape {
  int n_bits;
  bool has_offset;
  constexpr int offset_at() const { return 2; }
  constexpr int fifth_at() const { return has_offset ? 4 : 2; }
  constexpr int low_at() const { return fifth_at() + (n_bits == 5 ? 4 : 0); }
  constexpr int bytes() const { return low_at() + kBlock / 2; }
  constexpr int max() const { return (1 << n_bits) - 1; }
  constexpr int half() const { return 1 << (n_bits - 1); }
};
constexpr Shape kQ4_0{4, false}, kQ4_1{4, true}, kQ5_0{5, false}, kQ5_1{5, true};

template <Shape kShape>
void decode(const void* src, int64_t n, float* dst) {
  const auto* block = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += kBlock, block += kShape.bytes(), dst += kBlock) {
    const float scale = load_half(block);
    const float offset = kShape.has_offset ? load_half(block + kShape.offset_at()) : 0.0f;
    uint32_t fifth = 0;
    if (kShape.n_bits == 5) std::memcpy(&fifth, block + kShape.fifth_at(), 4);
    for (int j = 0; j < kBlock; ++j) {
      const uint8_t byte = block[kShape.low_at() + j % 16];
      const int q = (j < 16 ? byte & 15 : byte >> 4) | static_cast<int>((fifth >> j & 1) << 4);
      dst[j] = kShape.has_offset ? static_cast<float>(q) * scale + offset : static_cast<float>(q - kShape.half()) * scale;
    }
  }
}

template <Shape kShape>
void store(const int* q, uint8_t* block) {
  uint32_t fifth = 0;
  for (int j = 0; j < kBlock; ++j) fifth |= static_cast<uint32_t>(q[j] >> 4 & 1) << j;
  if (kShape.n_bits == 5) std::memcpy(block + kShape.fifth_at(), &fifth, 4);
  for (int j = 0; j < 16; ++j) block[kShape.low_at() + j] = static_cast<uint8_t>((q[j] & 15) | (q[j + 16] & 15) << 4);
}

// Symmetric: the value of largest magnitude becomes the lowest level, which has one step more than the highest.
template <Shape kShape>
void encode_symmetric(const float* x, uint8_t* block) {
  float extreme = 0;
  for (int j = 0; j < kBlock; ++j) {
    if (std::fabs(x[j]) > std::fabs(extreme)) extreme = x[j];
  }
  const float scale = saturated(extreme / static_cast<float>(-kShape.half()));
  const float inverse_scale = inverse(scale);
  store_half(block, scale);
  int q[kBlock];
  for (int j = 0; j < kBlock; ++j) q[j] = truncated_int(x[j] * inverse_scale + (static_cast<float>(kShape.half()) + 0.5f), 0, kShape.max());
  store<kShape>(q, block);
}

template <Shape kShape>
void encode_affine(const float* x, uint8_t* block) {
  const auto [lowest, highest] = std::minmax_element(x, x + kBlock);
  const float offset = saturated(*lowest);
  const float scale = saturated((*highest - *lowest) / static_cast<float>(kShape.max()));
  const float inverse_scale = inverse(scale);
  store_half(block, scale);
  store_half(block + kShape.offset_at(), offset);
  int q[kBlock];
  for (int j = 0; j < kBlock; ++j) q[j] = truncated_int((x[j] - offset) * inverse_scale + 0.5f, 0, kShape.max());
  store<kShape>(q, block);
}

template <Shape kShape>
void encode(const float* src, int64_t n, void* dst) {
  auto* block = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; i += kBlock, block += kShape.bytes()) {
    float x[kBlock];
    for (int j = 0; j < kBlock; ++j) x[j] = clean(src[i + j]);
    if constexpr (kShape.has_offset) encode_affine<kShape>(x, block);
    else encode_symmetric<kShape>(x, block);
  }
}

}  // namespace

void decode_q4_0(const void* src, int64_t n, float* dst) { decode<kQ4_0>(src, n, dst); }
void decode_q4_1(const void* src, int64_t n, float* dst) { decode<kQ4_1>(src, n, dst); }
void decode_q5_0(const void* src, int64_t n, float* dst) { decode<kQ5_0>(src, n, dst); }
void decode_q5_1(const void* src, int64_t n, float* dst) { decode<kQ5_1>(src, n, dst); }
void encode_q4_0(const float* src, int64_t n, void* dst, const float*) { encode<kQ4_0>(src, n, dst); }
void encode_q4_1(const float* src, int64_t n, void* dst, const float*) { encode<kQ4_1>(src, n, dst); }
void encode_q5_0(const float* src, int64_t n, void* dst, const float*) { encode<kQ5_0>(src, n, dst); }
void encode_q5_1(const float* src, int64_t n, void* dst, const float*) { encode<kQ5_1>(src, n, dst); }

// Q8_0: scale, then 32 signed bytes.
void decode_q8_0(const void* src, int64_t n, float* dst) {
  const auto* block = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += kBlock, block += 34) {
    const float scale = load_half(block);
    for (int j = 0; j < kBlock; ++j) dst[i + j] = static_cast<float>(static_cast<int8_t>(block[2 + j])) * scale;
  }
}

void encode_q8_0(const float* src, int64_t n, void* dst, const float*) {
  auto* block = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; i += kBlock, block += 34) {
    float largest = 0;
    for (int j = 0; j < kBlock; ++j) largest = std::max(largest, std::fabs(clean(src[i + j])));
    const float scale = saturated(largest / 127.0f);
    const float inverse_scale = inverse(scale);
    store_half(block, scale);
    for (int j = 0; j < kBlock; ++j) {
      const int q = truncated_int(std::round(clean(src[i + j]) * inverse_scale), -127, 127);
      block[2 + j] = static_cast<uint8_t>(static_cast<int8_t>(q));
    }
  }
}

}  // namespace hanlin
