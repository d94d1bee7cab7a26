# The four instruction-set levels of the kernels. These flags stand here and nowhere else: everything outside
# src/kernels/<level>/ is compiled for the plain x86-64 baseline, so that no newer instruction can slip into code
# that runs on every machine.
set(HANLIN_ISA_scalar "")
set(HANLIN_ISA_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(HANLIN_ISA_avx512 -march=skylake-avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mprefer-vector-width=512)
set(HANLIN_ISA_amx ${HANLIN_ISA_avx512} -mamx-tile -mamx-int8 -mamx-bf16)
