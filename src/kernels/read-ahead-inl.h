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

// The panels that the thread takes next when those before `panel` are done: the call's or, behind its last ones, what args.next
// names. Only to be prefetched: without either they are not of the matrix.
HANLIN_INLINE const uint8_t* panels_after(const GemmArgs& args, int64_t panel) {
  return panel < args.panel_end || args.next == nullptr ? args.w->data + panel * args.w->panel_bytes : args.next;
}

// Fetches the numbers that stand kAheadBytes behind group g: of the panel `quants` with its `groups` groups or, past its end, of
// the panel `next`.
template <Layout kLayout, int kAheadBytes>
HANLIN_INLINE void prefetch_group(const uint8_t* quants, const uint8_t* next, int64_t groups, int64_t g) {
  constexpr int kBytes = kLayout.group_bytes();
  const int64_t wanted = g + kAheadBytes / kBytes;
  const uint8_t* ahead = wanted < groups ? quants + wanted * kBytes : next + (wanted - groups) * kBytes;
  HANLIN_UNROLL
  for (int i = 0; i < kBytes; i += 64) _mm_prefetch((const char*)ahead + i, _MM_HINT_T0);
}

// What follows the n_panels panels from `panel` on: as many again, or behind the call's last ones what args.next names. It is
// spread over `steps` steps.
inline ReadAhead read_ahead(const GemmArgs& args, int64_t panel, int64_t n_panels, int64_t steps) {
  const int64_t left = args.panel_end - panel - n_panels;
  const int64_t bytes = left > 0 ? (left < n_panels ? left : n_panels) * args.w->panel_bytes : args.next_bytes;
  return {panels_after(args, panel + n_panels), (bytes + 64 * steps - 1) / (64 * steps)};
}

}  // namespace
}  // namespace hanlin::kernels
