// int8 activations times packed weights with vpmaddubsw, exactly: sums of pairs stay below 2^15 as long as only so many
// steps are added in 16 bits (numbers up to 15: 8 steps, 31: 4, 63: 2). 8-bit numbers do not fit, see gemm_int16.cpp.
#include "kernels/avx2/gemm_integer-inl.h"
#include "kernels/fill.h"

namespace hanlin::kernels {
namespace {

template <Packed kOfFormat>
struct Int8Product {
  using Number = uint8_t;  // open panels: [group][8 steps][2 halves][32]

  static constexpr Packed kFormat = kOfFormat;
  static constexpr Layout kLayout = layout_of(kFormat);
  static constexpr int kFewRows = kLayout.n_sub() == 2 ? 3 : 5;
  static constexpr int kSubSteps = 8 / kLayout.n_sub();                   // of a scale
  static constexpr int kFitting = 32767 / (((1 << kLayout.bits) - 1) * 127 * 2);
  static constexpr int kPower = kFitting >= 8 ? 8 : kFitting >= 4 ? 4 : 2;
  static constexpr int kSteps = kPower < kSubSteps ? kPower : kSubSteps;  // steps whose pair sums fit into 16 bits

  HANLIN_INLINE static QuantRows activations(const GemmArgs& args) { return args.xq; }

  HANLIN_INLINE static void store_half(const __m256i* steps, int half, uint8_t* numbers) {
    HANLIN_UNROLL
    for (int s = 0; s < 8; ++s) store_256(numbers + 64 * s + 32 * half, steps[s]);
  }

  template <int kRows>
  HANLIN_INLINE static void dot_tile(const int8_t* q, int64_t ldq, const uint8_t* numbers, int sub, const int32_t* correction, int64_t ldc,
                                     __m256i (*dots)[2]) {
    const __m256i ones = _mm256_set1_epi16(1);
    HANLIN_UNROLL
    for (int r = 0; r < kRows; ++r) dots[r][0] = dots[r][1] = first_sum<kFormat>(correction + r * ldc);
    HANLIN_UNROLL
    for (int s0 = sub * kSubSteps; s0 < (sub + 1) * kSubSteps; s0 += kSteps) {
      __m256i pairs[kRows][2];
      HANLIN_UNROLL
      for (int s = s0; s < s0 + kSteps; ++s) {
        const __m256i w[2] = {load_256(numbers + 64 * s), load_256(numbers + 64 * s + 32)};
        HANLIN_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const __m256i x = broadcast_bytes(q + r * ldq + 4 * s);
          HANLIN_UNROLL
          for (int half = 0; half < 2; ++half) {
            const __m256i products = _mm256_maddubs_epi16(w[half], x);
            pairs[r][half] = s == s0 ? products : _mm256_add_epi16(pairs[r][half], products);
            add_here(pairs[r][half]);
          }
        }
      }
      HANLIN_UNROLL
      for (int r = 0; r < kRows; ++r) {
        HANLIN_UNROLL
        for (int half = 0; half < 2; ++half) dots[r][half] = _mm256_add_epi32(dots[r][half], _mm256_madd_epi16(pairs[r][half], ones));
      }
    }
  }

  HANLIN_INLINE static __m256i dot_packed(const int8_t* q, const __m256i* steps, int sub, const int32_t* correction) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i dots = first_sum<kFormat>(correction);
    HANLIN_UNROLL
    for (int s0 = sub * kSubSteps; s0 < (sub + 1) * kSubSteps; s0 += kSteps) {
      __m256i pairs = _mm256_setzero_si256();
      HANLIN_UNROLL
      for (int s = s0; s < s0 + kSteps; ++s) {
        pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(steps[s], broadcast_bytes(q + 4 * s)));
        add_here(pairs);
      }
      dots = _mm256_add_epi32(dots, _mm256_madd_epi16(pairs, ones));
    }
    return dots;
  }
};

void gemm_int8(const GemmArgs& args) {
  with_format(args.w->format, [&]<Packed kFormat>() {
    if constexpr (!is_float(kFormat) && !takes_16_bits(kFormat)) multiply_rows<Int8Product<kFormat>>(args);
  });
}

}  // namespace

void fill_avx2_gemm_int8(KernelTable& table) { table.gemm_int8 = gemm_int8; }

}  // namespace hanlin::kernels
