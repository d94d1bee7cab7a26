// The operations a model's forward pass is written in. Each takes its output from the step arena (valid until the step
// ends), checks shapes, and leaves the arithmetic to the backend.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "tensor/arena.h"

namespace hanlin {

// What every op needs: where to compute and where results live. One thread.
struct Context {
  Backend& backend;
  Arena& arena;
  std::span<const uint8_t> precise_rows = {};  // of the matrices that are computed: see Backend::linear
};

// A frozen weight [N, K] of any type with an optional bias [N].
struct Linear {
  std::unique_ptr<Weight> weight;
  std::vector<float> bias;
  explicit operator bool() const { return weight != nullptr; }
  size_t bytes() const { return (weight ? weight->bytes() : 0) + bias.size() * sizeof(float); }
};

// A norm's parameters; an empty bias (or weight) is left out. `offset` is added to the weight (Gemma's 1 + w).
struct Norm {
  std::vector<float> weight, bias;
  float eps = 1e-5f;
  float offset = 0.0f;
  bool rms = true;
};

// x [T, K] → [T, N].
TensorView linear(Context& ctx, TensorView x, const Linear& layer);
// Several products of the same x in one parallel loop; result i is [T, N_i].
template <size_t N>
void linear(Context& ctx, TensorView x, const Linear* const (&layers)[N], TensorView (&outs)[N]) {
  LinearCall calls[N];
  for (size_t i = 0; i < N; ++i) {
    outs[i] = ctx.arena.matrix(x.rows, layers[i]->weight->n);
    calls[i] = {layers[i]->weight.get(), layers[i]->bias.empty() ? nullptr : layers[i]->bias.data(), outs[i]};
  }
  ctx.backend.linear(x, calls, ctx.precise_rows);
}
// Normalises rows of x [T, D] into a new matrix.
TensorView normalise(Context& ctx, TensorView x, const Norm& norm);
// The same in place; an RMS norm whose weight is shorter than the row normalises each head by itself.
void normalise_in_place(Context& ctx, TensorView x, const Norm& norm);
// activation(gate) · up into a new matrix; without `up` just the activation.
TensorView gated(Context& ctx, Activation activation, TensorView gate, TensorView up = {});

}  // namespace hanlin
