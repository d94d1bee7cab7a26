// Attention in 256-bit registers: tiles of up to 6 rows (12 of 16 registers are sums).
#include "kernels/attention-tiles-inl.h"
#include "kernels/fill.h"

namespace hanlin::kernels {
namespace {

struct Vector {
  using Reg = __m256;
  using Ints = __m256i;
  static constexpr int kWidth = 8, kTileRows = 6, kInt8TileRows = 4, kChunks = 2;

  HANLIN_INLINE static Reg set(float x) { return _mm256_set1_ps(x); }
  HANLIN_INLINE static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  HANLIN_INLINE static Reg load_f16(const uint8_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)); }
  HANLIN_INLINE static void store(float* p, Reg x) { _mm256_storeu_ps(p, x); }
  HANLIN_INLINE static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  HANLIN_INLINE static Reg sub(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
  HANLIN_INLINE static Reg mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  HANLIN_INLINE static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  HANLIN_INLINE static Reg max(Reg a, Reg b) { return _mm256_max_ps(a, b); }
  HANLIN_INLINE static bool any_greater(Reg a, float b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, _mm256_set1_ps(b), _CMP_GT_OQ)) != 0; }

  HANLIN_INLINE static float max_lane(Reg a) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps(x, x, 1)));
  }

  HANLIN_INLINE static Reg load_bf16(const uint8_t* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16));
  }
  // To the nearest 16-bit number; larger ones saturate.
  HANLIN_INLINE static void store_int16(int16_t* p, Reg x) {
    const __m256i whole = _mm256_cvtps_epi32(x);
    _mm_storeu_si128((__m128i*)p, _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1)));
  }
  HANLIN_INLINE static Ints zero_ints() { return _mm256_setzero_si256(); }
  HANLIN_INLINE static Ints widen(const uint8_t* p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)p)); }
  HANLIN_INLINE static Ints set_pair(const int16_t* p) {
    int32_t pair;
    memcpy(&pair, p, 4);
    return _mm256_set1_epi32(pair);
  }
  // The sum is held at its place: else g++ computes all products of an unrolled loop first and keeps them in memory.
  HANLIN_INLINE static Ints dot(Ints acc, Ints a, Ints b) {
    Ints sum = _mm256_add_epi32(acc, _mm256_madd_epi16(a, b));
    __asm__("" : "+x"(sum));
    return sum;
  }
  HANLIN_INLINE static Reg to_float(Ints a) { return _mm256_cvtepi32_ps(a); }

  // exp_lane's polynomial for x <= 0. Results below e^-87 are 0: weights that small cannot matter.
  HANLIN_INLINE static Reg exp(Reg x) {
    const Reg normal = _mm256_cmp_ps(x, set(-87.0f), _CMP_GT_OQ);
    x = _mm256_and_ps(x, normal);
    const Reg n = _mm256_round_ps(mul(x, set(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    Reg r = _mm256_fnmadd_ps(n, set(0.693359375f), x);
    r = _mm256_fnmadd_ps(n, set(-2.12194440e-4f), r);
    Reg p = fma(set(1.98412698e-4f), r, set(1.38888889e-3f));
    p = fma(p, r, set(8.33333333e-3f));
    p = fma(p, r, set(4.16666667e-2f));
    p = fma(p, r, set(1.66666667e-1f));
    p = fma(p, r, set(0.5f));
    p = fma(p, mul(r, r), add(r, set(1.0f)));
    const __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_and_ps(mul(p, _mm256_castsi256_ps(exponent)), normal);
  }
};

}  // namespace

void fill_avx2_attention(KernelTable& table) { table.attention = tiled_attention<Vector>; }

}  // namespace hanlin::kernels
