// Writing into the KV cache, written once for all levels; see KvType for the layouts.
#pragma once

#include "kernels/generic-inl.h"

namespace hanlin::kernels {
namespace {

// Rounds 32 values to int8; returns their scale as bfloat16. It is rounded up, so that no value exceeds 127 steps, and the
// values are rounded in steps of the rounded scale: its few bits cost half a per cent of step size and nothing else.
inline uint16_t round_kv_group(const float* x, int8_t* q) {
  float value[32], lanes[kLanes] = {0}, amax = 0;
  for (int i = 0; i < 32; ++i) value[i] = x[i] == x[i] ? x[i] : 0.0f;
  for (int i = 0; i < 32; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) lanes[j] = fabsf(value[i + j]) > lanes[j] ? fabsf(value[i + j]) : lanes[j];
  }
  for (int j = 0; j < kLanes; ++j) amax = lanes[j] > amax ? lanes[j] : amax;
  amax = amax > FLT_MAX ? FLT_MAX : amax;
  if (amax < 1e-35f) {  // 1 / scale would leave the float range
    memset(q, 0, 32);
    return 0;
  }
  const uint16_t scale = (uint16_t)((float_to_bits(amax * (1.0f / 127)) + 0xffff) >> 16);
  const float inverse = 1.0f / bf16_value(scale);
  for (int i = 0; i < 32; ++i) {
    float steps = value[i] * inverse;
    steps = steps > 127.0f ? 127.0f : steps;
    steps = steps < -127.0f ? -127.0f : steps;
    q[i] = (int8_t)(int32_t)((steps + 12582912.0f) - 12582912.0f);  // 1.5 * 2^23 leaves the nearest even whole number
  }
  return scale;
}

void kv_write_q8_0(const float* k, const float* v, int64_t head_dim, int slot, uint8_t* k_block, uint8_t* v_block) {
  const int64_t n_tiles = kv_tiles(head_dim);
  uint16_t* k_scales = (uint16_t*)(k_block + n_tiles * kKvTileBytes) + slot;
  uint16_t* v_scales = (uint16_t*)(v_block + n_tiles * kKvTileBytes) + slot;
  for (int64_t tile = 0; tile < n_tiles; ++tile, k_block += kKvTileBytes, v_block += kKvTileBytes) {
    const int64_t left = head_dim - tile * 32;
    float padded[2][32] = {{0}};
    memcpy(padded[0], k + tile * 32, (size_t)(left < 32 ? left : 32) * 4);
    memcpy(padded[1], v + tile * 32, (size_t)(left < 32 ? left : 32) * 4);
    int8_t q[32];
    k_scales[tile * kKvBlock] = round_kv_group(padded[0], q);
    for (int i = 0; i < 32; ++i) ((int8_t*)k_block)[kv_tile_at(i, slot)] = q[i];
    v_scales[tile * kKvBlock] = round_kv_group(padded[1], q);
    for (int i = 0; i < 32; ++i) ((int8_t*)v_block)[kv_tile_at(slot, i)] = q[i];
  }
}

void kv_write(KvType type, const float* k, const float* v, int64_t head_dim, int slot, uint8_t* k_block, uint8_t* v_block) {
  if (type == KvType::kQ8_0) return kv_write_q8_0(k, v, head_dim, slot, k_block, v_block);
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
