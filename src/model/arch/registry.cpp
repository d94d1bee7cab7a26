#include "model/arch/registry.h"

#include <fmt/format.h>

#include "base/json.h"

namespace hanlin {
namespace {

constexpr DecoderNames kLlamaHf = {
    .token_embedding = "embed_tokens", .output_norm = "norm", .output = "lm_head",
    .attention_norm = "layers.{}.input_layernorm", .q = "layers.{}.self_attn.q_proj", .k = "layers.{}.self_attn.k_proj",
    .v = "layers.{}.self_attn.v_proj", .o = "layers.{}.self_attn.o_proj", .q_norm = "layers.{}.self_attn.q_norm",
    .k_norm = "layers.{}.self_attn.k_norm", .post_attention_norm = "",
    .mlp_norm = "layers.{}.post_attention_layernorm", .gate = "layers.{}.mlp.gate_proj", .up = "layers.{}.mlp.up_proj",
    .down = "layers.{}.mlp.down_proj", .post_mlp_norm = ""};
constexpr DecoderNames kGemmaHf = {
    .token_embedding = "embed_tokens", .output_norm = "norm", .output = "lm_head",
    .attention_norm = "layers.{}.input_layernorm", .q = "layers.{}.self_attn.q_proj", .k = "layers.{}.self_attn.k_proj",
    .v = "layers.{}.self_attn.v_proj", .o = "layers.{}.self_attn.o_proj", .q_norm = "layers.{}.self_attn.q_norm",
    .k_norm = "layers.{}.self_attn.k_norm", .post_attention_norm = "layers.{}.post_attention_layernorm",
    .mlp_norm = "layers.{}.pre_feedforward_layernorm", .gate = "layers.{}.mlp.gate_proj", .up = "layers.{}.mlp.up_proj",
    .down = "layers.{}.mlp.down_proj", .post_mlp_norm = "layers.{}.post_feedforward_layernorm"};
constexpr DecoderNames kDecoderGguf = {
    .token_embedding = "token_embd", .output_norm = "output_norm", .output = "output",
    .attention_norm = "blk.{}.attn_norm", .q = "blk.{}.attn_q", .k = "blk.{}.attn_k", .v = "blk.{}.attn_v",
    .o = "blk.{}.attn_output", .q_norm = "blk.{}.attn_q_norm", .k_norm = "blk.{}.attn_k_norm",
    .post_attention_norm = "blk.{}.post_attention_norm",
    .mlp_norm = "blk.{}.ffn_norm", .gate = "blk.{}.ffn_gate", .up = "blk.{}.ffn_up", .down = "blk.{}.ffn_down",
    .post_mlp_norm = "blk.{}.post_ffw_norm"};

constexpr EncoderNames kBertHf = {
    .token_embedding = "embeddings.word_embeddings", .position_embedding = "embeddings.position_embeddings",
    .type_embedding = "embeddings.token_type_embeddings", .embedding_norm = "embeddings.LayerNorm",
    .attention_norm = "encoder.layer.{}.attention.output.LayerNorm", .q = "encoder.layer.{}.attention.self.query",
    .k = "encoder.layer.{}.attention.self.key", .v = "encoder.layer.{}.attention.self.value", .qkv = "",
    .o = "encoder.layer.{}.attention.output.dense",
    .mlp_norm = "encoder.layer.{}.output.LayerNorm", .up = "encoder.layer.{}.intermediate.dense", .gate_up = "",
    .down = "encoder.layer.{}.output.dense", .final_norm = "",
    .head_dense = "pooler.dense", .head_norm = "", .head_out = "classifier"};
constexpr EncoderNames kRobertaHf = [] {
  EncoderNames names = kBertHf;
  names.head_dense = "classifier.dense";
  names.head_out = "classifier.out_proj";
  return names;
}();
constexpr EncoderNames kModernBertHf = {
    .token_embedding = "embeddings.tok_embeddings", .position_embedding = "", .type_embedding = "", .embedding_norm = "embeddings.norm",
    .attention_norm = "layers.{}.attn_norm", .q = "", .k = "", .v = "", .qkv = "layers.{}.attn.Wqkv", .o = "layers.{}.attn.Wo",
    .mlp_norm = "layers.{}.mlp_norm", .up = "", .gate_up = "layers.{}.mlp.Wi", .down = "layers.{}.mlp.Wo",
    .final_norm = "final_norm",
    .head_dense = "head.dense", .head_norm = "head.norm", .head_out = "classifier"};
constexpr EncoderNames kBertGguf = {
    .token_embedding = "token_embd", .position_embedding = "position_embd", .type_embedding = "token_types", .embedding_norm = "token_embd_norm",
    .attention_norm = "blk.{}.attn_output_norm", .q = "blk.{}.attn_q", .k = "blk.{}.attn_k", .v = "blk.{}.attn_v", .qkv = "blk.{}.attn_qkv",
    .o = "blk.{}.attn_output",
    .mlp_norm = "blk.{}.layer_output_norm", .up = "blk.{}.ffn_up", .gate_up = "", .down = "blk.{}.ffn_down", .final_norm = "",
    .head_dense = "cls", .head_norm = "", .head_out = "cls.output"};

constexpr Architecture kArchitectures[] = {
    {"llama", ModelKind::kDecoder, "llama", "llama", read_hf_llama, read_gguf_llama, &kLlamaHf, &kDecoderGguf, nullptr, nullptr},
    {"mistral", ModelKind::kDecoder, "mistral", "", read_hf_llama, read_gguf_llama, &kLlamaHf, &kDecoderGguf, nullptr, nullptr},
    {"qwen2", ModelKind::kDecoder, "qwen2", "qwen2", read_hf_qwen, read_gguf_qwen, &kLlamaHf, &kDecoderGguf, nullptr, nullptr},
    {"qwen3", ModelKind::kDecoder, "qwen3", "qwen3", read_hf_qwen, read_gguf_qwen, &kLlamaHf, &kDecoderGguf, nullptr, nullptr},
    {"gemma3", ModelKind::kDecoder, "gemma3_text", "gemma3", read_hf_gemma3, read_gguf_gemma3, &kGemmaHf, &kDecoderGguf, nullptr, nullptr},
    {"bert", ModelKind::kEncoder, "bert", "bert", read_hf_bert, read_gguf_bert, nullptr, nullptr, &kBertHf, &kBertGguf},
    {"xlm-roberta", ModelKind::kEncoder, "xlm-roberta", "", read_hf_roberta, nullptr, nullptr, nullptr, &kRobertaHf, nullptr},
    {"roberta", ModelKind::kEncoder, "roberta", "", read_hf_roberta, nullptr, nullptr, nullptr, &kRobertaHf, nullptr},
    {"modernbert", ModelKind::kEncoder, "modernbert", "", read_hf_modernbert, nullptr, nullptr, nullptr, &kModernBertHf, nullptr},
};

std::string known_names() {
  std::string names;
  for (const Architecture& row : kArchitectures) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

// What every spec must satisfy before memory is sized by it.
Status check_spec(const ModelSpec& spec, const std::string& where) {
  const auto bad = [&](const std::string& what) { return Status(Error{Code::kCorrupt, fmt::format("{}: {}", where, what)}); };
  if (spec.n_heads % spec.n_kv_heads != 0) {
    return bad(fmt::format("expected the number of heads to be a multiple of the kv heads, got {} and {}", spec.n_heads, spec.n_kv_heads));
  }
  if (spec.head_dim % 2 != 0) return bad(fmt::format("expected an even head size, got {}", spec.head_dim));
  for (const RopeSpec& rope : spec.ropes) {
    if (rope.n_rot <= 0 || rope.n_rot > spec.head_dim || rope.n_rot % 2 != 0) {
      return bad(fmt::format("expected an even number of rotated values up to the head size {}, got {}", spec.head_dim, rope.n_rot));
    }
    if (!(rope.base > 0) || !(rope.factor > 0)) return bad("expected a positive rotary base and factor");
    if (!rope.frequency_factors.empty() && static_cast<int64_t>(rope.frequency_factors.size()) != rope.n_rot / 2) {
      return bad(fmt::format("expected {} rotary frequency factors, got {}", rope.n_rot / 2, rope.frequency_factors.size()));
    }
  }
  if (!(spec.norm_eps >= 0)) return bad("expected a norm epsilon >= 0");
  return {};
}

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

Result<IdentifiedModel> identify_model(const ModelFiles& files) {
  const bool gguf = files.gguf() != nullptr;
  std::string type;
  if (gguf) {
    HANLIN_ASSIGN(type, files.gguf()->require_string("general.architecture"));
  } else {
    ConfigReader config(*files.config(), files.path() + "/config.json");
    type = config.get_string("model_type", "");
    HANLIN_TRY(config.status());
  }
  for (const Architecture& row : kArchitectures) {
    if (type.empty() || type != (gguf ? row.gguf_name : row.hf_type)) continue;
    IdentifiedModel model;
    model.architecture = &row;
    model.spec.architecture = row.name;
    model.spec.kind = row.kind;
    ConfigReader config = gguf ? ConfigReader(*files.gguf(), type + ".") : ConfigReader(*files.config(), files.path() + "/config.json");
    (gguf ? row.read_gguf : row.read_hf)(config, files, model.spec);
    HANLIN_TRY(config.status());
    if (gguf) model.spec.name = files.gguf()->get_string("general.name").value_or("");
    HANLIN_TRY(check_spec(model.spec, config.where()));
    return model;
  }
  return Error{Code::kUnsupported, fmt::format("{}: expected one of the architectures {}; got '{}'", files.path(), known_names(), type)};
}

}  // namespace hanlin
