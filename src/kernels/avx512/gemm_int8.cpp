#include "kernels/avx512/gemm_int8-inl.h"
#include "kernels/fill.h"

namespace hanlin::kernels {
namespace {

void gemm_int8(const GemmArgs& args) {
  with_format(args.w->format, [&]<Packed kFormat>() {
    if constexpr (!is_float(kFormat)) vnni_gemm<kFormat>(args);
  });
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
