// The AVX-512 level (F BW VL DQ VNNI): hand-written products and attention, the generic loops in 512-bit vectors.
#include "kernels/fill.h"

#include "kernels/generic-inl.h"
#include "kernels/kv-inl.h"

namespace hanlin::kernels {

void fill_avx512(KernelTable& table) {
  table.isa = Isa::kAvx512;
  fill_generic(table);
  table.kv_write = kv_write;
  fill_avx512_quantize(table);
  fill_avx512_attention(table);
  fill_avx512_gemm_int8(table);
  fill_avx512_gemm_int16(table);
  fill_avx512_gemm_f32(table);
}

}  // namespace hanlin::kernels
