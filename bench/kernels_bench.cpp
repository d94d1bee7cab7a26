// Speed of every kernel beside the limit that bounds it, which is measured first: the peak in registers of int8 products (VNNI,
// or vpmaddubsw and an addition) and of f32 FMA, and DRAM read bandwidth. Prints a table; --json FILE writes the same. Times
// are medians of repetitions, --best takes the fastest instead.
#include <immintrin.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kernels/pack.h"
#include "kernels/table.h"

namespace hanlin::kernels {
namespace {

// On a machine that others use as well, one thread can be measured by its own processor time.
bool take_best = false, cpu_time = false;

double now_s() {
  if (cpu_time) {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Bytes on huge pages where the system has them.
class Memory {
 public:
  explicit Memory(size_t bytes) : bytes_((bytes + (2u << 20)) >> 21 << 21) {
    data_ = (uint8_t*)mmap(nullptr, bytes_ + (2u << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    aligned_ = (uint8_t*)(((uintptr_t)data_ + (2u << 20) - 1) >> 21 << 21);
    madvise(aligned_, bytes_, MADV_HUGEPAGE);
    memset(aligned_, 1, bytes_);
  }
  ~Memory() { munmap(data_, bytes_ + (2u << 20)); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  uint8_t* data() { return aligned_; }

 private:
  size_t bytes_;
  uint8_t *data_, *aligned_;
};

// Threads that start a piece of work together; run() returns the seconds until the last one is done.
class Crew {
 public:
  explicit Crew(int n) {
    for (int i = 1; i < n; ++i) threads_.emplace_back([this, i] { loop(i); });
  }
  ~Crew() {
    stop_ = true;
    generation_.fetch_add(1);
    for (auto& t : threads_) t.join();
  }
  int size() const { return (int)threads_.size() + 1; }
  double run(const std::function<void(int)>& work) {
    work_ = &work;
    left_ = (int)threads_.size();
    const double start = now_s();
    generation_.fetch_add(1);
    work(0);
    while (left_.load() > 0) _mm_pause();
    return now_s() - start;
  }

 private:
  void loop(int i) {
    for (int seen = 0;; ++seen) {
      while (generation_.load() == seen) _mm_pause();
      if (stop_) return;
      (*work_)(i);
      left_.fetch_sub(1);
    }
  }
  std::vector<std::thread> threads_;
  const std::function<void(int)>* work_ = nullptr;
  std::atomic<int> generation_{0}, left_{0};
  std::atomic<bool> stop_{false};
};

double median_s(Crew& crew, const std::function<void(int)>& work, double budget_s) {
  crew.run(work);
  std::vector<double> times;
  for (const double start = now_s(); times.size() < 5 || (now_s() - start < budget_s && times.size() < 1000);) times.push_back(crew.run(work));
  if (take_best) return *std::min_element(times.begin(), times.end());
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

// ------------------------------------------------------------------------------------------------------------- limits

constexpr int kPeakLoops = 200000, kPeakChains = 12;

__attribute__((target("avx512f,avx512vnni"))) void vnni_loop() {
  __m512i acc[kPeakChains], a = _mm512_set1_epi8(1), b = _mm512_set1_epi8(1);
  for (auto& v : acc) v = _mm512_setzero_si512();
  for (int i = 0; i < kPeakLoops; ++i) {
    for (auto& v : acc) __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(v) : "v"(a), "v"(b));
  }
}

__attribute__((target("avx2"))) void int8_256_loop() {
  __m256i acc[kPeakChains], a = _mm256_set1_epi8(1), product;
  for (auto& v : acc) v = _mm256_setzero_si256();
  for (int i = 0; i < kPeakLoops; ++i) {
    for (auto& v : acc) {
      __asm__ volatile("vpmaddubsw %1, %1, %0" : "=x"(product) : "x"(a));
      __asm__ volatile("vpaddw %1, %0, %0" : "+x"(v) : "x"(product));
    }
  }
}

__attribute__((target("avx512f"))) void fma512_loop() {
  __m512 acc[kPeakChains], a = _mm512_set1_ps(0.5f);
  for (auto& v : acc) v = _mm512_setzero_ps();
  for (int i = 0; i < kPeakLoops; ++i) {
    for (auto& v : acc) __asm__ volatile("vfmadd231ps %1, %1, %0" : "+v"(v) : "v"(a));
  }
}

__attribute__((target("avx2,fma"))) void fma256_loop() {
  __m256 acc[kPeakChains], a = _mm256_set1_ps(0.5f);
  for (auto& v : acc) v = _mm256_setzero_ps();
  for (int i = 0; i < kPeakLoops; ++i) {
    for (auto& v : acc) __asm__ volatile("vfmadd231ps %1, %1, %0" : "+x"(v) : "x"(a));
  }
}

__attribute__((target("avx2"))) uint64_t read_streams(const uint8_t* data, size_t bytes) {
  constexpr int kStreams = 4;
  const size_t part = bytes / kStreams / 256 * 256;
  __m256i sum = _mm256_setzero_si256();
  for (size_t i = 0; i < part; i += 256) {
    for (int s = 0; s < kStreams; ++s) {
      const uint8_t* p = data + s * part + i;
      for (int j = 0; j < 256; j += 32) sum = _mm256_xor_si256(sum, _mm256_load_si256((const __m256i*)(p + j)));
    }
  }
  return (uint64_t)_mm256_extract_epi64(sum, 0);
}

struct Limits {
  double int8_gops = 0, fma_gflops = 0, dram_gbs = 0;
};

Limits measure_limits(Crew& crew) {
  Limits limits;
  const double lanes = (double)kPeakLoops * kPeakChains * crew.size();
  if (isa_supported(Isa::kAvx512)) {
    limits.int8_gops = lanes * 128 / median_s(crew, [](int) { vnni_loop(); }, 0.1) * 1e-9;
    limits.fma_gflops = lanes * 32 / median_s(crew, [](int) { fma512_loop(); }, 0.1) * 1e-9;
  } else if (isa_supported(Isa::kAvx2)) {
    limits.int8_gops = lanes * 64 / median_s(crew, [](int) { int8_256_loop(); }, 0.1) * 1e-9;
    limits.fma_gflops = lanes * 16 / median_s(crew, [](int) { fma256_loop(); }, 0.1) * 1e-9;
  }
  if (isa_supported(Isa::kAvx2)) {
    const size_t part = (size_t)1 << 29;
    Memory memory(part * crew.size());
    static std::atomic<uint64_t> sink;
    limits.dram_gbs = part * crew.size() / median_s(crew, [&](int i) { sink += read_streams(memory.data() + i * part, part); }, 1.0) * 1e-9;
  }
  return limits;
}

// -------------------------------------------------------------------------------------------------------------- report

class Report {
 public:
  Report() { fmt::print("{:<14} {:<26} {:<7} {:<7} {:>2}  {:>11} {:>9} {:>9}  {}\n", "kernel", "shape", "format", "level", "th", "us", "rate", "unit", "of limit"); }
  void add(const std::string& kernel, const std::string& shape, const std::string& format, Isa isa, int threads, double seconds, double rate,
           const char* unit, double limit) {
    const std::string share = limit > 0 ? fmt::format("{:.0f} %", 100 * rate / limit) : "";
    fmt::print("{:<14} {:<26} {:<7} {:<7} {:>2}  {:>11.1f} {:>9.2f} {:>9}  {}\n", kernel, shape, format, isa_name(isa), threads, seconds * 1e6, rate, unit, share);
    std::fflush(stdout);
    nlohmann::json row = {{"kernel", kernel}, {"shape", shape}, {"format", format}, {"level", isa_name(isa)}, {"threads", threads},
                          {"median_us", seconds * 1e6}, {"rate", rate}, {"unit", unit}};
    if (limit > 0) row["share_of_limit"] = rate / limit;
    rows.push_back(row);
  }
  nlohmann::json rows = nlohmann::json::array();
};

// --------------------------------------------------------------------------------------------------------------- cases

struct Format {
  Packed format;
  const char* name;
};
constexpr Format kFormats[] = {
    {Packed::kF32, "F32"},   {Packed::kF16, "F16"},   {Packed::kBF16, "BF16"}, {Packed::kQ4_0, "Q4_0"}, {Packed::kQ4_1, "Q4_1"},
    {Packed::kQ5_0, "Q5_0"}, {Packed::kQ5_1, "Q5_1"}, {Packed::kQ8_0, "Q8_0"}, {Packed::kQ2_K, "Q2_K"}, {Packed::kQ3_K, "Q3_K"},
    {Packed::kQ4_K, "Q4_K"}, {Packed::kQ5_K, "Q5_K"}, {Packed::kQ6_K, "Q6_K"}, {Packed::kIQ4_NL, "IQ4_NL"}, {Packed::kIQ4_XS, "IQ4_XS"},
};

std::vector<float> random_values(size_t n) {
  std::mt19937 rng(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(n);
  for (float& v : values) v = uniform(rng);
  return values;
}

struct Context {
  Crew& crew;
  const Limits& limits;
  Report& report;
  Isa isa;
  double budget_s;
};

enum class Product { kF32, kInt8, kInt16 };

const char* name_of(Product product) { return product == Product::kF32 ? "gemm_f32" : product == Product::kInt8 ? "gemm_int8" : "gemm_int16"; }

// Weight bytes are all ones: every format's numbers and scales are then small and finite.
void bench_gemm(const Context& c, const Format& format, Product product, int64_t m, int64_t n, int64_t k) {
  const KernelTable& table = kernel_table(c.isa);
  const auto gemm = product == Product::kF32 ? table.gemm_f32 : product == Product::kInt8 ? table.gemm_int8 : table.gemm_int16;
  if (product == Product::kInt8 && table.takes_int16(format.format)) return;
  const int threads = c.crew.size();
  Memory weights(packed_bytes(format.format, n, k)), scratch((gemm_scratch_bytes(k) + 4096) * threads);
  const PackedMatrix w = {format.format, n, k, panel_bytes(format.format, k), weights.data()};
  const auto x = random_values(m * k);
  const int64_t ldq = quant_row_stride(k, product == Product::kInt16 ? 2 : 1);
  std::vector<int8_t> q(m * ldq);
  std::vector<float> scale(m * k / 32), y(m * n);
  std::vector<int32_t> sum(m * k / 16);
  std::vector<int16_t> q16(m * ldq);
  if (product == Product::kInt16) table.quantize_rows16(x.data(), k, m, k, q16.data(), ldq, scale.data(), sum.data());
  else table.quantize_rows(x.data(), k, m, k, q.data(), ldq, scale.data(), sum.data());
  const int64_t panels = (n + kPanelRows - 1) / kPanelRows;
  const double seconds = median_s(c.crew, [&](int i) {
    GemmArgs args = {};
    args.w = &w;
    args.x = x.data();
    args.ldx = k;
    args.xq = {q.data(), ldq, scale.data(), sum.data()};
    args.xq16 = {q16.data(), ldq, scale.data(), sum.data()};
    args.m = m;
    args.panel_begin = panels * i / threads;
    args.panel_end = panels * (i + 1) / threads;
    args.y = y.data();
    args.ldy = n;
    args.scratch = scratch.data() + i * ((gemm_scratch_bytes(k) + 4096) / 64 * 64);
    gemm(args);
  }, c.budget_s);
  const std::string shape = fmt::format("m{} n{} k{}", m, n, k);
  const char* name = name_of(product);
  if (m <= 8) {
    c.report.add(name, shape, format.name, c.isa, threads, seconds, (double)packed_bytes(format.format, n, k) / seconds * 1e-9, "GB/s", c.limits.dram_gbs);
  } else {
    c.report.add(name, shape, format.name, c.isa, threads, seconds, 2.0 * m * n * k / seconds * 1e-9, product == Product::kF32 ? "GFLOP/s" : "GOP/s",
                 product == Product::kF32 ? c.limits.fma_gflops : c.limits.int8_gops);
  }
}

// One layer's work: `n_kv_heads` heads, each with `group` query heads, over `depth` keys before the tile.
void bench_attention(const Context& c, KvType type, int n_tokens, int n_kv_heads, int group, int head_dim, int64_t depth) {
  const KernelTable& table = kernel_table(c.isa);
  const int threads = c.crew.size();
  const int64_t n_keys = depth + n_tokens, n_blocks = (n_keys + kKvBlock - 1) / kKvBlock, block = kv_block_bytes(type, head_dim);
  Memory cache(2 * n_blocks * block * n_kv_heads);
  memset(cache.data(), 0, 2 * n_blocks * block * n_kv_heads);
  std::vector<const uint8_t*> keys, values;
  for (int64_t i = 0; i < n_blocks * n_kv_heads; ++i) {
    keys.push_back(cache.data() + 2 * i * block);
    values.push_back(cache.data() + (2 * i + 1) * block);
  }
  const int64_t width = (int64_t)n_kv_heads * group * head_dim;
  const auto q = random_values(n_tokens * width);
  std::vector<float> out(n_tokens * width);
  constexpr int kTile = 16;
  const int n_tiles = (n_tokens + kTile - 1) / kTile;
  const size_t scratch_bytes = (attention_scratch_bytes(kTile * group, head_dim) + 63) / 64 * 64;
  Memory scratch(scratch_bytes * threads);
  const double seconds = median_s(c.crew, [&](int i) {
    for (int unit = i; unit < n_tiles * n_kv_heads; unit += threads) {
      const int tile = unit / n_kv_heads, head = unit % n_kv_heads, first = tile * kTile;
      const AttentionArgs args = {type, true, std::min(kTile, n_tokens - first), group, head_dim, depth + first, 0, n_keys, 0, 0.1f, 0,
                                  q.data() + first * width + head * group * head_dim, width, keys.data() + head * n_blocks,
                                  values.data() + head * n_blocks, out.data() + first * width + head * group * head_dim, width,
                                  scratch.data() + scratch_bytes * i};
      table.attention(args);
    }
  }, c.budget_s);
  const double flops = 4.0 * head_dim * n_kv_heads * group * (n_tokens * (double)depth + 0.5 * n_tokens * (n_tokens + 1));
  c.report.add("attention", fmt::format("t{} h{}x{} e{} at {}", n_tokens, n_kv_heads, group, head_dim, depth), type == KvType::kF32 ? "f32" : type == KvType::kF16 ? "f16" : "q8_0", c.isa,
               threads, seconds, flops / seconds * 1e-9, "GFLOP/s", c.limits.fma_gflops);
}

void bench_elementwise(const Context& c) {
  const KernelTable& table = kernel_table(c.isa);
  const int64_t n = 2048;
  const auto a = random_values(n), b = random_values(n);
  std::vector<float> y(n), scale(n / 32);
  std::vector<int8_t> q(n);
  std::vector<int32_t> sum(n / 16);
  [[maybe_unused]] static volatile double sink;
  const std::pair<const char*, std::function<void()>> cases[] = {
      {"quantize_rows", [&] { table.quantize_rows(a.data(), n, 1, n, q.data(), n, scale.data(), sum.data()); }},
      {"rms_norm", [&] { table.rms_norm(a.data(), b.data(), 0, 1e-5f, n, y.data()); }},
      {"layer_norm", [&] { table.layer_norm(a.data(), b.data(), b.data(), 1e-5f, n, y.data()); }},
      {"add", [&] { table.add(a.data(), b.data(), n, y.data()); }},
      {"silu_mul", [&] { table.silu_mul(a.data(), b.data(), n, y.data()); }},
      {"gelu_tanh_mul", [&] { table.gelu_tanh_mul(a.data(), b.data(), n, y.data()); }},
      {"gelu_erf_mul", [&] { table.gelu_erf_mul(a.data(), nullptr, n, y.data()); }},
      {"sum_exp", [&] { sink = table.sum_exp(a.data(), n, 1); }},
      {"max_value", [&] { sink = table.max_value(a.data(), n); }},
      {"dot", [&] { sink = table.dot(a.data(), b.data(), n); }},
      {"rope", [&] { table.rope(y.data(), a.data(), b.data(), 128, true); }},
  };
  constexpr int kCalls = 200;
  Crew alone(1);
  for (const auto& [name, call] : cases) {
    const int64_t values = std::string(name) == "rope" ? 128 : n;
    const double seconds = median_s(alone, [&, &f = call](int) { for (int i = 0; i < kCalls; ++i) f(); }, c.budget_s / 4) / kCalls;
    c.report.add(name, fmt::format("n{}", values), "f32", c.isa, 1, seconds, (double)values / seconds * 1e-9, "Gvalue/s", 0);
  }
}

struct Options {
  std::string json, level, kernel, format;
  int64_t m = 0, n = 0, k = 0;  // of the one product to measure; 0: those of bench_level
  int threads = (int)std::max(1u, std::thread::hardware_concurrency());
  double budget_s = 0.15;

  bool take_shape(const char* text) {
    return std::sscanf(text, "%" SCNd64 "x%" SCNd64 "x%" SCNd64, &m, &n, &k) == 3 && m > 0 && n > 0 && k > 0 && k % kGroup == 0;
  }
};

bool wanted(const std::string& filter, const char* name) { return filter.empty() || filter == name; }

// The one product of --shape, in every format.
void bench_shape(const Context& c, const Options& options) {
  for (const Format& format : kFormats) {
    for (const Product product : {Product::kInt8, Product::kInt16, Product::kF32}) {
      const bool exists = product == Product::kF32 || format.format > Packed::kBF16;
      if (exists && wanted(options.format, format.name) && wanted(options.kernel, name_of(product))) bench_gemm(c, format, product, options.m, options.n, options.k);
    }
  }
}

void bench_level(const Context& c, const Options& options) {
  // A layer of a 135M, a 1.1B and a 7B model; the matrix of one row is larger than any cache.
  for (const Format& format : kFormats) {
    if (!wanted(options.format, format.name)) continue;
    const bool quantised = format.format > Packed::kBF16;
    for (const Product product : {Product::kInt8, Product::kInt16}) {
      if (!quantised || !wanted(options.kernel, name_of(product))) continue;
      if (c.isa != Isa::kScalar) {
        bench_gemm(c, format, product, 1, 131072, 2048);
        bench_gemm(c, format, product, 8, 131072, 2048);
      }
      bench_gemm(c, format, product, 32, 2048, 2048);
      bench_gemm(c, format, product, c.isa == Isa::kScalar ? 32 : 512, 2048, 2048);
    }
    if (wanted(options.kernel, "gemm_f32") && (!quantised || format.format == Packed::kQ4_0 || format.format == Packed::kQ6_K)) {
      bench_gemm(c, format, Product::kF32, 1, quantised ? 131072 : 32768, 2048);
      bench_gemm(c, format, Product::kF32, c.isa == Isa::kScalar ? 16 : 256, 2048, 2048);
    }
  }
  if (wanted(options.kernel, "gemm_int8") && c.isa != Isa::kScalar && wanted(options.format, "Q4_0")) {
    bench_gemm(c, kFormats[3], Product::kInt8, 512, 576, 576);
    bench_gemm(c, kFormats[3], Product::kInt8, 512, 1536, 576);
    bench_gemm(c, kFormats[3], Product::kInt8, 512, 576, 1536);
    bench_gemm(c, kFormats[3], Product::kInt8, 512, 4096, 4096);
    bench_gemm(c, kFormats[3], Product::kInt8, 512, 4096, 11008);
  }
  if (wanted(options.kernel, "attention")) {
    for (KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
      bench_attention(c, type, 1, 3, 3, 64, 1024);
      bench_attention(c, type, 1, 4, 8, 64, 2048);
      bench_attention(c, type, 1, 32, 1, 128, 1024);
      bench_attention(c, type, 512, 3, 3, 64, 0);
      bench_attention(c, type, 512, 32, 1, 128, 0);
      bench_attention(c, type, 128, 1, 4, 256, 512);
    }
  }
  if (wanted(options.kernel, "elementwise")) bench_elementwise(c);
}

int run(const Options& options) {
  Crew crew(options.threads);
  fmt::print("{}\n", cpu_description());
  const Limits limits = measure_limits(crew);
  fmt::print("limits with {} threads: int8 {:.0f} GOP/s, f32 FMA {:.0f} GFLOP/s, DRAM read {:.1f} GB/s\n\n", options.threads, limits.int8_gops, limits.fma_gflops,
             limits.dram_gbs);
  Report report;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
    if (!isa_supported(isa) || !wanted(options.level, isa_name(isa))) continue;
    (options.m > 0 ? bench_shape : bench_level)({crew, limits, report, isa, options.budget_s}, options);
  }
  if (!options.json.empty()) {
    const nlohmann::json all = {{"cpu", cpu_description()}, {"threads", options.threads}, {"results", report.rows},
                                {"limits", {{"int8_gops", limits.int8_gops}, {"fma_gflops", limits.fma_gflops}, {"dram_gbs", limits.dram_gbs}}}};
    std::ofstream file(options.json);
    file << all.dump(1) << "\n";
    if (!file) {
      fmt::print(stderr, "kernels_bench: cannot write {}\n", options.json);
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace hanlin::kernels

int main(int argc, char** argv) {
  hanlin::kernels::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--cpu-time") {
      hanlin::kernels::cpu_time = true;
      options.threads = 1;
      continue;
    }
    if (flag == "--best") {
      hanlin::kernels::take_best = true;
      continue;
    }
    const char* value = i + 1 < argc ? argv[++i] : nullptr;
    if (value && flag == "--json") options.json = value;
    else if (value && flag == "--level") options.level = value;
    else if (value && flag == "--kernel") options.kernel = value;
    else if (value && flag == "--format") options.format = value;
    else if (value && flag == "--shape" && options.take_shape(value)) continue;
    else if (value && flag == "--threads") options.threads = std::max(1, std::atoi(value));
    else if (value && flag == "--seconds") options.budget_s = std::atof(value);
    else {
      fmt::print(stderr, "usage: kernels_bench [--json FILE] [--level scalar|avx2|avx512|amx] [--kernel gemm_int8|gemm_int16|gemm_f32|attention|elementwise]\n"
                         "                     [--format Q4_0|...] [--shape MxNxK] [--threads N] [--seconds PER_CASE] [--best] [--cpu-time]\n");
      return 2;
    }
  }
  return hanlin::kernels::run(options);
}
