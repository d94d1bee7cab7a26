// The AMX level: integer products on tiles; everything else is the AVX-512 level's.
#include "kernels/amx/gemm-inl.h"
#include "kernels/fill.h"

namespace hanlin::kernels {
namespace {

// The instructions name their tiles, so a tile number must be a literal where the intrinsic stands.
#define HANLIN_TILE_CASE(kNumber, kLiteral, call) \
  if constexpr (kNumber == kLiteral) call

class HardwareTiles {
 public:
  // The memory is marked as used: g++ 12 otherwise drops the stores that fill the configuration.
  void configure(const TileConfig& config) {
    __asm__ volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
  }
  void release() { _tile_release(); }

  template <int kT>
  void zero() {
    HANLIN_TILE_CASE(kT, 0, _tile_zero(0));
    HANLIN_TILE_CASE(kT, 1, _tile_zero(1));
    HANLIN_TILE_CASE(kT, 2, _tile_zero(2));
    HANLIN_TILE_CASE(kT, 3, _tile_zero(3));
  }
  // Barriers around loads and stores: g++ 12's intrinsics do not tell the compiler that they touch memory.
  template <int kT>
  void load(const void* from, int64_t stride) {
    __asm__ volatile("" : : : "memory");
    HANLIN_TILE_CASE(kT, 4, _tile_loadd(4, from, stride));
    HANLIN_TILE_CASE(kT, 5, _tile_loadd(5, from, stride));
    HANLIN_TILE_CASE(kT, 6, _tile_loadd(6, from, stride));
    HANLIN_TILE_CASE(kT, 7, _tile_loadd(7, from, stride));
  }
  // C += A (signed) x B (unsigned).
  template <int kC, int kA, int kB>
  void dot() {
    static_assert(kA == 4 + kC / 2 && kB == 6 + kC % 2);
    HANLIN_TILE_CASE(kC, 0, _tile_dpbsud(0, 4, 6));
    HANLIN_TILE_CASE(kC, 1, _tile_dpbsud(1, 4, 7));
    HANLIN_TILE_CASE(kC, 2, _tile_dpbsud(2, 5, 6));
    HANLIN_TILE_CASE(kC, 3, _tile_dpbsud(3, 5, 7));
  }
  template <int kT>
  void store(void* to, int64_t stride) {
    HANLIN_TILE_CASE(kT, 0, _tile_stored(0, to, stride));
    HANLIN_TILE_CASE(kT, 1, _tile_stored(1, to, stride));
    HANLIN_TILE_CASE(kT, 2, _tile_stored(2, to, stride));
    HANLIN_TILE_CASE(kT, 3, _tile_stored(3, to, stride));
    __asm__ volatile("" : : : "memory");
  }
};

}  // namespace

void fill_amx(KernelTable& table) {
  table.isa = Isa::kAmx;
  fill_products<HardwareTiles>(table);
}

}  // namespace hanlin::kernels
