// What the kernel tests share: seeded random data, aligned buffers, and decoders of GGUF blocks to double, one value at a
// time, written from the format's description and not from pack.cpp.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/pack.h"
#include "kernels/table.h"

namespace hanlin::kernels::testing {

inline std::vector<Isa> supported_isas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
    if (isa_supported(isa)) isas.push_back(isa);
  }
  return isas;
}

// Zeroed bytes, 64-byte aligned plus `offset`.
template <typename T>
class Buffer {
 public:
  explicit Buffer(size_t n, size_t offset = 0) : bytes_(n * sizeof(T) + 192), n_(n) {
    const auto address = reinterpret_cast<uintptr_t>(bytes_.data());
    data_ = reinterpret_cast<T*>(((address + 63) / 64 * 64) + offset);
  }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  size_t size() const { return n_; }

 private:
  std::vector<uint8_t> bytes_;
  size_t n_;
  T* data_;
};

inline std::vector<float> random_floats(size_t n, uint32_t seed, float scale = 1.0f) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(n);
  for (float& v : values) v = normal(rng);
  return values;
}

// Number i of a group of int16 activations as `table`'s level stores it.
inline int int16_value(const KernelTable& table, const int16_t* group, int64_t i) {
  const auto* digits = (const int8_t*)group;
  return table.int16_in_digits ? 256 * digits[i] + digits[32 + i] : group[i];
}

