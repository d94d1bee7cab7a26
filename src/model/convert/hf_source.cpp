// A Hugging Face directory as GGUF: names by the architecture's two tables, metadata from its ModelSpec.
// Keys: "GGUF" specification (docs/gguf.md of ggml-org/ggml) and llama.cpp's src/llama-arch.cpp.
#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <numbers>
#include <unordered_set>

#include "base/json.h"
#include "model/arch/registry.h"
#include "model/convert/hf_tokenizer.h"
#include "model/convert/source.h"
#include "model/weights.h"

namespace hanlin {
namespace {

constexpr int64_t kGemmaPattern = 6;  // every sixth layer sees everything unless the file says otherwise

class HfSource {
 public:
  HfSource(const ModelFiles& files, const IdentifiedModel& model)
      : files_(files), spec_(model.spec), row_(*model.architecture),
        gguf_name_(row_.gguf_name.empty() ? "llama" : std::string(row_.gguf_name)) {}

  Result<ConvertSource> read();

 private:
  Error unsupported(const std::string& what) const {
    return Error{Code::kUnsupported, fmt::format("{}: {}, which GGUF files of {} cannot express", files_.path(), what, gguf_name_)};
  }
  Status check_expressible() const;
  Status add_tensors(ConvertSource& source);
  void add(ConvertSource& source, const std::string& hf, const std::string& gguf, bool is_norm, int64_t n_heads);
  void add_layer(ConvertSource& source, int64_t layer);
  void add_rope_factors(ConvertSource& source) const;
  Status check_all_used() const;
  void write_spec(GgufWriter& writer) const;
  void write_rope(GgufWriter& writer, const std::string& prefix) const;
  bool is_gemma() const { return row_.name == "gemma3"; }

