// Plain floats: F32, F16, BF16.
#include <cstring>

#include "quant/formats/formats.h"
#include "tensor/dtype.h"

namespace hanlin {
namespace {

template <float (*Widen)(uint16_t)>
void decode_16(const void* src, int64_t n, float* dst) {
  const auto* bytes = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes + 2 * i, 2);
    dst[i] = Widen(bits);
  }
}

template <uint16_t (*Narrow)(float)>
void encode_16(const float* src, int64_t n, void* dst) {
  auto* bytes = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t bits = Narrow(src[i]);
    std::memcpy(bytes + 2 * i, &bits, 2);
  }
}

}  // namespace

void decode_f32(const void* src, int64_t n, float* dst) { std::memcpy(dst, src, static_cast<size_t>(n) * 4); }
void encode_f32(const float* src, int64_t n, void* dst, const float*) { std::memcpy(dst, src, static_cast<size_t>(n) * 4); }
void decode_f16(const void* src, int64_t n, float* dst) { decode_16<f16_to_f32>(src, n, dst); }
void encode_f16(const float* src, int64_t n, void* dst, const float*) { encode_16<f32_to_f16>(src, n, dst); }
void decode_bf16(const void* src, int64_t n, float* dst) { decode_16<bf16_to_f32>(src, n, dst); }
void encode_bf16(const float* src, int64_t n, void* dst, const float*) { encode_16<f32_to_bf16>(src, n, dst); }

}  // namespace hanlin
