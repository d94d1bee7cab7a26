#include "kernels/table.h"

#include "kernels/fill.h"

namespace hanlin::kernels {

const KernelTable& kernel_table(Isa isa) {
  struct Tables {
    KernelTable level[4] = {};
    Tables() {
      for (int i = 0; i < 4; ++i) {
        fill_scalar(level[i]);
        // Not even a fill function may run on a processor without its instructions.
        if (!isa_supported((Isa)i)) continue;
        if (i >= (int)Isa::kAvx2) fill_avx2(level[i]);
        if (i >= (int)Isa::kAvx512) fill_avx512(level[i]);
        if (i >= (int)Isa::kAmx) fill_amx(level[i]);
      }
    }
  };
  static const Tables tables;
  return tables.level[(int)isa];
}

}  // namespace hanlin::kernels
