// The AVX2 level (AVX2 FMA F16C BMI2): hand-written products, the generic loops and attention in 256-bit vectors.
#include "kernels/fill.h"

#include "kernels/attention-inl.h"

namespace hanlin::kernels {

void fill_avx2(KernelTable& table) {
  table.isa = Isa::kAvx2;
  fill_generic(table);
  table.attention = attention;
  fill_avx2_gemm_int8(table);
  fill_avx2_gemm_f32(table);
}

}  // namespace hanlin::kernels
