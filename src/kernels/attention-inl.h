// Online-softmax attention, written once over lanes (Milakov & Gimelshein 2018; the tiling of FlashAttention). Compiled at
// the levels that have no hand-written version.
//   Per query: running maximum, running sum and an output row in scratch. Per block of 32 keys: scores, mask where the
//   block's edge needs one, new maximum, weights, output * correction + weights * values. All sums are f32.
#pragma once

#include "kernels/rotate-inl.h"
#include "kernels/visible-inl.h"

namespace hanlin::kernels {
namespace {

inline void block_scores(KvType type, const float* q, const uint8_t* block, int head_dim, float* scores) {
  float acc[kKvBlock] = {0};
  if (type == KvType::kQ8_0) {
    const uint16_t* scales = (const uint16_t*)(block + kv_tiles(head_dim) * kKvTileBytes);
    for (int e = 0; e < head_dim; ++e) {
      const int8_t* tile = (const int8_t*)block + e / 32 * kKvTileBytes;
      for (int j = 0; j < kKvBlock; ++j) acc[j] += q[e] * (bf16_value(scales[e / 32 * kKvBlock + j]) * tile[kv_tile_at(e % 32, j)]);
    }
  } else if (type == KvType::kF32) {
    const float* keys = (const float*)block;
    for (int e = 0; e < head_dim; ++e) {
      for (int j = 0; j < kKvBlock; ++j) acc[j] += q[e] * keys[e * kKvBlock + j];
    }
  } else {
    const uint16_t* keys = (const uint16_t*)block;
    for (int e = 0; e < head_dim; ++e) {
      for (int j = 0; j < kKvBlock; ++j) acc[j] += q[e] * finite_f16_lane(keys[e * kKvBlock + j]);
    }
  }
  memcpy(scores, acc, sizeof acc);
}

// Adds the values of tokens [from, to) only: slots that nobody wrote may hold anything, even NaN.
inline void add_values(KvType type, const float* weights, const uint8_t* block, int head_dim, int from, int to,
                       float correction, float* out) {
  for (int e = 0; e < head_dim; ++e) out[e] *= correction;
  for (int j = from; j < to; ++j) {
    if (type == KvType::kQ8_0) {
      const uint16_t* scales = (const uint16_t*)(block + kv_tiles(head_dim) * kKvTileBytes);
      for (int e = 0; e < head_dim; ++e) {
        const int8_t* tile = (const int8_t*)block + e / 32 * kKvTileBytes;
        out[e] += weights[j] * bf16_value(scales[e / 32 * kKvBlock + j]) * tile[kv_tile_at(j, e % 32)];
      }
    } else if (type == KvType::kF32) {
      const float* values = (const float*)block + j * head_dim;
      for (int e = 0; e < head_dim; ++e) out[e] += weights[j] * values[e];
    } else {
      const uint16_t* values = (const uint16_t*)block + j * head_dim;
      for (int e = 0; e < head_dim; ++e) out[e] += weights[j] * finite_f16_lane(values[e]);
    }
  }
}

void attention(const AttentionArgs& args) {
  // An int8 cache holds rotated keys and values, with zeros up to whole groups of 32.
  const bool rotated = args.kv_type == KvType::kQ8_0;
  const int width = rotated ? (int)kv_tiles(args.head_dim) * 32 : args.head_dim;
  float* acc = (float*)args.scratch;  // [width]
  float* query = acc + width;         // [width]
  for (int t = 0; t < args.n_tokens; ++t) {
    int64_t begin, end;
    visible_keys(args, args.first_position + t, &begin, &end);
    for (int h = 0; h < args.n_heads; ++h) {
      memcpy(query, args.q + t * args.ldq + (int64_t)h * args.head_dim, (size_t)args.head_dim * 4);
      memset(query + args.head_dim, 0, (size_t)(width - args.head_dim) * 4);
      if (rotated) rotate(query, width);
      float* out = args.out + t * args.ldo + (int64_t)h * args.head_dim;
      float maximum = -FLT_MAX, sum = 0;
      memset(acc, 0, (size_t)width * 4);
      for (int64_t first = begin / kKvBlock * kKvBlock; first < end; first += kKvBlock) {
        const int64_t b = first / kKvBlock;
        float s[kKvBlock];
        block_scores(args.kv_type, query, args.k_blocks[b], width, s);
        for (int j = 0; j < kKvBlock; ++j) s[j] *= args.scale;
        if (args.softcap > 0) {
          for (int j = 0; j < kKvBlock; ++j) s[j] = args.softcap * tanh_lane(s[j] / args.softcap);
        }
        const int from = begin > first ? (int)(begin - first) : 0;
        const int to = end - first < kKvBlock ? (int)(end - first) : kKvBlock;
        float highest = maximum;
        for (int j = 0; j < kKvBlock; ++j) {
          if (j < from || j >= to) s[j] = -INFINITY;
          highest = s[j] > highest ? s[j] : highest;
        }
        const float correction = exp_lane(maximum - highest);
        float block_sum = 0;
        for (int j = 0; j < kKvBlock; ++j) s[j] = exp_lane(s[j] - highest);
        for (int j = 0; j < kKvBlock; ++j) block_sum += s[j];
        sum = sum * correction + block_sum;
        maximum = highest;
        add_values(args.kv_type, s, args.v_blocks[b], width, from, to, correction, acc);
      }
      if (rotated) rotate(acc, width);
      const float factor = sum > 0 ? 1.0f / sum : 0.0f;
      for (int e = 0; e < args.head_dim; ++e) out[e] = acc[e] * factor;
      if (args.stats) {
        args.stats[2 * (t * args.n_heads + h)] = maximum;
        args.stats[2 * (t * args.n_heads + h) + 1] = sum;
      }
    }
  }
}

}  // namespace
}  // namespace hanlin::kernels
