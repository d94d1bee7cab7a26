// What one step computes. Plain data: the engine fills it, a StepModel runs it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace hanlin {

constexpr int kKvBlockTokens = 32;  // tokens of one KV block; the same number as kernels::kKvBlock

// One sequence's share of a step: `n_tokens` tokens at positions first_position … first_position + n_tokens - 1. All
// earlier positions are already in the cache. The same struct serves prefill, a chunk, decode, verification, scoring.
struct Chunk {
  int64_t first_position = 0;
  int n_tokens = 0;
  // Logits are wanted for the last n_logits tokens of this chunk (0: none, 1: to sample, n_tokens: to score a prompt).
  int n_logits = 0;
  // Block of positions [i * 32, (i + 1) * 32) is blocks[i]; covers first_position + n_tokens. Valid during the step.
  std::span<const int32_t> blocks;
  // Tokens known when the request started (its prompt length): dynamic NTK chooses its base from it.
  int64_t rope_length = 0;
  // Activations keep about 15 bits where others are rounded to 8, for twice the work in products of quantised weights.
  bool precise = false;
};

// T tokens of S chunks, in chunk order. Two chunks of one step must not be of the same sequence.
struct Batch {
  std::vector<int32_t> tokens;  // [T]
  std::vector<Chunk> chunks;    // [S]
  int64_t n_logits() const {
    int64_t n = 0;
    for (const Chunk& chunk : chunks) n += chunk.n_logits;
    return n;
  }
};

// A decoder with a paged KV cache, as the engine sees it. Owned and called by the engine thread only.
class StepModel {
 public:
  virtual ~StepModel() = default;
  virtual int64_t vocab_size() const = 0;
  virtual int64_t context_length() const = 0;   // most positions a sequence may have
  virtual int64_t kv_block_bytes() const = 0;   // of all layers, keys and values, one block
  // (Re)allocates room for n_blocks; contents are lost. Called once before the first step. False: not enough memory.
  virtual bool allocate_kv(int64_t n_blocks) = 0;
  // Largest T a step may have; activations are sized for it.
  virtual int64_t max_step_tokens() const = 0;
  // Has the system back cache memory that later steps will write, for a few milliseconds; false: enough is ready. For moments
  // without work.
  virtual bool prepare_memory() { return false; }
  // Runs the batch: writes keys and values into the blocks and returns logits [n_logits, V] f32, row r for the r-th
  // wanted token in batch order, valid until the next call. Cannot fail: the batch was checked before.
  virtual std::span<const float> forward(const Batch& batch) = 0;
  // Calls fn(unit, thread) once for each unit in [0, n_units), thread in [0, n_threads()), on the model's threads.
  virtual int n_threads() const = 0;
  virtual void run_units(int64_t n_units, const std::function<void(int64_t, int)>& fn) = 0;
};

}  // namespace hanlin