  const ModelFiles& files_;
  ModelSpec spec_;
  const Architecture& row_;
  std::string gguf_name_, prefix_;
  std::unordered_set<std::string> used_;
};

// What the file must be able to say; everything else would be a model that computes something else.
Status HfSource::check_expressible() const {
  const RopeSpec& rope = spec_.ropes[0];
  if (rope.scaling == RopeScaling::kDynamic) return unsupported("dynamic rotary scaling");
  if (rope.scaling == RopeScaling::kYarn && !rope.truncate) return unsupported("YaRN without rounding");
  if (gguf_name_ == "llama" && rope.n_rot != spec_.head_dim) return unsupported("heads that are rotated in part");
  if (spec_.attention_softcap != 0) return unsupported("capped attention scores");
  const double usual_scale = 1.0 / std::sqrt(static_cast<double>(spec_.head_dim));
  const double wide_scale = 1.0 / std::sqrt(static_cast<double>(spec_.d_model) / static_cast<double>(spec_.n_heads));
  const double scale = is_gemma() && spec_.n_layers == 62 ? wide_scale : usual_scale;
  if (std::fabs(spec_.attention_scale - scale) > 1e-6 * scale) return unsupported(fmt::format("the attention scale {}", spec_.attention_scale));
  if (is_gemma() && (spec_.ropes[1].scaling != RopeScaling::kNone || rope.scaling == RopeScaling::kLlama3)) {
    return unsupported("this rotary scaling");
  }
  for (size_t i = 0; i < spec_.windows.size(); ++i) {
    const bool sliding = spec_.windows[i] != 0;
    const bool full_by_pattern = (static_cast<int64_t>(i) + 1) % kGemmaPattern == 0;
    if (is_gemma() ? sliding == full_by_pattern : sliding && row_.name != "mistral") {
      return unsupported(fmt::format("the pattern of sliding windows (layer {})", i));
    }
  }
  const Activation expected = is_gemma() ? Activation::kGeluTanh : Activation::kSilu;
  if (spec_.activation != expected) return unsupported("the activation");
  return {};
}

// Adds hf.weight and hf.bias under their new names, if the model has them. n_heads > 0: rows are to be interleaved.
void HfSource::add(ConvertSource& source, const std::string& hf, const std::string& gguf, bool is_norm, int64_t n_heads) {
  for (const char* part : {".weight", ".bias"}) {
    const StoredTensor* stored = files_.find(hf + part);
    if (stored == nullptr) continue;
    used_.insert(stored->name);
    SourceTensor tensor{gguf + part, *stored};
    if (is_norm && spec_.norm_offset == 1.0f) tensor.change = TensorChange::kAddOne;
    if (n_heads > 0 && gguf_name_ == "llama") {
      tensor.change = TensorChange::kInterleaveHeads;
      tensor.head_rows = stored->shape[0] / n_heads;
    }
    source.tensors.push_back(std::move(tensor));
  }
}

void HfSource::add_layer(ConvertSource& source, int64_t layer) {
  const DecoderNames &hf = *row_.decoder_hf, &gguf = *row_.decoder_gguf;
  const auto one = [&](std::string_view from, std::string_view to, bool is_norm = false, int64_t n_heads = 0) {
    if (!from.empty() && !to.empty()) add(source, prefix_ + layer_name(from, layer), layer_name(to, layer), is_norm, n_heads);
  };
  one(hf.attention_norm, gguf.attention_norm, true);
  one(hf.q, gguf.q, false, spec_.n_heads);
  one(hf.k, gguf.k, false, spec_.n_kv_heads);
  one(hf.v, gguf.v);
  one(hf.o, gguf.o);
  one(hf.q_norm, gguf.q_norm, true);
  one(hf.k_norm, gguf.k_norm, true);
  one(hf.post_attention_norm, gguf.post_attention_norm, true);
  one(hf.mlp_norm, gguf.mlp_norm, true);
  one(hf.gate, gguf.gate);
  one(hf.up, gguf.up);
  one(hf.down, gguf.down);
  one(hf.post_mlp_norm, gguf.post_mlp_norm, true);
}

Status HfSource::add_tensors(ConvertSource& source) {
  const DecoderNames &hf = *row_.decoder_hf, &gguf = *row_.decoder_gguf;
  constexpr std::string_view kPrefixes[] = {"model.", "", "model.language_model.", "language_model.model."};
  HANLIN_ASSIGN(prefix_, find_prefix(files_, kPrefixes, std::string(hf.token_embedding) + ".weight"));
  add(source, prefix_ + std::string(hf.token_embedding), std::string(gguf.token_embedding), false, 0);
  add_rope_factors(source);
  for (int64_t layer = 0; layer < spec_.n_layers; ++layer) add_layer(source, layer);
  add(source, prefix_ + std::string(hf.output_norm), std::string(gguf.output_norm), true, 0);
  // Tied models may store the output matrix all the same; it equals the embedding.
  ConfigReader config(*files_.config(), files_.path() + "/config.json");
  const bool tied = config.get_bool("tie_word_embeddings", is_gemma());
  HANLIN_TRY(config.status());
  const std::string output(hf.output);
  for (const std::string& name : {output, prefix_ + output}) {
    if (tied) used_.insert(name + ".weight");
    else add(source, name, std::string(gguf.output), false, 0);
  }
  // Shapes decide how rows are interleaved and who is whose bias; everything else is checked when the file is loaded.
  for (const SourceTensor& tensor : source.tensors) {
    const std::vector<int64_t>& shape = tensor.stored.shape;
    if (shape.empty() || shape.size() > 2 || tensor.stored.n_values() == 0) {
      return Error{Code::kCorrupt, fmt::format("{}: tensor {}: expected one or two dimensions, got [{}]", files_.path(), tensor.stored.name,
                                               fmt::join(shape, ", "))};
    }
    if (tensor.change == TensorChange::kInterleaveHeads && (tensor.head_rows != spec_.head_dim || shape[0] % spec_.head_dim != 0)) {
      return Error{Code::kCorrupt, fmt::format("{}: tensor {}: expected heads of {} rows, got [{}]", files_.path(), tensor.stored.name,
                                               spec_.head_dim, fmt::join(shape, ", "))};
    }
  }
  return check_all_used();
}

// A tensor that is left behind would silently change the model.
Status HfSource::check_all_used() const {
  for (const StoredTensor* tensor : files_.tensors()) {
    const std::string& name = tensor->name;
    const bool elsewhere = !prefix_.empty() && !name.starts_with(prefix_);  // a vision tower beside the language model
    if (elsewhere || used_.contains(name) || name.ends_with("rotary_emb.inv_freq")) continue;
    return unsupported(fmt::format("tensor {}", name));
  }
  return {};
}

// Llama 3.1's frequency bands, written as one divisor per frequency (rope_freqs.weight). Wavelengths short against the
// original context stay, long ones are stretched by the factor, those between are blended.
void HfSource::add_rope_factors(ConvertSource& source) const {
  const RopeSpec& rope = spec_.ropes[0];
  if (rope.scaling != RopeScaling::kLlama3) return;
  auto factors = std::make_shared<std::vector<float>>();
  const auto context = static_cast<double>(rope.original_context);
  for (int64_t i = 0; i < rope.n_rot / 2; ++i) {
    const double frequency = std::pow(rope.base, -2.0 * static_cast<double>(i) / static_cast<double>(rope.n_rot));
    const double wavelength = 2 * std::numbers::pi / frequency;
    double factor = 1;
    if (wavelength > context / rope.low_freq_factor) {
      factor = rope.factor;
    } else if (wavelength >= context / rope.high_freq_factor) {
      const double blend = (context / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
      factor = 1 / ((1 - blend) / rope.factor + blend);
    }
    factors->push_back(static_cast<float>(factor));
  }
  const StoredTensor stored{"rope_freqs.weight", DType::kF32, {static_cast<int64_t>(factors->size())},
                            reinterpret_cast<const uint8_t*>(factors->data()), factors->size() * sizeof(float)};
  source.tensors.push_back({stored.name, stored});
  source.computed.push_back(std::move(factors));
}

void HfSource::write_rope(GgufWriter& writer, const std::string& prefix) const {
  const RopeSpec& rope = spec_.ropes[0];
  writer.set_u32(prefix + "rope.dimension_count", static_cast<uint32_t>(rope.n_rot));
  writer.set_f32(prefix + "rope.freq_base", static_cast<float>(rope.base));
  if (spec_.ropes.size() > 1) writer.set_f32(prefix + "rope.freq_base_swa", static_cast<float>(spec_.ropes[1].base));
  if (rope.scaling != RopeScaling::kLinear && rope.scaling != RopeScaling::kYarn) return;
  writer.set_string(prefix + "rope.scaling.type", rope.scaling == RopeScaling::kLinear ? "linear" : "yarn");
  writer.set_f32(prefix + "rope.scaling.factor", static_cast<float>(rope.factor));
  if (rope.scaling == RopeScaling::kLinear) return;
  writer.set_u32(prefix + "rope.scaling.original_context_length", static_cast<uint32_t>(rope.original_context));
  writer.set_f32(prefix + "rope.scaling.yarn_beta_fast", static_cast<float>(rope.beta_fast));
  writer.set_f32(prefix + "rope.scaling.yarn_beta_slow", static_cast<float>(rope.beta_slow));
  if (rope.attention_factor != 0) {  // the key multiplies YaRN's own factor
    writer.set_f32(prefix + "rope.scaling.attn_factor", static_cast<float>(rope.attention_factor / (0.1 * std::log(rope.factor) + 1.0)));
  }
}

void HfSource::write_spec(GgufWriter& writer) const {
  const std::string prefix = gguf_name_ + ".";
  const auto set = [&](const char* key, int64_t value) { writer.set_u32(prefix + key, static_cast<uint32_t>(value)); };
  set("block_count", spec_.n_layers);
  set("context_length", spec_.context_length);
  set("embedding_length", spec_.d_model);
  set("feed_forward_length", spec_.d_ff);
  set("attention.head_count", spec_.n_heads);
  set("attention.head_count_kv", spec_.n_kv_heads);
  set("attention.key_length", spec_.head_dim);
  set("attention.value_length", spec_.head_dim);
  set("vocab_size", spec_.vocab_size);
  writer.set_f32(prefix + "attention.layer_norm_rms_epsilon", spec_.norm_eps);
  const int64_t window = spec_.windows.empty() ? 0 : spec_.windows[0];
  if (window > 0 && window <= UINT32_MAX) set("attention.sliding_window", window);
  if (spec_.logit_softcap != 0) writer.set_f32(prefix + "final_logit_softcapping", spec_.logit_softcap);
  write_rope(writer, prefix);
}

Result<ConvertSource> HfSource::read() {
  HANLIN_TRY(check_expressible());
  ConvertSource source;
  source.architecture = gguf_name_;
  source.n_layers = spec_.n_layers;
  HANLIN_TRY(add_tensors(source));
  HANLIN_ASSIGN(auto tokenizer, read_hf_tokenizer(files_.path(), *files_.config(), spec_.vocab_size));
  source.has_tokenizer = tokenizer.has_value();
  std::string name = std::filesystem::path(files_.path()).lexically_normal().filename().string();
  if (name.empty()) name = std::filesystem::path(files_.path()).lexically_normal().parent_path().filename().string();
  source.write_metadata = [self = *this, name, tokenizer = std::move(tokenizer)](GgufWriter& writer) {
    writer.set_string("general.architecture", self.gguf_name_);
    writer.set_string("general.type", "model");
    writer.set_string("general.name", name);
    self.write_spec(writer);
    if (tokenizer) write_tokenizer(*tokenizer, writer);
    else writer.set_string("tokenizer.ggml.model", "none");
  };
  return source;
}

}  // namespace

Result<ConvertSource> read_hf_source(std::shared_ptr<const ModelFiles> files) {
  HANLIN_ASSIGN(const IdentifiedModel model, identify_model(*files));
  if (model.architecture->kind != ModelKind::kDecoder || model.architecture->decoder_gguf == nullptr) {
    return Error{Code::kUnsupported, fmt::format("{}: expected a decoder (llama, mistral, qwen2, qwen3, gemma3), got {}", files->path(),
                                                 model.architecture->name)};
  }
  HANLIN_ASSIGN(ConvertSource source, HfSource(*files, model).read());
  source.files = std::move(files);
  return source;
}

}  // namespace hanlin
