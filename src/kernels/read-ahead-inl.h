// Bringing the weights that follow nearer while an open panel is multiplied; without that, opening them waits for memory.
#pragma once

#include "kernels/generic-inl.h"

namespace hanlin::kernels {
namespace {

// Memory that is wanted soon: `lines` cache lines of it are fetched to the second level in each step.
struct ReadAhead {
  const uint8_t* next;
  int64_t lines;

  HANLIN_INLINE void step() {
    for (int64_t i = 0; i < lines; ++i, next += 64) _mm_prefetch((const char*)next, _MM_HINT_T1);
  }
};

// What follows the n_panels panels from `panel` on: as many again, or behind the call's last ones what args.next names. It is
// spread over `steps` steps.
inline ReadAhead read_ahead(const GemmArgs& args, int64_t panel, int64_t n_panels, int64_t steps) {
  const int64_t left = args.panel_end - panel - n_panels;
  const int64_t bytes = left > 0 ? (left < n_panels ? left : n_panels) * args.w->panel_bytes : args.next_bytes;
  return {left > 0 ? args.w->data + (panel + n_panels) * args.w->panel_bytes : args.next, (bytes + 64 * steps - 1) / (64 * steps)};
}

}  // namespace
}  // namespace hanlin::kernels
