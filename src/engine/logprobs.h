// Log-probabilities from a row of logits, for the user.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "api/generate.h"
#include "kernels/args.h"
#include "text/tokenizer.h"

namespace hanlin::engine {

// Reads the model's own distribution: a log-softmax over the whole vocabulary, before filters and temperature.
// Engine thread (it keeps scratch space).
class LogprobReader {
 public:
  LogprobReader(const kernels::KernelTable& kernels, std::shared_ptr<const Tokenizer> tokenizer)
      : kernels_(kernels), tokenizer_(std::move(tokenizer)) {}

  // Of token `id` in the row [V], with the n_top best tokens beside it. Never below kLeast (JSON has no infinity).
  api::TokenLogprob read(std::span<const float> logits, int32_t id, int n_top);
  // For a token that nothing predicts.
  api::TokenLogprob unpredicted(int32_t id) const;

  static constexpr float kLeast = -9999.0f;

 private:
  const kernels::KernelTable& kernels_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<int32_t> top_;
};

}  // namespace hanlin::engine
