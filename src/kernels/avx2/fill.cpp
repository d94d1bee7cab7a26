// The AVX2 level (AVX2 FMA F16C BMI2): hand-written products, attention, the generic loops in 256-bit vectors.
#include "kernels/fill.h"

#include "kernels/generic-inl.h"
#include "kernels/kv-inl.h"

namespace hanlin::kernels {

void fill_avx2(KernelTable& table) {
  table.isa = Isa::kAvx2;
  fill_generic(table);
  table.kv_write = kv_write;
  fill_avx2_quantize(table);
  fill_avx2_attention(table);
  fill_avx2_gemm_int8(table);
  fill_avx2_gemm_int16(table);
  fill_avx2_gemm_f32(table);
}

}  // namespace hanlin::kernels
