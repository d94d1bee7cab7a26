// Reading packed groups with plain code, for the scalar level and for rare paths of the others.
#pragma once

#include "kernels/generic-inl.h"

namespace hanlin::kernels {
namespace {

// Group `g` of a panel: unsigned numbers [step][output][4] and per sub-group scales and mins of the 16 outputs.
struct Group {
  alignas(64) uint8_t step[8][64];
  alignas(64) float scale[2][kPanelRows];
  alignas(64) float min[2][kPanelRows];
};

inline uint16_t load_u16(const uint8_t* p) {
  uint16_t value;
  memcpy(&value, p, 2);
  return value;
}

inline void read_numbers(const Layout& layout, const uint8_t* quants, int64_t g, uint8_t (*step)[64]) {
  const uint8_t* src = quants + g * layout.group_bytes();
  if (layout.bits == 8) {
    memcpy(step, src, 512);
    return;
  }
  const uint8_t* pairs = layout.bits < 4 ? src : src + 256;
  const uint8_t* bits = layout.bits == 3 ? src + 128 : src + 256;
  for (int s = 0; s < 8; ++s) {
    for (int b = 0; b < 64; ++b) {
      int number = layout.bits >= 4 ? src[64 * (s % 4) + b] >> (s < 4 ? 0 : 4) & 15 : pairs[64 * (s % 2) + b] >> (2 * (s / 2)) & 3;
      if (layout.bits == 6) number |= (pairs[64 * (s % 2) + b] >> (2 * (s / 2)) & 3) << 4;
      if (layout.bits & 1) number |= (bits[b] >> s & 1) << (layout.bits - 1);
      step[s][b] = layout.lut ? kIq4Values[number] : (uint8_t)number;
    }
  }
}

inline void read_scales(const Layout& layout, const uint8_t* scales, int64_t g, Group* group) {
  const int64_t groups_per_record = layout.scale_span() / kGroup;
  const uint8_t* record = scales + g / groups_per_record * layout.scale_bytes();
  const int i = (int)(g % groups_per_record);
  for (int n = 0; n < kPanelRows; ++n) {
    const float d = f16_value(load_u16(record + 2 * n));
    const float second = layout.has_min() ? f16_value(load_u16(record + 32 + 2 * n)) : 0;
    for (int sub = 0; sub < 2; ++sub) {
      float& scale = group->scale[sub][n];
      float& min = group->min[sub][n];
      min = 0;
      switch (layout.scales) {
        case Scales::kD: scale = d; break;
        case Scales::kDM:
          scale = d;
          min = -second;
          break;
        case Scales::kSuperU8:
          scale = d * (float)record[64 + 32 * i + n];
          min = second * (float)record[64 + 32 * i + 16 + n];
          break;
        case Scales::kSuperNib: {
          const uint8_t both = record[64 + 16 * (2 * i + sub) + n];
          scale = d * (float)(both & 15);
          min = second * (float)(both >> 4);
          break;
        }
        case Scales::kSuperI8: scale = d * (float)(int8_t)record[32 + 16 * i + n]; break;
        case Scales::kSuperI8x2: scale = d * (float)(int8_t)record[32 + 16 * (2 * i + sub) + n]; break;
      }
    }
  }
}

inline void read_group(const PackedMatrix& w, const Layout& layout, int64_t panel, int64_t g, Group* group) {
  const uint8_t* quants = w.data + panel * w.panel_bytes;
  read_numbers(layout, quants, g, group->step);
  read_scales(layout, quants + quant_region_bytes(layout, w.k), g, group);
}

// The panel's weights as f32 [K][16]. An f32 panel is returned as it is, others are expanded into `buffer`.
inline const float* expand_panel(const PackedMatrix& w, int64_t panel, float* buffer) {
  const uint8_t* data = w.data + panel * w.panel_bytes;
  if (w.format == Packed::kF32) return (const float*)data;
  if (w.format == Packed::kF16) {
    for (int64_t i = 0; i < w.k * kPanelRows; ++i) buffer[i] = f16_value(load_u16(data + 2 * i));
    return buffer;
  }
  if (w.format == Packed::kBF16) {
    for (int64_t k = 0; k < w.k; ++k) {
      for (int n = 0; n < kPanelRows; ++n) buffer[k * kPanelRows + n] = bf16_value(load_u16(data + ((k / 2 * kPanelRows + n) * 2 + k % 2) * 2));
    }
    return buffer;
  }
  const Layout layout = layout_of(w.format);
  Group group;
  for (int64_t g = 0; g < w.k / kGroup; ++g) {
    read_group(w, layout, panel, g, &group);
    float* out = buffer + g * kGroup * kPanelRows;
    for (int i = 0; i < kGroup; ++i) {
      for (int n = 0; n < kPanelRows; ++n) {
        const int number = group.step[i / 4][4 * n + i % 4] - layout.zero;
        out[i * kPanelRows + n] = group.scale[i / 16][n] * (float)number - group.min[i / 16][n];
      }
    }
  }
  return buffer;
}

// Outputs of a panel that exist.
inline int panel_outputs(const PackedMatrix& w, int64_t panel) {
  const int64_t left = w.n - panel * kPanelRows;
  return left < kPanelRows ? (int)left : kPanelRows;
}

}  // namespace
}  // namespace hanlin::kernels
