// The KV cache's blocks and attention over them.
#include <atomic>
#include <cmath>

#include "backend/cpu_backend.h"

namespace hanlin {

using kernels::kKeySpan;
using kernels::kKvBlock;

namespace {

// Below this many values writing to the cache is left to one thread. A token's keys lie in a line each, so a value costs 5 to 10 ns.
constexpr int64_t kSerialWrites = 1024;

// Attention over keys [0, a) and [a, b) becomes attention over [0, b): `out` [rows][n_values] and `stats` (AttentionArgs) are
// the first's and receive the result. Rows of a token stand n_heads to a line of ldo.
void join_attention(int64_t rows, int64_t n_heads, int64_t head_dim, const float* next, const float* next_stats, float* out, int64_t ldo, float* stats) {
  for (int64_t row = 0; row < rows; ++row, next += head_dim, next_stats += 2, stats += 2) {
    if (next_stats[1] == 0) continue;
    const float highest = std::max(stats[0], next_stats[0]);
    const float a = stats[1] * std::exp(stats[0] - highest), b = next_stats[1] * std::exp(next_stats[0] - highest);
    const float share_a = a / (a + b), share_b = b / (a + b);
    float* to = out + row / n_heads * ldo + row % n_heads * head_dim;
    for (int64_t e = 0; e < head_dim; ++e) to[e] = to[e] * share_a + next[e] * share_b;
    stats[0] = highest;
    stats[1] = a + b;
  }
}

// The first key that a token at `position` sees.
int64_t first_key(const AttentionSpec& spec, int64_t position) { return spec.window > 0 ? std::max<int64_t>(0, position - spec.window + 1) : 0; }

}  // namespace

bool CpuBackend::back_blocks(KvCache& cache, int64_t end, size_t most_bytes) {
  auto& kv = static_cast<CpuKvCache&>(cache);
  constexpr size_t kPiece = size_t{2} << 20;  // a huge page
  const size_t begin = kv.backed, wanted = static_cast<size_t>(kv_block_bytes(kv.shape) * end);
  if (wanted <= begin) return false;
  const auto n_pieces = static_cast<int64_t>((std::min(wanted - begin, most_bytes) + kPiece - 1) / kPiece);
  std::atomic<bool> ok{true};
  pool_.run(n_pieces, [&](int64_t piece, int) {
    const size_t at = begin + static_cast<size_t>(piece) * kPiece;
    if (ok.load(std::memory_order_relaxed) && !kv.storage.back(at, at + kPiece)) ok = false;
  });
  kv.backed = ok ? begin + static_cast<size_t>(n_pieces) * kPiece : kv.storage.size();
  return ok;
}

void CpuBackend::kv_write(KvCache& cache, int64_t layer, TensorView k, TensorView v, std::span<const TokenRange> ranges) {
  const auto& kv = static_cast<const CpuKvCache&>(cache);
  const int64_t head_dim = kv.shape.head_dim;
  // A unit is what a step writes into one block: two threads never write into the same cache line.
  std::vector<KvWriteUnit>& units = kv_write_units_;
  units.clear();
  for (const TokenRange& range : ranges) {
    const int64_t end = range.first_position + range.n;
    for (int64_t begin = range.first_position; begin < end; begin = (begin / kKvBlock + 1) * kKvBlock) {
      units.push_back({&range, begin, std::min(end, (begin / kKvBlock + 1) * kKvBlock)});
    }
  }
  const auto write = [&](int64_t unit_idx, int) {
    const KvWriteUnit& unit = units[static_cast<size_t>(unit_idx)];
    const int64_t block = unit.range->blocks[static_cast<size_t>(unit.begin / kKvBlock)];
    for (int64_t position = unit.begin; position < unit.end; ++position) {
      const int64_t row = unit.range->begin + position - unit.range->first_position;
      for (int64_t head = 0; head < kv.shape.n_kv_heads; ++head) {
        table_.kv_write(kv.type, k.row(row) + head * head_dim, v.row(row) + head * head_dim, head_dim, static_cast<int>(position % kKvBlock),
                        kv.keys(layer, block, head), kv.values(layer, block, head));
      }
    }
  };
  if (k.rows * k.cols > kSerialWrites) return pool_.run(static_cast<int64_t>(units.size()), write);
  for (size_t i = 0; i < units.size(); ++i) write(static_cast<int64_t>(i), 0);
}

// Keys are taken in spans of kKeySpan positions, each by itself, and the results joined in order. Where spans begin depends
// on positions alone: a token's result is the same bits in a prompt, in a chunk and decoded alone. Few tokens: a unit is
// one span, so that one long text keeps all threads busy. Many: a unit takes all spans of a tile of tokens.
int64_t CpuBackend::plan_attention(const CpuKvCache& kv, int64_t layer, std::span<const TokenRange> ranges, const AttentionSpec& spec, int64_t tile) {
  attention_units_.clear();
  block_pointers_.clear();
  int64_t n_parts = 0;
  for (const TokenRange& range : ranges) {
    const int64_t n_blocks = (range.first_position + range.n + kKvBlock - 1) / kKvBlock;
    for (int64_t head = 0; head < spec.n_kv_heads; ++head) {
      const size_t keys = block_pointers_.size(), values = keys + static_cast<size_t>(n_blocks);
      for (int64_t i = 0; i < n_blocks; ++i) block_pointers_.push_back(kv.keys(layer, range.blocks[static_cast<size_t>(i)], head));
      for (int64_t i = 0; i < n_blocks; ++i) block_pointers_.push_back(kv.values(layer, range.blocks[static_cast<size_t>(i)], head));
      // Last tiles first: they see the most keys.
      for (int64_t begin = (range.n - 1) / tile * tile; begin >= 0; begin -= tile) {
        AttentionUnit unit{&range, begin, std::min(tile, range.n - begin), head, keys, values, 0, 0, -1};
        const int64_t first = range.first_position + begin, end = first + unit.n;
        const int64_t span_begin = first_key(spec, first) / kKeySpan, span_end = (end + kKeySpan - 1) / kKeySpan;
        const bool whole = range.n > tile || span_end - span_begin == 1;
        for (int64_t span = span_begin; span < span_end; span = unit.span_end) {
          unit.span_begin = span;
          unit.span_end = whole ? span_end : span + 1;
          if (!whole) unit.part = n_parts++;
          attention_units_.push_back(unit);
        }
      }
    }
  }
  return n_parts;
}

void CpuBackend::attention(const KvCache& cache, int64_t layer, TensorView q, std::span<const TokenRange> ranges,
                           const AttentionSpec& spec, TensorView out) {
  const auto& kv = static_cast<const CpuKvCache&>(cache);
  const int64_t group = spec.n_heads / spec.n_kv_heads, width = group * spec.head_dim;
  const int64_t tile = std::max<int64_t>(1, 64 / group);
  const int64_t tile_values = tile * width, tile_stats = tile * group * 2;
  const int64_t n_parts = plan_attention(kv, layer, ranges, spec, tile);
  const std::vector<AttentionUnit>& units = attention_units_;
  const size_t kernel_bytes = (kernels::attention_scratch_bytes(tile * group, spec.head_dim) + 63) / 64 * 64;
  reserve_scratch(kernel_bytes + static_cast<size_t>(tile_values + 2 * tile_stats) * sizeof(float));
  float* parts = grow<float>(attention_parts_, n_parts * (tile_values + tile_stats));
  pool_.run(static_cast<int64_t>(units.size()), [&](int64_t unit_idx, int thread_idx) {
    const AttentionUnit& unit = units[static_cast<size_t>(unit_idx)];
    uint8_t* scratch = scratch_[static_cast<size_t>(thread_idx)].data();
    auto* next = reinterpret_cast<float*>(scratch + kernel_bytes);
    float* const next_stats = next + tile_values;
    float* stats = next_stats + tile_stats;
    float* to = out.row(unit.range->begin + unit.begin) + unit.head * width;
    int64_t ldo = out.stride;
    if (unit.part >= 0) {
      to = parts + unit.part * (tile_values + tile_stats);
      stats = to + tile_values;
      ldo = width;
    }
    kernels::AttentionArgs args{};
    args.kv_type = kv.type;
    args.causal = true;
    args.n_tokens = static_cast<int>(unit.n);
    args.n_heads = static_cast<int>(group);
    args.head_dim = static_cast<int>(spec.head_dim);
    args.first_position = unit.range->first_position + unit.begin;
    args.window = spec.window;
    args.scale = spec.scale;
    args.softcap = spec.softcap;
    args.q = q.row(unit.range->begin + unit.begin) + unit.head * width;
    args.ldq = q.stride;
    args.k_blocks = block_pointers_.data() + unit.keys;
    args.v_blocks = block_pointers_.data() + unit.values;
    args.scratch = scratch;
    const int64_t kv_begin = first_key(spec, args.first_position), kv_end = args.first_position + unit.n;
    for (int64_t span = unit.span_begin; span < unit.span_end; ++span) {
      const bool is_first = span == unit.span_begin;
      args.kv_begin = std::max(kv_begin, span * kKeySpan);
      args.kv_end = std::min(kv_end, (span + 1) * kKeySpan);
      args.out = is_first ? to : next;
      args.ldo = is_first ? ldo : width;
      args.stats = is_first ? stats : next_stats;
      table_.attention(args);
      if (!is_first) join_attention(unit.n * group, group, spec.head_dim, next, next_stats, to, ldo, stats);
    }
  });
  // The parts of a tile stand one after the other.
  const AttentionUnit* first = nullptr;
  float* joined = nullptr;
  const auto store = [&] {
    for (int64_t t = 0; first != nullptr && t < first->n; ++t) {
      std::copy_n(joined + t * width, width, out.row(first->range->begin + first->begin + t) + first->head * width);
    }
  };
  for (const AttentionUnit& unit : units) {
    if (unit.part < 0) continue;
    float* part = parts + unit.part * (tile_values + tile_stats);
    if (first != nullptr && unit.keys == first->keys && unit.begin == first->begin) {
      join_attention(unit.n * group, group, spec.head_dim, part, part + tile_values, joined, width, joined + tile_values);
      continue;
    }
    store();
    first = &unit;
    joined = part;
  }
  store();
}

void CpuBackend::encoder_attention(TensorView q, TensorView k, TensorView v, std::span<const TokenRange> ranges,
                                   const AttentionSpec& spec, TensorView out) {
  HANLIN_CHECK(spec.n_heads == spec.n_kv_heads, "encoder_attention: grouped queries are not an encoder's");
  constexpr auto kType = kernels::KvType::kF32;
  const int64_t block_bytes = kernels::kv_block_bytes(kType, spec.head_dim);
  constexpr int64_t kTile = 64;
  int64_t longest = 0;
  for (const TokenRange& range : ranges) longest = std::max(longest, range.n);
  const int64_t max_blocks = (longest + kKvBlock - 1) / kKvBlock;
  const size_t attention_bytes = (kernels::attention_scratch_bytes(kTile, spec.head_dim) + 63) / 64 * 64;
  const size_t pointer_bytes = static_cast<size_t>(max_blocks * 2) * sizeof(uint8_t*) / 64 * 64 + 64;
  reserve_scratch(attention_bytes + pointer_bytes + static_cast<size_t>(max_blocks * 2 * block_bytes));
  pool_.run(static_cast<int64_t>(ranges.size()) * spec.n_heads, [&](int64_t unit, int thread_idx) {
    const TokenRange& range = ranges[static_cast<size_t>(unit / spec.n_heads)];
    const int64_t head = unit % spec.n_heads, column = head * spec.head_dim;
    const int64_t n_blocks = (range.n + kKvBlock - 1) / kKvBlock;
    uint8_t* scratch = scratch_[static_cast<size_t>(thread_idx)].data();
    auto** pointers = reinterpret_cast<uint8_t**>(scratch + attention_bytes);
    uint8_t* blocks = scratch + attention_bytes + pointer_bytes;
    for (int64_t i = 0; i < 2 * n_blocks; ++i) pointers[i] = blocks + i * block_bytes;
    for (int64_t i = 0; i < range.n; ++i) {
      table_.kv_write(kType, k.row(range.begin + i) + column, v.row(range.begin + i) + column, spec.head_dim,
                      static_cast<int>(i % kKvBlock), pointers[i / kKvBlock], pointers[n_blocks + i / kKvBlock]);
    }
    for (int64_t begin = 0; begin < range.n; begin += kTile) {
      kernels::AttentionArgs args{};
      args.kv_type = kType;
      args.causal = false;
      args.n_tokens = static_cast<int>(std::min(kTile, range.n - begin));
      args.n_heads = 1;
      args.head_dim = static_cast<int>(spec.head_dim);
      args.first_position = begin;
      args.kv_begin = spec.window > 0 ? std::max<int64_t>(0, begin - spec.window) : 0;
      args.kv_end = spec.window > 0 ? std::min(range.n, begin + args.n_tokens + spec.window) : range.n;
      args.window = spec.window;
      args.scale = spec.scale;
      args.softcap = spec.softcap;
      args.q = q.row(range.begin + begin) + column;
      args.ldq = q.stride;
      args.k_blocks = pointers;
      args.v_blocks = pointers + n_blocks;
      args.out = out.row(range.begin + begin) + column;
      args.ldo = out.stride;
      args.scratch = scratch;
      table_.attention(args);
    }
  });
}

}  // namespace hanlin
