#include "model/convert/target.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace hanlin {
namespace {

// File types: llama_ftype of ggml-org/llama.cpp (include/llama.h).
constexpr QuantTarget kTargets[] = {
    {"F32", DType::kF32, QuantMix::kPlain, 0, "32 bits, exact"},
    {"F16", DType::kF16, QuantMix::kPlain, 1, "16 bits"},
    {"BF16", DType::kBF16, QuantMix::kPlain, 32, "16 bits, range of F32"},
    {"Q8_0", DType::kQ8_0, QuantMix::kPlain, 7, "8.5 bits, no loss worth naming"},
    {"Q6_K", DType::kQ6_K, QuantMix::kPlain, 18, "6.6 bits, very small loss"},
    {"Q5_K_M", DType::kQ5_K, QuantMix::kMedium, 17, "5.7 bits, small loss"},
    {"Q5_K_S", DType::kQ5_K, QuantMix::kPlain, 16, "5.5 bits"},
    {"Q5_K", DType::kQ5_K, QuantMix::kPlain, 16, "the same as Q5_K_S"},
    {"Q5_1", DType::kQ5_1, QuantMix::kPlain, 9, "6 bits, blocks of 32"},
    {"Q5_0", DType::kQ5_0, QuantMix::kPlain, 8, "5.5 bits, blocks of 32"},
    {"Q4_K_M", DType::kQ4_K, QuantMix::kMedium, 15, "4.8 bits, the usual choice"},
    {"Q4_K_S", DType::kQ4_K, QuantMix::kSmall, 14, "4.6 bits"},
    {"Q4_K", DType::kQ4_K, QuantMix::kPlain, 14, "4.5 bits in every layer"},
    {"IQ4_NL", DType::kIQ4_NL, QuantMix::kPlain, 25, "4.5 bits, uneven levels"},
    {"IQ4_XS", DType::kIQ4_XS, QuantMix::kPlain, 30, "4.25 bits, uneven levels"},
    {"Q4_1", DType::kQ4_1, QuantMix::kPlain, 3, "5 bits, blocks of 32"},
    {"Q4_0", DType::kQ4_0, QuantMix::kPlain, 2, "4.5 bits, blocks of 32, fastest"},
    {"Q3_K", DType::kQ3_K, QuantMix::kPlain, 11, "3.4 bits, visible loss"},
    {"Q2_K", DType::kQ2_K, QuantMix::kPlain, 10, "2.6 bits, large loss"},
};

bool is_float(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16; }

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> ends) {
  return std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return name.ends_with(end); });
}

// "blk.12.…" → 12; -1 for names outside layers.
int64_t layer_of(std::string_view name) {
  int64_t layer = -1;
  if (name.starts_with("blk.")) std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  return layer;
}

// The first and last eighth of the layers and every third between them.
bool in_medium_half(int64_t layer, int64_t n_layers) {
  return layer < n_layers / 8 || layer >= 7 * n_layers / 8 || (layer - n_layers / 8) % 3 == 2;
}

DType mixed_dtype(const QuantTarget& target, const TensorRole& role) {
  const bool is_value = role.name.ends_with("attn_v.weight"), is_down = role.name.ends_with("ffn_down.weight");
  const int64_t layer = layer_of(role.name);
  if (layer < 0 || (!is_value && !is_down)) return target.dtype;
  if (target.mix == QuantMix::kMedium && in_medium_half(layer, role.n_layers)) return DType::kQ6_K;
  if (target.mix == QuantMix::kSmall && layer < (is_value ? 4 : role.n_layers / 8)) return DType::kQ5_K;
  return target.dtype;
}

// For rows that are no multiple of 256.
DType with_blocks_of_32(DType dtype) {
  switch (dtype) {
    case DType::kQ2_K:
    case DType::kQ3_K:
    case DType::kIQ4_XS: return DType::kIQ4_NL;
    case DType::kQ4_K: return DType::kQ5_0;
    case DType::kQ5_K: return DType::kQ5_1;
    case DType::kQ6_K: return DType::kQ8_0;
    default: return dtype;
  }
}

}  // namespace

std::span<const QuantTarget> quant_targets() { return kTargets; }

const QuantTarget* find_quant_target(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const auto it = std::find_if(std::begin(kTargets), std::end(kTargets), [&](const QuantTarget& target) { return target.name == upper; });
  return it != std::end(kTargets) ? &*it : nullptr;
}

DType choose_dtype(const QuantTarget& target, const TensorRole& role, DType source) {
  if (role.shape.size() < 2 || !role.name.ends_with(".weight") || role.name.ends_with("_norm.weight")) return DType::kF32;
  if (ends_with_any(role.name, {"position_embd.weight", "token_types.weight"})) return source;
  if (is_float(target.dtype)) return target.dtype;
  const bool is_output = role.name == "output.weight" || (role.name == "token_embd.weight" && !role.has_output);
  DType dtype = is_output && target.dtype != DType::kQ8_0 ? DType::kQ6_K : mixed_dtype(target, role);
  const int64_t n = role.shape.back();
  if (n % dtype_info(dtype).block != 0) dtype = with_blocks_of_32(dtype);
  return n % dtype_info(dtype).block == 0 ? dtype : DType::kF16;
}

}  // namespace hanlin
