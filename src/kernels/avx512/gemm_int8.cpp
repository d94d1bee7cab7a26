#include "kernels/avx512/gemm_int8-inl.h"
#include "kernels/fill.h"

namespace hanlin::kernels {
namespace {

void gemm_int8(const GemmArgs& args) {
  switch (args.w->format) {
    case Packed::kQ4_0: return vnni_gemm<Packed::kQ4_0>(args);
    case Packed::kQ4_1: return vnni_gemm<Packed::kQ4_1>(args);
    case Packed::kQ5_0: return vnni_gemm<Packed::kQ5_0>(args);
    case Packed::kQ5_1: return vnni_gemm<Packed::kQ5_1>(args);
    case Packed::kQ8_0: return vnni_gemm<Packed::kQ8_0>(args);
    case Packed::kQ2_K: return vnni_gemm<Packed::kQ2_K>(args);
    case Packed::kQ3_K: return vnni_gemm<Packed::kQ3_K>(args);
    case Packed::kQ4_K: return vnni_gemm<Packed::kQ4_K>(args);
    case Packed::kQ5_K: return vnni_gemm<Packed::kQ5_K>(args);
    case Packed::kQ6_K: return vnni_gemm<Packed::kQ6_K>(args);
    case Packed::kIQ4_NL: return vnni_gemm<Packed::kIQ4_NL>(args);
    case Packed::kIQ4_XS: return vnni_gemm<Packed::kIQ4_XS>(args);
    default: return;  // float formats have no int8 product
  }
}

}  // namespace

void fill_avx512_gemm_int8(KernelTable& table) {
  table.gemm_int8 = gemm_int8;
  // vpdpwssd takes half as many products as vpdpbusd: nothing would be gained.
  table.quantize_rows16 = nullptr;
  table.gemm_int16 = nullptr;
  table.takes_int16 = nullptr;
}

}  // namespace hanlin::kernels
