#include "kernels/fill.h"

namespace hanlin::kernels {

void fill_amx(KernelTable& table) {
  table.isa = Isa::kAmx;
}

}  // namespace hanlin::kernels
