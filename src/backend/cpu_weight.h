// Weights as the CPU computes with them: panels of kernels/layout.h, made from a file's rows.
#pragma once

#include <memory>

#include "backend/backend.h"
#include "kernels/args.h"
#include "tensor/storage.h"

namespace hanlin {

inline bool is_quantised(DType dtype) { return dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16; }

// How a matrix is packed; every matrix the kernels can compute with has one. `dtype` is what is kept: the source's type, or
// Q8_0 for float matrices that are to be rounded.
struct PackPlan {
  DType source, dtype;
  kernels::Packed format;
  int64_t n, k, n_panels, panel_bytes;
  size_t bytes() const { return static_cast<size_t>(n_panels * panel_bytes); }
  // Packs panel `panel` of `rows` [n, k] to `out`, panel_bytes at a multiple of 64. Any thread.
  void pack(const uint8_t* rows, int64_t panel, uint8_t* out) const;
};

// Errors: kUnsupported for types that the kernels cannot compute with, and inner sizes that are no whole blocks.
Result<PackPlan> plan_for(DType source, DType dtype, int64_t n, int64_t k);

struct CpuWeight final : Weight {
  CpuWeight(const PackPlan& plan, const uint8_t* data)
      : Weight(plan.n, plan.k, plan.dtype), n_bytes(plan.bytes()), packed{plan.format, plan.n, plan.k, plan.panel_bytes, data} {}
  size_t bytes() const override { return n_bytes; }
  int64_t n_panels() const { return (n + kernels::kPanelRows - 1) / kernels::kPanelRows; }
  size_t n_bytes;
  kernels::PackedMatrix packed;
  // What holds packed.data: one of the two.
  AlignedBuffer storage;
  std::shared_ptr<const void> mapping;
};

}  // namespace hanlin
