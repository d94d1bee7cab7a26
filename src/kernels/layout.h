// How the bytes of a packed panel are laid out. Shared by the packer and by every level of kernels.
//
// A panel of a quantised format is two regions, each streamed linearly:
//   quants  [K/32] groups of Layout::group_bytes(), then
//   scales  [K/scale_span] records of Layout::scale_bytes, the whole rounded up to 64 bytes.
// Inside a group there are 8 steps of 4 inputs; a step is 64 numbers: number b belongs to output b / 4 and input
// 4 * step + b % 4. As bytes that is the operand of vpdpbusd and a row of an AMX B tile. Numbers are unsigned; the
// weight is  scale * (number - zero) - min.  Bits of a number are spread over planes, in this order:
//   nibble plane, 256 bytes: byte 64 * (step % 4) + b, low nibble for steps 0-3, high nibble for steps 4-7
//   pair plane,   128 bytes: byte 64 * (step % 2) + b, bits 2 * (step / 2) and the next
//   bit plane,     64 bytes: byte b, bit `step`
// 2 bits: pair. 3 bits: pair, bit. 4: nibble. 5: nibble, bit. 6: nibble, pair. 8: 512 plain bytes.
//
// Scale records (f16 are the file's own values):
//   kD         32 inputs   d f16[16]
//   kDM        32 inputs   d f16[16], m f16[16]                         min = -m
//   kSuperU8   256 inputs  d f16[16], dmin f16[16], 8 x {sc u8[16], mn u8[16]}    scale = d * sc, min = dmin * mn
//   kSuperNib  256 inputs  d f16[16], dmin f16[16], 16 x {sc | mn << 4}[16]       the same, 16 inputs each
//   kSuperI8   256 inputs  d f16[16], 8 x sc i8[16]                     scale = d * sc
//   kSuperI8x2 256 inputs  d f16[16], 16 x sc i8[16]                    scale = d * sc, 16 inputs each
#pragma once

#include "kernels/args.h"

// Unnamed, so that no level exports these functions where the compiler does not inline them.
namespace hanlin::kernels {
namespace {

// Counts the changes of what this file and pack.cpp make of a matrix. Packed weights are kept in files from one start to the
// next (model/packed_file.h): whoever changes a single byte of a panel of any format adds one here. pack_test.cpp
// notices when that was forgotten. All levels read the same panels; if one should ever need its own, the name of the
// layout that the backend gives to packed files must say so.
constexpr int kLayoutVersion = 1;

enum class Scales : uint8_t { kD, kDM, kSuperU8, kSuperNib, kSuperI8, kSuperI8x2 };

struct Layout {
  int bits;
  int zero;         // subtracted from every number
  bool lut;         // numbers are indexes of kIq4Values, zero applies to the looked-up value + 128
  Scales scales;

  constexpr int group_bytes() const { return bits * 64; }
  constexpr int scale_span() const { return scales == Scales::kD || scales == Scales::kDM ? 32 : 256; }
  constexpr int scale_bytes() const {
    switch (scales) {
      case Scales::kD: return 32;
      case Scales::kDM: return 64;
      case Scales::kSuperU8: return 320;
      case Scales::kSuperNib: return 320;
      case Scales::kSuperI8: return 160;
      case Scales::kSuperI8x2: return 288;
    }
    return 0;
  }
  constexpr int group_scale_bytes() const { return scale_bytes() * kGroup / scale_span(); }  // a group's share of a record
  constexpr bool has_min() const {
    return scales == Scales::kDM || scales == Scales::kSuperU8 || scales == Scales::kSuperNib;
  }
  // Scales per group of 32 inputs.
  constexpr int n_sub() const { return scales == Scales::kSuperNib || scales == Scales::kSuperI8x2 ? 2 : 1; }
};

constexpr bool is_float(Packed format) { return format <= Packed::kBF16; }

constexpr Layout layout_of(Packed format) {
  switch (format) {
    case Packed::kQ4_0: return {4, 8, false, Scales::kD};
    case Packed::kQ4_1: return {4, 0, false, Scales::kDM};
    case Packed::kQ5_0: return {5, 16, false, Scales::kD};
    case Packed::kQ5_1: return {5, 0, false, Scales::kDM};
    case Packed::kQ8_0: return {8, 128, false, Scales::kD};
    case Packed::kQ2_K: return {2, 0, false, Scales::kSuperNib};
    case Packed::kQ3_K: return {3, 4, false, Scales::kSuperI8x2};
    case Packed::kQ4_K: return {4, 0, false, Scales::kSuperU8};
    case Packed::kQ5_K: return {5, 0, false, Scales::kSuperU8};
    case Packed::kQ6_K: return {6, 32, false, Scales::kSuperI8x2};
    case Packed::kIQ4_NL: return {4, 128, true, Scales::kD};
    case Packed::kIQ4_XS: return {4, 128, true, Scales::kSuperI8};
    default: return {0, 0, false, Scales::kD};
  }
}

// Calls fn.template operator()<kFormat>(): the format as a constant, for code that is compiled once for each.
template <class Fn>
void with_format(Packed format, const Fn& fn) {
  switch (format) {
    case Packed::kF32: return fn.template operator()<Packed::kF32>();
    case Packed::kF16: return fn.template operator()<Packed::kF16>();
    case Packed::kBF16: return fn.template operator()<Packed::kBF16>();
    case Packed::kQ4_0: return fn.template operator()<Packed::kQ4_0>();
    case Packed::kQ4_1: return fn.template operator()<Packed::kQ4_1>();
    case Packed::kQ5_0: return fn.template operator()<Packed::kQ5_0>();
    case Packed::kQ5_1: return fn.template operator()<Packed::kQ5_1>();
    case Packed::kQ8_0: return fn.template operator()<Packed::kQ8_0>();
    case Packed::kQ2_K: return fn.template operator()<Packed::kQ2_K>();
    case Packed::kQ3_K: return fn.template operator()<Packed::kQ3_K>();
    case Packed::kQ4_K: return fn.template operator()<Packed::kQ4_K>();
    case Packed::kQ5_K: return fn.template operator()<Packed::kQ5_K>();
    case Packed::kQ6_K: return fn.template operator()<Packed::kQ6_K>();
    case Packed::kIQ4_NL: return fn.template operator()<Packed::kIQ4_NL>();
    case Packed::kIQ4_XS: return fn.template operator()<Packed::kIQ4_XS>();
  }
}

constexpr int64_t quant_region_bytes(const Layout& layout, int64_t k) { return k / kGroup * layout.group_bytes(); }

// The sixteen values of the IQ4 formats plus 128 (ggml's kvalues_iq4nl).
constexpr uint8_t kIq4Values[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};

}  // namespace
}  // namespace hanlin::kernels
