// BERT and its relatives: BERT, (XLM-)RoBERTa, ModernBERT; plain encoders, embedders and classifiers.
// Devlin et al. 2019; Liu et al. 2019; Conneau et al. 2020; Warner et al. 2024, "Smarter, Better, Faster, Longer".
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "model/arch/registry.h"

namespace hanlin {
namespace {

void read_hf_encoder(ConfigReader& config, const ModelFiles& files, ModelSpec& spec) {
  spec.n_layers = config.require_int("num_hidden_layers", 1, 1024);
  spec.d_model = config.require_int("hidden_size", 1, 1 << 20);
  spec.d_ff = config.require_int("intermediate_size", 1, 1 << 22);
  spec.n_heads = config.require_int("num_attention_heads", 1, 4096);
  spec.n_kv_heads = spec.n_heads;
  spec.vocab_size = config.require_int("vocab_size", 1, 1 << 24);
  spec.context_length = config.require_int("max_position_embeddings", 1, 1 << 28);
  if (!config.status().ok()) return;
  if (spec.d_model % spec.n_heads != 0) config.fail("expected hidden_size to be a multiple of num_attention_heads");
  spec.head_dim = spec.d_model / spec.n_heads;
  spec.attention_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec.head_dim)));
  spec.windows.assign(static_cast<size_t>(spec.n_layers), 0);
  const std::vector<std::string> classes = config.get_strings("architectures");
  const bool classifier = std::any_of(classes.begin(), classes.end(), [](const std::string& name) { return name.find("SequenceClassification") != std::string::npos; });
  if (classifier) spec.head = EncoderHead::kTanh;

  // sentence-transformers' side files say how a text becomes one vector.
  if (const auto pooling = files.side_file("1_Pooling/config.json"); pooling && pooling->is_object()) {
    ConfigReader reader(*pooling, files.path() + "/1_Pooling/config.json");
    if (reader.get_bool("pooling_mode_cls_token", false)) spec.pooling = Pooling::kCls;
    else if (reader.get_bool("pooling_mode_mean_tokens", false)) spec.pooling = Pooling::kMean;
    else if (reader.get_bool("pooling_mode_lasttoken", false)) spec.pooling = Pooling::kLast;
    else reader.fail(Error{Code::kUnsupported, reader.where() + ": expected cls, mean or last-token pooling"});
    if (auto status = reader.status(); !status.ok()) config.fail(status.error());
  }
  if (const auto modules = files.side_file("modules.json"); modules && modules->is_array()) {
    for (const Json& module : *modules) {
      const auto type = module.is_object() ? module.find("type") : module.end();
      if (module.is_object() && type != module.end() && type->is_string() && type->get<std::string>().find("Normalize") != std::string::npos) {
        spec.normalise_embedding = true;
      }
    }
  }
  if (const auto sentence = files.side_file("sentence_bert_config.json"); sentence && sentence->is_object()) {
    ConfigReader reader(*sentence, files.path() + "/sentence_bert_config.json");
    spec.max_embed_tokens = reader.get_int("max_seq_length", 0, 0, 1 << 28);
    if (auto status = reader.status(); !status.ok()) config.fail(status.error());
  }
}

}  // namespace

void read_hf_bert(ConfigReader& config, const ModelFiles& files, ModelSpec& spec) {
  read_hf_encoder(config, files, spec);
  spec.norm_eps = static_cast<float>(config.get_float("layer_norm_eps", 1e-12));
  spec.activation = read_activation(config, config.get_string("hidden_act", "gelu"));
  spec.n_positions = spec.context_length;
  spec.n_token_types = config.get_int("type_vocab_size", 2, 0, 1024);
  if (const std::string kind = config.get_string("position_embedding_type", "absolute"); kind != "absolute") {
    config.fail(Error{Code::kUnsupported, fmt::format("{}: expected absolute position embeddings, got '{}'", config.where(), kind)});
  }
}

void read_hf_roberta(ConfigReader& config, const ModelFiles& files, ModelSpec& spec) {
  read_hf_bert(config, files, spec);
  // Positions are counted from the padding id upwards; the table's first rows belong to padding.
  spec.position_offset = config.get_int("pad_token_id", 1, 0, 1 << 20) + 1;
  spec.context_length = std::max<int64_t>(1, spec.n_positions - spec.position_offset);
}

