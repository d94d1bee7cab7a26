// The AMX kernel over tiles in plain code, for tests on machines without AMX (it still needs AVX-512). Tiles follow the
// pseudocode of the Intel SDM; a tile that is used in a way its configuration forbids stops the test.
#include <stdlib.h>

#include "kernels/amx/gemm-inl.h"
#include "kernels/fill.h"

namespace hanlin::kernels {
namespace {

class EmulatedTiles {
 public:
  void configure(const TileConfig& config) {
    config_ = config;
    check(config.palette == 1);
    for (int t = 0; t < 8; ++t) check(config.rows[t] >= 1 && config.rows[t] <= 16 && config.row_bytes[t] >= 1 && config.row_bytes[t] <= 64);
    configured_ = true;
    memset(bytes_, 0xee, sizeof bytes_);
  }
  void release() { configured_ = false; }

  template <int kT>
  void zero() {
    check(configured_);
    memset(bytes_[kT], 0, sizeof bytes_[kT]);
  }
  template <int kT>
  void load(const void* from, int64_t stride) {
    check(configured_);
    memset(bytes_[kT], 0, sizeof bytes_[kT]);
    for (int r = 0; r < config_.rows[kT]; ++r) memcpy(bytes_[kT][r], (const uint8_t*)from + r * stride, config_.row_bytes[kT]);
  }
  template <int kT>
  void store(void* to, int64_t stride) {
    check(configured_);
    for (int r = 0; r < config_.rows[kT]; ++r) memcpy((uint8_t*)to + r * stride, bytes_[kT][r], config_.row_bytes[kT]);
  }
  // TDPBSUD: C [M][N] += A [M][K/4] x B [K/4][N], four products a step.
  template <int kC, int kA, int kB>
  void dot() {
    check(configured_ && config_.rows[kC] == config_.rows[kA] && config_.row_bytes[kA] / 4 == config_.rows[kB] &&
          config_.row_bytes[kC] == config_.row_bytes[kB]);
    for (int m = 0; m < config_.rows[kC]; ++m) {
      for (int k = 0; k < config_.row_bytes[kA] / 4; ++k) {
        for (int n = 0; n < config_.row_bytes[kC] / 4; ++n) {
          int32_t sum;
          memcpy(&sum, &bytes_[kC][m][4 * n], 4);
          for (int j = 0; j < 4; ++j) sum += (int8_t)bytes_[kA][m][4 * k + j] * (int)bytes_[kB][k][4 * n + j];
          memcpy(&bytes_[kC][m][4 * n], &sum, 4);
        }
      }
    }
  }

 private:
  static void check(bool allowed) {
    if (!allowed) abort();
  }
  TileConfig config_;
  bool configured_ = false;
  uint8_t bytes_[8][16][64];
};

}  // namespace

void fill_amx_emulated(KernelTable& table) { fill_products<EmulatedTiles>(table); }

}  // namespace hanlin::kernels
