#include "kernels/fill.h"

#include "kernels/generic-inl.h"

namespace hanlin::kernels {

void fill_avx512(KernelTable& table) {
  table.isa = Isa::kAvx512;
  fill_generic(table);
}

}  // namespace hanlin::kernels