inline double f16_to_double(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double magnitude = exponent == 31 ? (mantissa ? NAN : INFINITY)
                           : exponent == 0 ? std::ldexp(mantissa, -24)
                                           : std::ldexp(1024 + mantissa, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

inline double bf16_to_double(uint16_t bits) {
  const uint32_t wide = (uint32_t)bits << 16;
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}

struct FormatInfo {
  Packed format;
  const char* name;
  int block, bytes;
  std::vector<int> f16_offsets;  // where a block holds its f16 scales
};

inline const std::vector<FormatInfo>& formats() {
  static const std::vector<FormatInfo> all = {
      {Packed::kF32, "F32", 1, 4, {}},           {Packed::kF16, "F16", 1, 2, {}},
      {Packed::kBF16, "BF16", 1, 2, {}},         {Packed::kQ4_0, "Q4_0", 32, 18, {0}},
      {Packed::kQ4_1, "Q4_1", 32, 20, {0, 2}},   {Packed::kQ5_0, "Q5_0", 32, 22, {0}},
      {Packed::kQ5_1, "Q5_1", 32, 24, {0, 2}},   {Packed::kQ8_0, "Q8_0", 32, 34, {0}},
      {Packed::kQ2_K, "Q2_K", 256, 84, {80, 82}}, {Packed::kQ3_K, "Q3_K", 256, 110, {108}},
      {Packed::kQ4_K, "Q4_K", 256, 144, {0, 2}}, {Packed::kQ5_K, "Q5_K", 256, 176, {0, 2}},
      {Packed::kQ6_K, "Q6_K", 256, 210, {208}},  {Packed::kIQ4_NL, "IQ4_NL", 32, 18, {0}},
      {Packed::kIQ4_XS, "IQ4_XS", 256, 136, {0}},
  };
  return all;
}

// Value i of a block. GGUF block layouts as documented by ggml's structs.
inline double decode_value(Packed format, const uint8_t* b, int i) {
  const auto u16 = [b](int at) { return (uint16_t)(b[at] | b[at + 1] << 8); };
  const auto f16 = [&](int at) { return f16_to_double(u16(at)); };
  const auto nibble = [&](int at) { return i < 16 ? b[at + i] & 15 : b[at + i - 16] >> 4; };
  const auto fifth = [&](int at) { return (b[at + i / 8] >> (i % 8) & 1) << 4; };
  static const int kIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  switch (format) {
    case Packed::kF32: {
      float value;
      std::memcpy(&value, b, 4);
      return value;
    }
    case Packed::kF16: return f16(0);
    case Packed::kBF16: return bf16_to_double(u16(0));
    case Packed::kQ4_0: return f16(0) * (nibble(2) - 8);
    case Packed::kQ4_1: return f16(0) * nibble(4) + f16(2);
    case Packed::kQ5_0: return f16(0) * ((nibble(6) | fifth(2)) - 16);
    case Packed::kQ5_1: return f16(0) * (nibble(8) | fifth(4)) + f16(2);
    case Packed::kQ8_0: return f16(0) * (int8_t)b[2 + i];
    case Packed::kIQ4_NL: return f16(0) * kIq4[nibble(2)];
    default: break;
  }
  const int half = i / 128, in_half = i % 128, quarter = in_half / 32, l = in_half % 32, g = i / 32;
  switch (format) {
    case Packed::kQ2_K: {
      const int q = b[16 + 32 * half + l] >> (2 * quarter) & 3;
      return f16(80) * (b[i / 16] & 15) * q - f16(82) * (b[i / 16] >> 4);
    }
    case Packed::kQ3_K: {
      const int low = b[32 + 32 * half + l] >> (2 * quarter) & 3;
      const int q = low - (b[l] >> (4 * half + quarter) & 1 ? 0 : 4);
      const uint8_t* s = b + 96;
      const int j = i / 16;
      const int scale = ((j < 8 ? s[j] : s[j - 8] >> 4) & 15) + ((s[8 + j % 4] >> (2 * (j / 4)) & 3) << 4) - 32;
      return f16(108) * scale * q;
    }
    case Packed::kQ4_K:
    case Packed::kQ5_K: {
      const uint8_t* s = b + 4;
      const int scale = g < 4 ? s[g] & 63 : (s[g + 4] & 15) + (s[g - 4] >> 6) * 16;
      const int min = g < 4 ? s[g + 4] & 63 : (s[g + 4] >> 4) + (s[g] >> 6) * 16;
      const int at = (format == Packed::kQ4_K ? 16 : 48) + 32 * (g / 2) + i % 32;
      int q = g % 2 ? b[at] >> 4 : b[at] & 15;
      if (format == Packed::kQ5_K) q += (b[16 + i % 32] >> g & 1) * 16;
      return f16(0) * scale * q - f16(2) * min;
    }
    case Packed::kQ6_K: {
      const uint8_t low = b[64 * half + l + (quarter % 2 ? 32 : 0)];
      const int q = (quarter < 2 ? low & 15 : low >> 4) + (b[128 + 32 * half + l] >> (2 * quarter) & 3) * 16 - 32;
      return f16(208) * (int8_t)b[192 + i / 16] * q;
    }
    case Packed::kIQ4_XS: {
      const int scale = (b[4 + g / 2] >> (g % 2 ? 4 : 0) & 15) + (u16(2) >> (2 * g) & 3) * 16 - 32;
      const int at = 8 + 16 * g, k = i % 32;
      return f16(0) * scale * kIq4[k < 16 ? b[at + k] & 15 : b[at + k - 16] >> 4];
    }
    default: return NAN;
  }
}

// A random [n, k] matrix in the source encoding, its exact values and its packed form.
struct TestMatrix {
  const FormatInfo* info;
  int64_t n, k;
  std::vector<uint8_t> source;
  std::vector<double> values;  // [n, k]
  Buffer<uint8_t> packed{0};
  PackedMatrix matrix;
};

inline std::unique_ptr<TestMatrix> pack_source(const FormatInfo& info, int64_t n, int64_t k, std::vector<uint8_t> source) {
  auto m = std::make_unique<TestMatrix>();
  m->info = &info, m->n = n, m->k = k;
  m->source = std::move(source);
  const int64_t stride = k / info.block * info.bytes;
  m->values.resize(n * k);
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t i = 0; i < k; ++i) {
      m->values[row * k + i] = decode_value(info.format, m->source.data() + row * stride + i / info.block * info.bytes, (int)(i % info.block));
    }
  }
  const int64_t bytes = panel_bytes(info.format, k);
  m->packed = Buffer<uint8_t>(packed_bytes(info.format, n, k));
  for (int64_t p = 0; p * kPanelRows < n; ++p) {
    const int rows = (int)std::min<int64_t>(kPanelRows, n - p * kPanelRows);
    pack_panel(info.format, m->source.data() + p * kPanelRows * stride, stride, rows, k, m->packed.data() + p * bytes);
  }
  m->matrix = {info.format, n, k, bytes, m->packed.data()};
  return m;
}

inline std::unique_ptr<TestMatrix> random_matrix(const FormatInfo& info, int64_t n, int64_t k, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<uint8_t> source(n * (k / info.block) * info.bytes);
  for (uint8_t& byte : source) byte = (uint8_t)rng();
  std::normal_distribution<float> normal(0.0f, 1.0f);
  const auto small_f16 = [&] { return (uint16_t)((rng() & 0x83ff) | (8 + rng() % 6) << 10); };  // about ±0.01 to 0.5
  for (size_t at = 0; at < source.size(); at += info.bytes) {
    if (info.format == Packed::kF32) {
      const float value = normal(rng);
      std::memcpy(&source[at], &value, 4);
    } else if (info.format == Packed::kF16 || info.format == Packed::kBF16) {
      const uint16_t value = info.format == Packed::kF16 ? small_f16() : (uint16_t)((rng() & 0x80ff) | 0x3e00);
      std::memcpy(&source[at], &value, 2);
    }
    for (int offset : info.f16_offsets) {
      const uint16_t value = small_f16();
      std::memcpy(&source[at + offset], &value, 2);
    }
  }
  return pack_source(info, n, k, std::move(source));
}

}  // namespace hanlin::kernels::testing
