// A model for the engine's tests whose answers show every mistake in the use of the KV cache.
#pragma once

#include <string>
#include <vector>

#include "base/check.h"
#include "base/compute_pool.h"
#include "base/rng.h"
#include "model/batch.h"

namespace hanlin::engine {

// The "keys and values" of a token are the token and its position, stored in the block that the batch names. The logits
// of a token are a hash of all tokens up to it, read back through the block table: a wrong block, position or prefix, a
// block used too early or given away too soon changes them. Letters of "abcd " are likelier than other tokens.
class HashModel : public StepModel {
 public:
  HashModel(int64_t vocab_size, int64_t context_length, int64_t max_step_tokens)
      : vocab_size_(vocab_size), context_length_(context_length), max_step_tokens_(max_step_tokens) {}

  static constexpr uint64_t kStart = 0x2545f4914f6cdd1dull;
  static uint64_t extend(uint64_t hash, int32_t token) {
    hash = (hash ^ static_cast<uint64_t>(token + 1)) * 0x9e3779b97f4a7c15ull;
    return hash ^ (hash >> 29);
  }
  static void fill_logits(uint64_t hash, std::span<float> row) {
    Rng rng(hash);
    for (float& x : row) x = static_cast<float>(rng.uniform() * 6);
    for (char c : std::string("abcd ")) row[static_cast<size_t>(c)] += 4;
  }

  int64_t vocab_size() const override { return vocab_size_; }
  int64_t context_length() const override { return context_length_; }
  int64_t kv_block_bytes() const override { return kKvBlockTokens * static_cast<int64_t>(sizeof(Cell)); }
  int64_t max_step_tokens() const override { return max_step_tokens_; }
  bool allocate_kv(int64_t n_blocks) override {
    cells_.assign(static_cast<size_t>(n_blocks * kKvBlockTokens), Cell{});
    return true;
  }

  std::span<const float> forward(const Batch& batch) override {
    ++n_steps;
    n_tokens += static_cast<int64_t>(batch.tokens.size());
    most_rows = std::max(most_rows, batch.n_logits());
    HANLIN_CHECK(static_cast<int64_t>(batch.tokens.size()) <= max_step_tokens_, "step too long");
    size_t next = 0;
    for (const Chunk& chunk : batch.chunks) {
      HANLIN_CHECK(chunk.n_tokens >= 1 && chunk.n_logits >= 0 && chunk.n_logits <= chunk.n_tokens, "bad chunk");
      HANLIN_CHECK(chunk.first_position + chunk.n_tokens <= context_length_, "beyond the context");
      HANLIN_CHECK(static_cast<int64_t>(chunk.blocks.size()) * kKvBlockTokens >= chunk.first_position + chunk.n_tokens, "blocks are missing");
      for (int i = 0; i < chunk.n_tokens; ++i) at(chunk, chunk.first_position + i) = {batch.tokens[next++], chunk.first_position + i, chunk.precise};
    }
    HANLIN_CHECK(next == batch.tokens.size(), "tokens without a chunk");
    logits_.assign(static_cast<size_t>(batch.n_logits() * vocab_size_), 0);
    size_t row = 0;
    for (const Chunk& chunk : batch.chunks) {
      const int64_t end = chunk.first_position + chunk.n_tokens;
      uint64_t hash = kStart;
      for (int64_t p = 0; p < end; ++p) {
        const Cell& cell = at(chunk, p);
        if (cell.position != p || cell.precise != chunk.precise) ++n_bad_reads;
        hash = extend(hash, cell.token);
        if (p >= end - chunk.n_logits) fill_logits(hash, std::span(logits_).subspan(row++ * static_cast<size_t>(vocab_size_), static_cast<size_t>(vocab_size_)));
      }
    }
    return logits_;
  }

  int n_threads() const override { return pool_.n_threads(); }
  void run_units(int64_t n_units, const std::function<void(int64_t, int)>& fn) override { pool_.run(n_units, fn); }

  int64_t n_steps = 0, n_tokens = 0, most_rows = 0, n_bad_reads = 0;

 private:
  struct Cell {
    int32_t token = -1;
    int64_t position = -1;
    bool precise = false;
  };
  Cell& at(const Chunk& chunk, int64_t position) {
    const auto block = static_cast<size_t>(chunk.blocks[static_cast<size_t>(position / kKvBlockTokens)]);
    return cells_.at(block * kKvBlockTokens + static_cast<size_t>(position % kKvBlockTokens));
  }

  int64_t vocab_size_, context_length_, max_step_tokens_;
  std::vector<Cell> cells_;
  std::vector<float> logits_;
  ComputePool pool_{2};
};

}  // namespace hanlin::engine
