// Element types of stored tensors. Plain data; arithmetic on them lives in quant/ and kernels/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hanlin {

// Values are Hanlin's own. The GGUF numbers are mapped in formats/gguf.cpp, safetensors names in formats/safetensors.cpp.
enum class DType : uint8_t {
  kF32, kF16, kBF16,
  kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0,
  kQ2_K, kQ3_K, kQ4_K, kQ5_K, kQ6_K,
  kIQ4_NL, kIQ4_XS,
  kI8, kI16, kI32, kI64, kF64, kU8, kBool,  // appear in files (ids, masks); never as weights
};

// How values are stored: `block` consecutive values of a row take `bytes` bytes. Q4_K: 256 values, 144 bytes.
struct DTypeInfo {
  DType dtype;
  std::string_view name;  // upper case, as GGUF tools write it: "Q4_K"
  int64_t block;
  int64_t bytes;
};

const DTypeInfo& dtype_info(DType dtype);
// The type called `name` (any case), or null.
const DTypeInfo* find_dtype(std::string_view name);
// Bytes of a row of `n` values; n must be a multiple of the block.
inline int64_t row_bytes(DType dtype, int64_t n) { return n / dtype_info(dtype).block * dtype_info(dtype).bytes; }

// The 16-bit floats. bf16 rounds to nearest even; NaN stays NaN. f16 likewise, with subnormals and infinities.
float bf16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value);
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);

}  // namespace hanlin
