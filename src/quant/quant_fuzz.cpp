// libFuzzer target: any bytes decode, any floats encode, and what was encoded decodes to finite numbers.
#include <cmath>
#include <cstring>

#include "quant/quant.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hanlin;
  if (size < 2) return 0;
  const QuantCodec& codec = quant_codecs()[data[0] % quant_codecs().size()];
  const DTypeInfo& info = dtype_info(codec.dtype);
  const bool with_importance = (data[1] & 1) != 0;
  data += 2;
  size -= 2;
  const int64_t n_stored = static_cast<int64_t>(size) / info.bytes * info.block;
  std::vector<float> decoded(static_cast<size_t>(n_stored));
  decode_row(codec.dtype, data, n_stored, decoded.data());

  const auto n = static_cast<size_t>(static_cast<int64_t>(size / 4) / info.block * info.block);
  std::vector<float> values(n);
  if (n > 0) std::memcpy(values.data(), data, n * 4);
  std::vector<uint8_t> bytes(static_cast<size_t>(row_bytes(codec.dtype, static_cast<int64_t>(n))));
  encode_row(codec.dtype, values.data(), static_cast<int64_t>(n), bytes.data(), with_importance ? values.data() : nullptr);
  decode_row(codec.dtype, bytes.data(), static_cast<int64_t>(n), values.data());
  if (codec.dtype == DType::kF32 || codec.dtype == DType::kF16 || codec.dtype == DType::kBF16) return 0;
  for (const float value : values) {
    if (!std::isfinite(value)) __builtin_trap();
  }
  return 0;
}
