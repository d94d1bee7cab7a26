#include "kernels/fill.h"

#include "kernels/generic-inl.h"

namespace hanlin::kernels {

void fill_avx2(KernelTable& table) {
  table.isa = Isa::kAvx2;
  fill_generic(table);
}

}  // namespace hanlin::kernels
