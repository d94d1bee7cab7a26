// int8 activations times packed weights with vpmaddubsw, exactly: sums of pairs stay below 2^15 as long as only so many
// steps are added in 16 bits (numbers up to 15: 8 steps, 31: 4, 63: 2). 8-bit numbers do not fit, see gemm_int16.cpp.
#include "kernels/avx2/gemm_integer-inl.h"
#include "kernels/fill.h"

namespace hanlin::kernels {
namespace {

template <Packed kFormat>
struct Int8Product {
  using Number = uint8_t;

  static constexpr Layout kLayout = layout_of(kFormat);
  static constexpr int kSub = kLayout.n_sub(), kSubSteps = 8 / kSub;      // scales of a group, steps of a scale
  static constexpr int kFitting = 32767 / (((1 << kLayout.bits) - 1) * 127 * 2);
  static constexpr int kPower = kFitting >= 8 ? 8 : kFitting >= 4 ? 4 : 2;
  static constexpr int kSteps = kPower < kSubSteps ? kPower : kSubSteps;  // steps whose pair sums fit into 16 bits

  // Numbers [group][8 steps][2 halves][32].
  HANLIN_INLINE static void open_panel(const PackedMatrix& w, int64_t panel, uint8_t* numbers, float* scales) {
    const uint8_t* quants = w.data + panel * w.panel_bytes;
    const uint8_t* scale_region = quants + quant_region_bytes(kLayout, w.k);
    for (int64_t g = 0; g < w.k / kGroup; ++g, numbers += 512, scales += scale_floats(kLayout)) {
      for (int half = 0; half < 2; ++half) {
        __m256i steps[8];
        unpack_half<kFormat>(quants + g * kLayout.group_bytes(), half, steps);
        HANLIN_UNROLL
        for (int s = 0; s < 8; ++s) store_256(numbers + 64 * s + 32 * half, steps[s]);
      }
      unpack_scales<kLayout.scales>(scale_region, g, scales);
    }
  }

  template <int kRows>
  static void tile(const GemmArgs& args, int64_t row, int64_t panel, const uint8_t* numbers, const float* scales, ReadAhead& ahead) {
    const int64_t k = args.w->k, groups = k / kGroup;
    const __m256i ones = _mm256_set1_epi16(1);
    float sums[kRows][16] = {{0}};
    for (int64_t g = 0; g < groups; ++g, numbers += 512, scales += scale_floats(kLayout)) {
      const int8_t* q = args.xq.q + row * k + g * kGroup;
      ahead.step();
      for (int sub = 0; sub < kSub; ++sub) {
        __m256i dots[kRows][2];
        int32_t q_sums[kRows];
        HANLIN_UNROLL
        for (int r = 0; r < kRows; ++r) {
          q_sums[r] = sum_of_inputs<kFormat>(args.xq.sum + ((row + r) * groups + g) * 2, sub);
          dots[r][0] = dots[r][1] = _mm256_set1_epi32(-kLayout.zero * q_sums[r]);
        }
        HANLIN_UNROLL
        for (int s0 = sub * kSubSteps; s0 < (sub + 1) * kSubSteps; s0 += kSteps) {
          __m256i pairs[kRows][2];
          HANLIN_UNROLL
          for (int s = s0; s < s0 + kSteps; ++s) {
            const __m256i w[2] = {load_256(numbers + 64 * s), load_256(numbers + 64 * s + 32)};
            HANLIN_UNROLL
            for (int r = 0; r < kRows; ++r) {
              const __m256i x = broadcast_bytes(q + r * k + 4 * s);
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
        HANLIN_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const __m256 x_scale = _mm256_set1_ps(args.xq.scale[(row + r) * groups + g]);
          HANLIN_UNROLL
          for (int half = 0; half < 2; ++half) {
            float* sum = sums[r] + 8 * half;
            _mm256_storeu_ps(sum, add_scaled<kFormat>(_mm256_loadu_ps(sum), dots[r][half], scales + 8 * half, sub, x_scale, q_sums[r]));
          }
        }
      }
    }
    for (int r = 0; r < kRows; ++r) store_outputs(args, row + r, panel, _mm256_loadu_ps(sums[r]), _mm256_loadu_ps(sums[r] + 8));
  }

  HANLIN_INLINE static void add_packed_group(const GemmArgs& args, int64_t g, const uint8_t* quants, const uint8_t* scale_region, __m256* sums) {
    const __m256i ones = _mm256_set1_epi16(1);
    const int8_t* q = args.xq.q + g * kGroup;
    alignas(32) float scales[scale_floats(kLayout)];
    unpack_scales<kLayout.scales>(scale_region, g, scales);
    const __m256 x_scale = _mm256_set1_ps(args.xq.scale[g]);
    HANLIN_UNROLL
    for (int half = 0; half < 2; ++half) {
      __m256i steps[8];
      unpack_half<kFormat>(quants + g * kLayout.group_bytes(), half, steps);
      HANLIN_UNROLL
      for (int sub = 0; sub < kSub; ++sub) {
        const int32_t q_sum = sum_of_inputs<kFormat>(args.xq.sum + 2 * g, sub);
        __m256i dots = _mm256_set1_epi32(-kLayout.zero * q_sum);
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
        sums[half] = add_scaled<kFormat>(sums[half], dots, scales + 8 * half, sub, x_scale, q_sum);
      }
    }
  }
};

void gemm_int8(const GemmArgs& args) {
  switch (args.w->format) {
    case Packed::kQ4_0: return multiply_rows<Int8Product, Packed::kQ4_0>(args);
    case Packed::kQ4_1: return multiply_rows<Int8Product, Packed::kQ4_1>(args);
    case Packed::kQ5_0: return multiply_rows<Int8Product, Packed::kQ5_0>(args);
    case Packed::kQ5_1: return multiply_rows<Int8Product, Packed::kQ5_1>(args);
    case Packed::kQ2_K: return multiply_rows<Int8Product, Packed::kQ2_K>(args);
    case Packed::kQ3_K: return multiply_rows<Int8Product, Packed::kQ3_K>(args);
    case Packed::kQ4_K: return multiply_rows<Int8Product, Packed::kQ4_K>(args);
    case Packed::kQ5_K: return multiply_rows<Int8Product, Packed::kQ5_K>(args);
    case Packed::kQ6_K: return multiply_rows<Int8Product, Packed::kQ6_K>(args);
    default: return;  // floats, and 8-bit numbers
  }
}

}  // namespace

void fill_avx2_gemm_int8(KernelTable& table) { table.gemm_int8 = gemm_int8; }

}  // namespace hanlin::kernels