void read_gguf_bert(ConfigReader& config, const ModelFiles& files, ModelSpec& spec) {
  spec.n_layers = config.require_int("block_count", 1, 1024);
  spec.d_model = config.require_int("embedding_length", 1, 1 << 20);
  spec.d_ff = config.require_int("feed_forward_length", 1, 1 << 22);
  spec.n_heads = config.require_int("attention.head_count", 1, 4096);
  spec.n_kv_heads = spec.n_heads;
  spec.context_length = config.require_int("context_length", 1, 1 << 28);
  spec.norm_eps = static_cast<float>(config.get_float("attention.layer_norm_epsilon", 1e-12));
  spec.activation = Activation::kGeluErf;
  const StoredTensor* embedding = files.find("token_embd.weight");
  const StoredTensor* positions = files.find("position_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2) config.fail("expected a matrix 'token_embd.weight'");
  if (positions == nullptr || positions->shape.size() != 2) config.fail("expected a matrix 'position_embd.weight'");
  if (!config.status().ok()) return;
  if (spec.d_model % spec.n_heads != 0) config.fail("expected embedding_length to be a multiple of attention.head_count");
  spec.vocab_size = embedding->shape[0];
  spec.n_positions = positions->shape[0];
  spec.context_length = std::min(spec.context_length, spec.n_positions);
  const StoredTensor* types = files.find("token_types.weight");
  spec.n_token_types = types == nullptr ? 0 : types->shape[0];
  spec.head_dim = spec.d_model / spec.n_heads;
  spec.attention_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec.head_dim)));
  spec.windows.assign(static_cast<size_t>(spec.n_layers), 0);
  // The format's numbers: 0 none, 1 mean, 2 cls, 3 last, 4 rank (a classifier that scores pairs).
  switch (config.get_int("pooling_type", 0, 0, 4)) {
    case 1: spec.pooling = Pooling::kMean; break;
    case 2: spec.pooling = Pooling::kCls; break;
    case 3: spec.pooling = Pooling::kLast; break;
    case 4: spec.head = EncoderHead::kTanh; break;
    default: break;
  }
  spec.normalise_embedding = true;
}

void read_hf_modernbert(ConfigReader& config, const ModelFiles& files, ModelSpec& spec) {
  read_hf_encoder(config, files, spec);
  if (!config.status().ok()) return;
  if (spec.head != EncoderHead::kNone) spec.head = EncoderHead::kModernBert;
  spec.pre_norm = true;
  spec.gated_mlp = true;
  spec.norm_eps = static_cast<float>(config.get_float("norm_eps", 1e-5));
  spec.activation = read_activation(config, config.get_string("hidden_activation", "gelu"));
  const std::string head_pooling = config.get_string("classifier_pooling", "cls");
  spec.head_pooling = head_pooling == "mean" ? Pooling::kMean : Pooling::kCls;
  const int64_t every = config.get_int("global_attn_every_n_layers", 3, 1, 1024);
  const int64_t local = config.get_int("local_attention", 128, 1, 1 << 28);
  const std::vector<std::string> types = config.get_strings("layer_types");
  if (!types.empty() && static_cast<int64_t>(types.size()) != spec.n_layers) config.fail("expected 'layer_types' to name every layer");
  double global_base = config.get_float("global_rope_theta", 160000.0), local_base = config.get_float("local_rope_theta", 10000.0);
  const Json* full = nullptr;
  const Json* sliding = nullptr;
  if (const Json* both = config.object("rope_parameters"); both != nullptr) {
    ConfigReader by_type(*both, config.where() + " (rope_parameters)");
    full = by_type.object("full_attention");
    sliding = by_type.object("sliding_attention");
  }
  spec.ropes = {read_hf_rope(config, full, global_base, spec.head_dim, spec.context_length),
                read_hf_rope(config, sliding, local_base, spec.head_dim, spec.context_length)};
  if (!config.status().ok()) return;
  for (int64_t i = 0; i < spec.n_layers; ++i) {
    const bool is_full = types.empty() ? i % every == 0 : types[static_cast<size_t>(i)] == "full_attention";
    spec.windows[static_cast<size_t>(i)] = is_full ? 0 : local / 2;
    spec.rope_of_layer.push_back(is_full ? 0 : 1);
  }
}

}  // namespace hanlin
