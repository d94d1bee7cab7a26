// The one function each level exports. Each writes the entries it has and sets KernelTable::isa.
#pragma once

#include "kernels/args.h"

namespace hanlin::kernels {

void fill_scalar(KernelTable& table);
void fill_avx2(KernelTable& table);
void fill_avx512(KernelTable& table);
void fill_amx(KernelTable& table);

}  // namespace hanlin::kernels
