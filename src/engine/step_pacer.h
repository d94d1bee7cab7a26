// How many prompt tokens a step may take while others decode, so that their texts keep flowing evenly.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace hanlin::engine {

// Learns from measured steps what a step with that many decoding rows costs by itself, and what a prompt token adds to it.
// A step with prompt tokens may then take kMaxGrowth times as long as one without, or kUnnoticed seconds if that is longer.
// Only how a prompt is cut depends on this, never what is computed (docs/adr/0007-same-bits.md). Owned by the engine thread.
class StepPacer {
 public:
  static constexpr double kMaxGrowth = 1.4;
  static constexpr double kUnnoticed = 0.025;   // 40 tokens/s: faster than people read
  static constexpr int64_t kLeastTokens = 16;   // prompts always move

  // Prompt tokens for a step in which n_decoding (>= 1) rows decode, at most `most`. 0: nothing is known of such a step yet;
  // one without prompt tokens has to be measured first.
  int64_t prompt_tokens(int64_t n_decoding, int64_t most) const;
  // A step with n_decoding decoding texts and n_prompt prompt tokens took so long.
  void observe(int64_t n_decoding, int64_t n_prompt, double seconds);

 private:
  struct Load {                   // steps with about that many decoding rows
    double decode_seconds = 0;    // without prompt tokens; 0: not measured
    double token_seconds = 0;     // that each prompt token adds; 0: not measured
    int64_t age = 0;              // steps with prompt tokens since decode_seconds was measured
  };
  static size_t load_of(int64_t n_decoding);

  std::array<Load, 16> loads_ = {};
};

}  // namespace hanlin::engine
