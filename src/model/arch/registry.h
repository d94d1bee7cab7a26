// The architectures Hanlin knows: one row each, in the table of registry.cpp.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "model/config_reader.h"
#include "model/files.h"
#include "model/spec.h"

namespace hanlin {

// Names of a decoder's tensors without ".weight" or ".bias"; {} stands for the layer. Empty: the family has none.
struct DecoderNames {
  std::string_view token_embedding, output_norm, output;
  std::string_view attention_norm, q, k, v, o, q_norm, k_norm, post_attention_norm;
  std::string_view mlp_norm, gate, up, down, post_mlp_norm;
};

// The same for encoders. `qkv` and `gate_up` are fused matrices where the family has them.
struct EncoderNames {
  std::string_view token_embedding, position_embedding, type_embedding, embedding_norm;
  std::string_view attention_norm, q, k, v, qkv, o;  // BERT: the norm stands after the residual
  std::string_view mlp_norm, up, gate_up, down;
  std::string_view final_norm;
  std::string_view head_dense, head_norm, head_out;  // with the model's prefix or without
};

struct Architecture {
  std::string_view name;
  ModelKind kind;
  std::string_view hf_type;    // config.json's model_type
  std::string_view gguf_name;  // general.architecture; empty: not written as GGUF under a name of its own
  void (*read_hf)(ConfigReader& config, const ModelFiles& files, ModelSpec& spec);
  void (*read_gguf)(ConfigReader& config, const ModelFiles& files, ModelSpec& spec);
  const DecoderNames* decoder_hf;
  const DecoderNames* decoder_gguf;
  const EncoderNames* encoder_hf;
  const EncoderNames* encoder_gguf;
};

std::span<const Architecture> architectures();

// A model's spec with the row it came from.
struct IdentifiedModel {
  ModelSpec spec;
  const Architecture* architecture = nullptr;
};
// Reads and checks the configuration. Errors: kUnsupported naming the architecture and those we know; kCorrupt for values
// that make no sense.
Result<IdentifiedModel> identify_model(const ModelFiles& files);

// --- pieces that several architectures use
// Dimensions, norm epsilon, activation, one rotary table, sliding windows from the keys Hugging Face uses.
void read_hf_decoder(ConfigReader& config, ModelSpec& spec);
// The same from GGUF keys.
void read_gguf_decoder(ConfigReader& config, const ModelFiles& files, ModelSpec& spec);
// A rotary description from `parameters` (rope_scaling or rope_parameters; may be null).
RopeSpec read_hf_rope(ConfigReader& config, const Json* parameters, double base, int64_t head_dim, int64_t max_positions);
Activation read_activation(ConfigReader& config, const std::string& name);

// The rows' functions, by file.
void read_hf_llama(ConfigReader&, const ModelFiles&, ModelSpec&);
void read_gguf_llama(ConfigReader&, const ModelFiles&, ModelSpec&);
void read_hf_qwen(ConfigReader&, const ModelFiles&, ModelSpec&);
void read_gguf_qwen(ConfigReader&, const ModelFiles&, ModelSpec&);
void read_hf_gemma3(ConfigReader&, const ModelFiles&, ModelSpec&);
void read_gguf_gemma3(ConfigReader&, const ModelFiles&, ModelSpec&);
void read_hf_bert(ConfigReader&, const ModelFiles&, ModelSpec&);
void read_hf_roberta(ConfigReader&, const ModelFiles&, ModelSpec&);
void read_gguf_bert(ConfigReader&, const ModelFiles&, ModelSpec&);
void read_hf_modernbert(ConfigReader&, const ModelFiles&, ModelSpec&);

}  // namespace hanlin
