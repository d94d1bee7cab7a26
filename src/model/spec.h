// What a model is, as plain data. Read from config.json or GGUF metadata by arch/*.cpp; the forward passes in decoder.cpp
// and encoder.cpp are driven by it alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace hanlin {

enum class ModelKind { kDecoder, kEncoder };

// How rotary angles grow with position. Tables: model/rope.h.
//   kLinear: positions divided by factor (Chen et al. 2023, "Extending Context Window via Positional Interpolation")
//   kDynamic: base grown with the length of the request ("NTK-aware" scaling)
//   kYarn: Peng et al. 2023, "YaRN: Efficient Context Window Extension"
//   kLlama3: frequency bands of Llama 3.1
enum class RopeScaling { kNone, kLinear, kDynamic, kYarn, kLlama3 };

struct RopeSpec {
  double base = 10000.0;
  int64_t n_rot = 0;  // rotated values of a head
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;
  int64_t original_context = 0;    // positions the model was first trained for
  double beta_fast = 32.0, beta_slow = 1.0;               // YaRN
  double attention_factor = 0.0;                          // YaRN: cos and sin are multiplied by it; 0: 0.1 ln(factor) + 1
  bool truncate = true;                                   // YaRN: ramp ends rounded to whole dimensions
  double low_freq_factor = 1.0, high_freq_factor = 4.0;   // Llama 3
  std::vector<float> frequency_factors = {};              // GGUF rope_freqs: each frequency is divided by its factor
};

enum class Pooling { kNone, kMean, kCls, kLast };
// What stands on top of an encoder: nothing; dense, tanh and a classifier on the first token (BERT, RoBERTa); dense,
// activation, norm and a classifier (ModernBERT).
enum class EncoderHead { kNone, kTanh, kModernBert };

struct ModelSpec {
  std::string architecture;  // registry name: "qwen2"
  std::string name;          // as the file calls itself; may be empty
  ModelKind kind = ModelKind::kDecoder;
  int64_t n_layers = 0, d_model = 0, d_ff = 0;
  int64_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
  int64_t vocab_size = 0;
  int64_t context_length = 0;
  float norm_eps = 1e-5f;
  float norm_offset = 0.0f;  // 1 where the file stores w of (1 + w)
  Activation activation = Activation::kSilu;
  float embedding_scale = 1.0f;
  float attention_scale = 0.0f;
  float attention_softcap = 0.0f, logit_softcap = 0.0f;
  bool qk_norm = false;     // an RMS norm on each query and key head (Qwen 3, Gemma 3)
  bool post_norms = false;  // norms after attention and MLP too (Gemma 3)
  bool rope_neox = true;    // pairs (i, i + n/2); GGUF llama files are stored for pairs (2i, 2i + 1)
  std::vector<int64_t> windows;    // [n_layers]; 0: full attention
  std::vector<int> rope_of_layer;  // [n_layers] index into ropes; empty: no rotary embedding
  std::vector<RopeSpec> ropes;

  // Encoders.
  int64_t n_positions = 0;       // rows of the learned position table; 0: none
  int64_t position_offset = 0;   // RoBERTa counts from pad id + 1
  int64_t n_token_types = 0;
  bool pre_norm = false;         // ModernBERT; BERT normalises after each residual
  bool gated_mlp = false;
  EncoderHead head = EncoderHead::kNone;
  int64_t n_labels = 0;
  Pooling head_pooling = Pooling::kCls;   // what the head reads
  Pooling pooling = Pooling::kNone;       // what an embedding is
  bool normalise_embedding = false;
  int64_t max_embed_tokens = 0;           // sentence-transformers' max_seq_length; 0: context_length
};

}  // namespace hanlin
