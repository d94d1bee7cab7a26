#include "ops/ops.h"

namespace hanlin {
namespace {

void normalise_into(Context& ctx, TensorView x, const Norm& norm, TensorView y) {
  if (norm.rms) {
    const auto width = static_cast<int64_t>(norm.weight.size());
    HANLIN_CHECK(width > 0 && x.cols % width == 0, "rms_norm: the weight's length does not divide the row's");
    ctx.backend.rms_norm(x, norm.weight.data(), width, norm.offset, norm.eps, y);
  } else {
    HANLIN_CHECK(norm.weight.empty() || static_cast<int64_t>(norm.weight.size()) == x.cols, "layer_norm: weight length");
    ctx.backend.layer_norm(x, norm.weight.empty() ? nullptr : norm.weight.data(), norm.bias.empty() ? nullptr : norm.bias.data(), norm.eps, y);
  }
}

}  // namespace

TensorView linear(Context& ctx, TensorView x, const Linear& layer) {
  const Linear* const layers[] = {&layer};
  TensorView outs[1];
  linear(ctx, x, layers, outs);
  return outs[0];
}

TensorView normalise(Context& ctx, TensorView x, const Norm& norm) {
  TensorView y = ctx.arena.matrix(x.rows, x.cols);
  normalise_into(ctx, x, norm, y);
  return y;
}

void normalise_in_place(Context& ctx, TensorView x, const Norm& norm) { normalise_into(ctx, x, norm, x); }

TensorView gated(Context& ctx, Activation activation, TensorView gate, TensorView up) {
  HANLIN_CHECK(up.data == nullptr || (up.rows == gate.rows && up.cols == gate.cols), "gated: gate and up differ in shape");
  TensorView out = ctx.arena.matrix(gate.rows, gate.cols);
  ctx.backend.gated(activation, gate, up, out);
  return out;
}

}  // namespace hanlin
