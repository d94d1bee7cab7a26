// Writing into the KV cache, written once for all levels; see KvType for the layouts.
#pragma once

#include "kernels/rotate-inl.h"

namespace hanlin::kernels {
namespace {

// Rounds 32 values to int8; returns their scale as bfloat16. It is rounded up, so that no value exceeds 127 steps, and the
// values are rounded in steps of the rounded scale: its few bits cost half a per cent of step size and nothing else.
inline uint16_t round_kv_group(const float* x, int8_t* q) {
  float lanes[kLanes] = {0}, amax = 0;
  for (int i = 0; i < 32; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) lanes[j] = fabsf(x[i + j]) > lanes[j] ? fabsf(x[i + j]) : lanes[j];
  }
  for (int j = 0; j < kLanes; ++j) amax = lanes[j] > amax ? lanes[j] : amax;
  if (amax < 1e-35f) {  // 1 / scale would leave the float range
    memset(q, 0, 32);
    return 0;
  }
  const uint16_t scale = (uint16_t)((float_to_bits(amax * (1.0f / 127)) + 0xffff) >> 16);
  const float inverse = 1.0f / bf16_value(scale);
  for (int i = 0; i < 32; ++i) {
    float steps = x[i] * inverse;
    steps = steps > 127.0f ? 127.0f : steps;
    steps = steps < -127.0f ? -127.0f : steps;
    q[i] = (int8_t)(int32_t)((steps + 12582912.0f) - 12582912.0f);  // 1.5 * 2^23 leaves the nearest even whole number
  }
  return scale;
}

// Stores a key or value in an int8 block, number i of it at place(i): rotated, zeros for NaN and past the last component.
template <typename Place>
HANLIN_INLINE void write_q8_0(const float* x, int64_t head_dim, int slot, uint8_t* block, const Place& place) {
  const int64_t n_tiles = kv_tiles(head_dim), order = rotation_order(32 * n_tiles);
  uint16_t* scales = (uint16_t*)(block + n_tiles * kKvTileBytes) + slot;
  for (int64_t begin = 0; begin < 32 * n_tiles; begin += order) {
    float turned[kMaxOrder] = {0};
    for (int64_t e = begin; e < begin + order && e < head_dim; ++e) {
      float value = x[e] == x[e] ? x[e] : 0.0f;
      value = value > 1e36f ? 1e36f : value;  // sums stay finite
      turned[e - begin] = value < -1e36f ? -1e36f : value;
    }
    rotate(turned, order);
    for (int64_t group = 0; group < order; group += 32) {
      int8_t q[32];
      const int64_t tile = (begin + group) / 32;
      scales[tile * kKvBlock] = round_kv_group(turned + group, q);
      for (int i = 0; i < 32; ++i) ((int8_t*)block)[tile * kKvTileBytes + place(i)] = q[i];
    }
  }
}

void kv_write(KvType type, const float* k, const float* v, int64_t head_dim, int slot, uint8_t* k_block, uint8_t* v_block) {
  if (type == KvType::kQ8_0) {
    write_q8_0(k, head_dim, slot, k_block, [slot](int i) { return kv_tile_at(i, slot); });
    write_q8_0(v, head_dim, slot, v_block, [slot](int i) { return kv_tile_at(slot, i); });
    return;
  }
  if (type == KvType::kF32) {
    float* keys = (float*)k_block;
    float* values = (float*)v_block + (int64_t)slot * head_dim;
    for (int64_t e = 0; e < head_dim; ++e) keys[e * kKvBlock + slot] = k[e];
    memcpy(values, v, (size_t)head_dim * 4);
    return;
  }
  uint16_t* keys = (uint16_t*)k_block;
  uint16_t* values = (uint16_t*)v_block + (int64_t)slot * head_dim;
  for (int64_t e = 0; e < head_dim; ++e) keys[e * kKvBlock + slot] = to_f16(k[e]);
  for (int64_t e = 0; e < head_dim; ++e) values[e] = to_f16(v[e]);
}

}  // namespace
}  // namespace hanlin::kernels
