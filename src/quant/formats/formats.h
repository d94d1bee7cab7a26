// The decode and encode functions of every format (contracts in quant/quant.h). Internal to quant/.
// Block layouts: the structures of ggml-org/ggml (src/ggml-common.h), described at each function.
#pragma once

#include <cstdint>

namespace hanlin {

#define HANLIN_DECLARE_FORMAT(name)                          \
  void decode_##name(const void* src, int64_t n, float* dst); \
  void encode_##name(const float* src, int64_t n, void* dst, const float* importance)

HANLIN_DECLARE_FORMAT(f32);
HANLIN_DECLARE_FORMAT(f16);
HANLIN_DECLARE_FORMAT(bf16);
HANLIN_DECLARE_FORMAT(q4_0);
HANLIN_DECLARE_FORMAT(q4_1);
HANLIN_DECLARE_FORMAT(q5_0);
HANLIN_DECLARE_FORMAT(q5_1);
HANLIN_DECLARE_FORMAT(q8_0);
HANLIN_DECLARE_FORMAT(q2_k);
HANLIN_DECLARE_FORMAT(q3_k);
HANLIN_DECLARE_FORMAT(q4_k);
HANLIN_DECLARE_FORMAT(q5_k);
HANLIN_DECLARE_FORMAT(q6_k);
HANLIN_DECLARE_FORMAT(iq4_nl);
HANLIN_DECLARE_FORMAT(iq4_xs);

#undef HANLIN_DECLARE_FORMAT

}  // namespace hanlin
