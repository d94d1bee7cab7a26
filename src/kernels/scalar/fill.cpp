// The scalar level: plain code for any x86-64, and what the other levels fall back to.
#include "kernels/fill.h"

#include "kernels/attention-inl.h"
#include "kernels/decode-inl.h"
#include "kernels/kv-inl.h"

namespace hanlin::kernels {
namespace {

constexpr int kRows = 8;  // rows of activations that share one unpacked group

void store_row(const GemmArgs& args, int64_t row, int64_t panel, const float* sums) {
  const int n_outputs = panel_outputs(*args.w, panel);
  float* y = args.y + row * args.ldy + panel * kPanelRows;
  for (int n = 0; n < n_outputs; ++n) y[n] = sums[n] + (args.bias ? args.bias[panel * kPanelRows + n] : 0.0f);
}

// y += x_scale * (scale * sum (q * (u - zero)) - min * sum q): the inner sums are exact integers.
template <class Activations>
void group_rows(const Activations& x, int64_t k, const Layout& layout, const Group& group, int64_t g, int64_t row, int n_rows,
                float (*acc)[kPanelRows]) {
  for (int r = 0; r < n_rows; ++r) {
    const auto* q = x.q + (row + r) * x.ldq + g * kGroup;
    const int32_t* q_sum = x.sum + (row + r) * (k / 16) + 2 * g;
    const float x_scale = x.scale[(row + r) * (k / kGroup) + g];
    for (int sub = 0; sub < 2; ++sub) {
      int32_t sums[kPanelRows];
      for (int n = 0; n < kPanelRows; ++n) sums[n] = -layout.zero * q_sum[sub];
      for (int s = 4 * sub; s < 4 * sub + 4; ++s) {
        for (int n = 0; n < kPanelRows; ++n) {
          for (int j = 0; j < 4; ++j) sums[n] += group.step[s][4 * n + j] * q[4 * s + j];
        }
      }
      for (int n = 0; n < kPanelRows; ++n) {
        acc[r][n] += x_scale * (group.scale[sub][n] * (float)sums[n] - group.min[sub][n] * (float)q_sum[sub]);
      }
    }
  }
}

template <class Activations>
void multiply(const GemmArgs& args, const Activations& x) {
  const Layout layout = layout_of(args.w->format);
  Group group;
  for (int64_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
    for (int64_t row = 0; row < args.m; row += kRows) {
      const int n_rows = (int)(args.m - row < kRows ? args.m - row : kRows);
      float acc[kRows][kPanelRows] = {{0}};
      for (int64_t g = 0; g < args.w->k / kGroup; ++g) {
        read_group(*args.w, layout, panel, g, &group);
        group_rows(x, args.w->k, layout, group, g, row, n_rows, acc);
      }
      for (int r = 0; r < n_rows; ++r) store_row(args, row + r, panel, acc[r]);
    }
  }
}

void gemm_int8(const GemmArgs& args) { multiply(args, args.xq); }
void gemm_int16(const GemmArgs& args) { multiply(args, args.xq16); }

void quantize_rows16(const float* x, int64_t ldx, int64_t m, int64_t k, int16_t* q, int64_t ldq, float* scale, int32_t* sum) {
  for (int64_t row = 0; row < m; ++row) {
    for (int64_t g = 0; g < k / kGroup; ++g, ++scale, sum += 2) {
      const float* in = x + row * ldx + g * kGroup;
      int16_t* out = q + row * ldq + g * kGroup;
      float unit[kGroup];
      const float steps = 32767.0f;
      *scale = group_in_units(in, unit) / steps;
      sum[0] = sum[1] = 0;
      for (int i = 0; i < kGroup; ++i) {
        // 1.5 * 2^23 leaves the nearest even whole number in the low bits.
        out[i] = (int16_t)(int32_t)((unit[i] * steps + 12582912.0f) - 12582912.0f);
        sum[i / 16] += out[i];
      }
    }
  }
}

void gemm_f32(const GemmArgs& args) {
  for (int64_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
    const float* w = expand_panel(*args.w, panel, (float*)args.scratch);
    for (int64_t row = 0; row < args.m; ++row) {
      const float* x = args.x + row * args.ldx;
      float acc[kPanelRows] = {0};
      for (int64_t k = 0; k < args.w->k; ++k) {
        for (int n = 0; n < kPanelRows; ++n) acc[n] += x[k] * w[k * kPanelRows + n];
      }
      store_row(args, row, panel, acc);
    }
  }
}

}  // namespace

void fill_scalar(KernelTable& table) {
  table.isa = Isa::kScalar;
  fill_generic(table);
  table.kv_write = kv_write;
  table.gemm_int8 = gemm_int8;
  table.int16_in_digits = false;
  table.quantize_rows16 = quantize_rows16;
  table.gemm_int16 = gemm_int16;
  table.takes_int16 = [](Packed) { return false; };
  table.gemm_f32 = gemm_f32;
  table.attention = attention;
}

}  // namespace hanlin::kernels
