#include "kernels/avx512/gemm_integer-inl.h"
#include "kernels/fill.h"

namespace hanlin::kernels {
namespace {

void gemm_int8(const GemmArgs& args) {
  with_format(args.w->format, [&]<Packed kFormat>() {
    if constexpr (!is_float(kFormat)) vnni_gemm<kFormat, false>(args);
  });
}

}  // namespace

void fill_avx512_gemm_int8(KernelTable& table) { table.gemm_int8 = gemm_int8; }

}  // namespace hanlin::kernels
