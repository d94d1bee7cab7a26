// What this processor and the operating system allow. Bits: Intel SDM vol. 2A CPUID, vol. 1 §13 (XCR0), §18 (AMX);
// arch_prctl(ARCH_REQ_XCOMP_PERM): Linux Documentation/arch/x86/xstate.rst.
#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernels/table.h"

namespace hanlin::kernels {
namespace {

struct Cpu {
  char name[49] = {0};
  char features[96] = {0};
  Isa best = Isa::kScalar;
};

uint64_t xcr0() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

bool ask_for_amx() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

void append(char* text, size_t size, bool condition, const char* word) {
  if (!condition) return;
  if (text[0]) strncat(text, " ", size - strlen(text) - 1);
  strncat(text, word, size - strlen(text) - 1);
}

void read_name(char* name) {
  unsigned r[4];
  if (!__get_cpuid(0x80000000u, &r[0], &r[1], &r[2], &r[3]) || r[0] < 0x80000004u) {
    strcpy(name, "x86-64");
    return;
  }
  for (unsigned i = 0; i < 3; ++i) {
    __get_cpuid(0x80000002u + i, &r[0], &r[1], &r[2], &r[3]);
    memcpy(name + 16 * i, r, 16);
  }
  for (size_t n = strlen(name); n > 0 && name[n - 1] == ' '; --n) name[n - 1] = 0;
}

Cpu detect() {
  Cpu cpu;
  read_name(cpu.name);
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return cpu;
  const bool fma = c >> 12 & 1, xsave = c >> 27 & 1, f16c = c >> 29 & 1;
  unsigned b7 = 0, c7 = 0, d7 = 0, a71 = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    b7 = b, c7 = c, d7 = d;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) a71 = a;
  }
  const uint64_t enabled = xsave ? xcr0() : 0;
  const bool ymm = (enabled & 6) == 6, zmm = (enabled & 0xe6) == 0xe6, tiles = (enabled & 0x60000) == 0x60000;
  const bool avx2 = ymm && fma && f16c && (b7 >> 5 & 1) && (b7 >> 8 & 1) && (b7 >> 3 & 1);
  // The flags of the avx512 level are those of Skylake-SP (F DQ CD BW VL, and ADX, RDSEED, CLFLUSHOPT, CLWB, PKU which the
  // compiler never emits by itself) and VNNI.
  const bool f = b7 >> 16 & 1, dq = b7 >> 17 & 1, cd = b7 >> 28 & 1, bw = b7 >> 30 & 1, vl = b7 >> 31 & 1, vnni = c7 >> 11 & 1;
  const bool avx512 = avx2 && zmm && f && dq && cd && bw && vl && vnni;
  const bool amx_bf16 = d7 >> 22 & 1, amx_tile = d7 >> 24 & 1, amx_int8 = d7 >> 25 & 1;
  const bool amx = avx512 && tiles && amx_tile && amx_int8 && amx_bf16 && ask_for_amx();
  cpu.best = amx ? Isa::kAmx : avx512 ? Isa::kAvx512 : avx2 ? Isa::kAvx2 : Isa::kScalar;
  if (avx512) {
    append(cpu.features, sizeof cpu.features, true, "f bw vl dq vnni");
    append(cpu.features, sizeof cpu.features, a71 >> 5 & 1, "bf16");
    append(cpu.features, sizeof cpu.features, amx, "amx-int8 amx-bf16");
  } else {
    append(cpu.features, sizeof cpu.features, avx2, "avx2 fma f16c");
  }
  return cpu;
}

const Cpu& cpu() {
  static const Cpu detected = detect();
  return detected;
}

constexpr const char* kNames[] = {"scalar", "avx2", "avx512", "amx"};

}  // namespace

Isa best_isa() { return cpu().best; }

bool isa_supported(Isa isa) { return (int)isa >= 0 && isa <= cpu().best; }

const char* isa_name(Isa isa) { return (int)isa >= 0 && isa <= Isa::kAmx ? kNames[(int)isa] : "unknown"; }

bool parse_isa(const char* name, Isa* isa) {
  for (int i = 0; i < 4; ++i) {
    if (strcmp(name, kNames[i]) != 0) continue;
    *isa = (Isa)i;
    return true;
  }
  return false;
}

const char* cpu_description() {
  struct Text {
    char line[288];
    Text() { snprintf(line, sizeof line, "%s (%s%s%s)", cpu().name, isa_name(cpu().best), cpu().features[0] ? ": " : "", cpu().features); }
  };
  static const Text text;
  return text.line;
}

}  // namespace hanlin::kernels
