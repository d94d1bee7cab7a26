// Attention in 512-bit registers: tiles of up to 8 rows (16 of 32 registers are sums).
#include "kernels/attention-tiles-inl.h"
#include "kernels/fill.h"

namespace hanlin::kernels {
namespace {

struct Vector {
  using Reg = __m512;
  using Ints = __m512i;
  static constexpr int kWidth = 16, kTileRows = 8, kInt8TileRows = 8, kChunks = 2;

  HANLIN_INLINE static Reg set(float x) { return _mm512_set1_ps(x); }
  HANLIN_INLINE static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  HANLIN_INLINE static Reg load_f16(const uint8_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
  HANLIN_INLINE static void store(float* p, Reg x) { _mm512_storeu_ps(p, x); }
  HANLIN_INLINE static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  HANLIN_INLINE static Reg sub(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
  HANLIN_INLINE static Reg mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  HANLIN_INLINE static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  HANLIN_INLINE static Reg max(Reg a, Reg b) { return _mm512_max_ps(a, b); }
  HANLIN_INLINE static bool any_greater(Reg a, float b) { return _mm512_cmp_ps_mask(a, _mm512_set1_ps(b), _CMP_GT_OQ) != 0; }

  HANLIN_INLINE static float max_lane(Reg a) { return _mm512_reduce_max_ps(a); }

  HANLIN_INLINE static Reg load_bf16(const uint8_t* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16));
  }
  // To the nearest 16-bit number; larger ones saturate.
  HANLIN_INLINE static void store_int16(int16_t* p, Reg x) { _mm256_storeu_si256((__m256i*)p, _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(x))); }
  HANLIN_INLINE static Ints zero_ints() { return _mm512_setzero_si512(); }
  HANLIN_INLINE static Ints widen(const uint8_t* p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i*)p)); }
  HANLIN_INLINE static Ints set_pair(const int16_t* p) {
    int32_t pair;
    memcpy(&pair, p, 4);
    return _mm512_set1_epi32(pair);
  }
  HANLIN_INLINE static Ints dot(Ints acc, Ints a, Ints b) { return _mm512_dpwssd_epi32(acc, a, b); }
  HANLIN_INLINE static Reg to_float(Ints a) { return _mm512_cvtepi32_ps(a); }

  // exp_lane's polynomial. Results below e^-87 are 0: weights that small cannot matter, and subnormals are slow.
  HANLIN_INLINE static Reg exp(Reg x) {
    const __mmask16 normal = _mm512_cmp_ps_mask(x, set(-87.0f), _CMP_GT_OQ);
    x = _mm512_maskz_mov_ps(normal, x);
    const Reg n = _mm512_roundscale_ps(mul(x, set(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    Reg r = _mm512_fnmadd_ps(n, set(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, set(-2.12194440e-4f), r);
    Reg p = fma(set(1.98412698e-4f), r, set(1.38888889e-3f));
    p = fma(p, r, set(8.33333333e-3f));
    p = fma(p, r, set(4.16666667e-2f));
    p = fma(p, r, set(1.66666667e-1f));
    p = fma(p, r, set(0.5f));
    p = fma(p, mul(r, r), add(r, set(1.0f)));
    return _mm512_maskz_scalef_ps(normal, p, n);
  }
};

}  // namespace

void fill_avx512_attention(KernelTable& table) { table.attention = tiled_attention<Vector>; }

}  // namespace hanlin::kernels
