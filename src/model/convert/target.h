// What a file can be quantised to, and which type each tensor gets.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace hanlin {

// Mixes give tensors that suffer most from coarse values (attention values, MLP down projections) a finer type: small
// in a few layers, medium in about half of them.
enum class QuantMix { kPlain, kSmall, kMedium };

struct QuantTarget {
  std::string_view name;  // "Q4_K_M"
  DType dtype;            // of most matrices
  QuantMix mix;
  uint32_t file_type;  // general.file_type, the format's number
  std::string_view description;
};

// All targets, finest first: for help texts.
std::span<const QuantTarget> quant_targets();
// By name in any case; null if there is none.
const QuantTarget* find_quant_target(std::string_view name);

// What the choice for one tensor depends on.
struct TensorRole {
  std::string_view name;  // GGUF name: "blk.3.ffn_down.weight"
  std::span<const int64_t> shape;
  int64_t n_layers = 0;
  bool has_output = true;  // false: the token embedding is the output matrix too
};
// Norms, biases and other vectors stay F32 (`source` for tables that are only looked up); the output matrix gets at least
// Q6_K; where a row is no multiple of the wanted type's block, the next finer type with blocks of 32 is taken, else F16.
DType choose_dtype(const QuantTarget& target, const TensorRole& role, DType source);

}  // namespace hanlin
