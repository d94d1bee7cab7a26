// Which keys a query sees.
#pragma once

#include "kernels/args.h"

namespace hanlin::kernels {
namespace {

// Keys [begin, end) that the query at `position` sees.
inline void visible_keys(const AttentionArgs& args, int64_t position, int64_t* begin, int64_t* end) {
  *begin = args.kv_begin;
  *end = args.kv_end;
  if (args.causal) {
    if (position + 1 < *end) *end = position + 1;
    if (args.window > 0 && position - args.window + 1 > *begin) *begin = position - args.window + 1;
  } else if (args.window > 0) {
    if (position - args.window > *begin) *begin = position - args.window;
    if (position + args.window + 1 < *end) *end = position + args.window + 1;
  }
}

}  // namespace
}  // namespace hanlin::kernels
