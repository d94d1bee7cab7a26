// From rows as files store them (GGUF blocks, or plain float rows) to panels as kernels read them.
#pragma once

#include "kernels/args.h"

namespace hanlin::kernels {

// Bytes of one row of k values in the source (GGUF) encoding of `format`.
int64_t source_row_bytes(Packed format, int64_t k);
// Bytes of one panel (a multiple of 64) and of a whole matrix.
int64_t panel_bytes(Packed format, int64_t k);
int64_t packed_bytes(Packed format, int64_t n, int64_t k);
// Packs rows [16 * panel, 16 * panel + n_rows) of the source; rows up to 16 are zero. `rows` points at the first row,
// row_stride bytes apart; dst takes panel_bytes(). Different panels may be packed by different threads.
void pack_panel(Packed format, const uint8_t* rows, int64_t row_stride, int n_rows, int64_t k, uint8_t* dst);
// Equal numbers: equal rows make equal panels, for every level of kernels (kLayoutVersion of layout.h).
int layout_version();

}  // namespace hanlin::kernels
