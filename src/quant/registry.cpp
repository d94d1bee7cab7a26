#include <string>

#include "base/check.h"
#include "quant/formats/formats.h"
#include "quant/quant.h"

namespace hanlin {
namespace {

constexpr QuantCodec kCodecs[] = {
    {DType::kF32, decode_f32, encode_f32},          {DType::kF16, decode_f16, encode_f16},
    {DType::kBF16, decode_bf16, encode_bf16},       {DType::kQ4_0, decode_q4_0, encode_q4_0},
    {DType::kQ4_1, decode_q4_1, encode_q4_1},       {DType::kQ5_0, decode_q5_0, encode_q5_0},
    {DType::kQ5_1, decode_q5_1, encode_q5_1},       {DType::kQ8_0, decode_q8_0, encode_q8_0},
    {DType::kQ2_K, decode_q2_k, encode_q2_k},       {DType::kQ3_K, decode_q3_k, encode_q3_k},
    {DType::kQ4_K, decode_q4_k, encode_q4_k},       {DType::kQ5_K, decode_q5_k, encode_q5_k},
    {DType::kQ6_K, decode_q6_k, encode_q6_k},       {DType::kIQ4_NL, decode_iq4_nl, encode_iq4_nl},
    {DType::kIQ4_XS, decode_iq4_xs, encode_iq4_xs},
};

const QuantCodec& checked_codec(DType dtype, int64_t n) {
  const QuantCodec* codec = find_codec(dtype);
  HANLIN_CHECK(codec != nullptr, "not a weight type: " + std::string(dtype_info(dtype).name));
  HANLIN_CHECK(n >= 0 && n % dtype_info(dtype).block == 0, "a row of whole blocks is needed, got " + std::to_string(n) + " values");
  return *codec;
}

}  // namespace

std::span<const QuantCodec> quant_codecs() { return kCodecs; }

const QuantCodec* find_codec(DType dtype) {
  for (const QuantCodec& codec : kCodecs) {
    if (codec.dtype == dtype) return &codec;
  }
  return nullptr;
}

void decode_row(DType dtype, const void* src, int64_t n, float* dst) {
  const QuantCodec& codec = checked_codec(dtype, n);
  if (n > 0) codec.decode(src, n, dst);
}

void encode_row(DType dtype, const float* src, int64_t n, void* dst, const float* importance) {
  const QuantCodec& codec = checked_codec(dtype, n);
  if (n > 0) codec.encode(src, n, dst, importance);
}

Result<std::vector<float>> tensor_to_f32(const StoredTensor& tensor) {
  if (find_codec(tensor.dtype) == nullptr) {
    return Error{Code::kUnsupported, "tensor " + tensor.name + ": expected a weight type, got " + std::string(dtype_info(tensor.dtype).name)};
  }
  std::vector<float> values(static_cast<size_t>(tensor.n_values()));
  decode_row(tensor.dtype, tensor.data, tensor.n_values(), values.data());
  return values;
}

}  // namespace hanlin
