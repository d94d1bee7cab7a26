// Choosing a level. The only header of kernels/ that code above needs besides args.h and pack.h.
#pragma once

#include "kernels/args.h"

namespace hanlin::kernels {

// The best level this processor and operating system can run (AMX needs a permission from Linux, asked for here).
Isa best_isa();
bool isa_supported(Isa isa);
const char* isa_name(Isa isa);                      // "scalar", "avx2", "avx512", "amx"
bool parse_isa(const char* name, Isa* isa);         // false for an unknown name
// The table of one level; the level must be supported. Built once, valid for ever, safe from any thread.
const KernelTable& kernel_table(Isa isa);
// One line about the processor for doctor and benches: "AMD EPYC 9V74 (avx512: f bw vl dq vnni bf16)".
const char* cpu_description();

}  // namespace hanlin::kernels
