// Quantised rows ↔ float32, for every weight type Hanlin reads. This is the exact, plain path: loading, conversion,
// tests and reference computations use it; kernels have their own fast one.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/stored_tensor.h"
#include "tensor/dtype.h"

namespace hanlin {

// How to decode and encode one type. `n` is a multiple of the type's block; src and dst need no alignment on the side
// of the stored bytes. Neither can fail.
struct QuantCodec {
  DType dtype;
  void (*decode)(const void* src, int64_t n, float* dst);
  void (*encode)(const float* src, int64_t n, void* dst, const float* importance);
};

// One entry per weight type: F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS.
std::span<const QuantCodec> quant_codecs();
// Null for types that are not weights (integers, F64).
const QuantCodec* find_codec(DType dtype);

// Decodes `n` values (one or several rows) from `src`, row_bytes(dtype, n) bytes. The results equal the reference
// decoders bit for bit. HANLIN_CHECK: a weight type, whole blocks. Any thread.
void decode_row(DType dtype, const void* src, int64_t n, float* dst);

// Encodes `n` values into row_bytes(dtype, n) bytes at `dst`. Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 are the plain
// round-to-nearest encodings; K and IQ4 types search for the scales with the least weighted squared error.
// `importance`, if given, holds `n` weights ≥ 0 (how much an error in that column costs); only searching types use it.
// NaN counts as 0; values too large for the type's 16-bit scale saturate, so that decoding never yields NaN or infinity.
// (F32, F16 and BF16 keep NaN and infinity.) Any thread.
void encode_row(DType dtype, const float* src, int64_t n, void* dst, const float* importance = nullptr);

// All values of a tensor. Errors: kUnsupported for types that are not weights.
Result<std::vector<float>> tensor_to_f32(const StoredTensor& tensor);

}  // namespace hanlin
