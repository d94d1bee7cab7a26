// What each level exports, and all it exports: functions that write their entries of a table. fill_<level> also sets
// KernelTable::isa and calls the level's parts.
#pragma once

#include "kernels/args.h"

namespace hanlin::kernels {

void fill_scalar(KernelTable& table);
void fill_avx2(KernelTable& table);
void fill_avx2_attention(KernelTable& table);
void fill_avx2_gemm_int8(KernelTable& table);
void fill_avx2_gemm_int16(KernelTable& table);
void fill_avx2_gemm_f32(KernelTable& table);
void fill_avx2_quantize(KernelTable& table);
void fill_avx512(KernelTable& table);
void fill_avx512_attention(KernelTable& table);
void fill_avx512_gemm_int8(KernelTable& table);
void fill_avx512_gemm_int16(KernelTable& table);
void fill_avx512_gemm_f32(KernelTable& table);
void fill_avx512_quantize(KernelTable& table);
void fill_amx(KernelTable& table);

}  // namespace hanlin::kernels
