#include "model/encoder.h"

#include <algorithm>
#include <cmath>

#include "model/arch/registry.h"
#include "model/weights.h"
#include "tensor/unit_length.h"

namespace hanlin {

Result<std::unique_ptr<Encoder>> Encoder::load(std::shared_ptr<const ModelFiles> files, const ModelSpec& spec, const Architecture& architecture,
                                               std::shared_ptr<Backend> backend, WeightMaker& maker) {
  std::unique_ptr<Encoder> encoder(new Encoder);
  encoder->files_ = std::move(files);
  encoder->backend_ = std::move(backend);
  encoder->spec_ = spec;
  for (const RopeSpec& rope : spec.ropes) encoder->ropes_.emplace_back(rope);
  HANLIN_TRY(encoder->load_weights(architecture, maker));
  encoder->files_->drop_resident();
  return encoder;
}

Status Encoder::load_weights(const Architecture& architecture, WeightMaker& maker) {
  const bool gguf = files_->gguf() != nullptr;
  const EncoderNames& names = gguf ? *architecture.encoder_gguf : *architecture.encoder_hf;
  std::string prefix;
  if (!gguf) {
    constexpr std::string_view kPrefixes[] = {"", "bert.", "roberta.", "model."};
    HANLIN_ASSIGN(prefix, find_prefix(*files_, kPrefixes, std::string(names.token_embedding) + ".weight"));
  }
  const WeightReader reader(*files_, maker, prefix);
  const int64_t d = spec_.d_model;
  HANLIN_ASSIGN(token_embedding_, reader.table(std::string(names.token_embedding), spec_.vocab_size, d));
  if (spec_.n_positions > 0) {
    HANLIN_ASSIGN(position_embedding_, reader.vector(prefix + std::string(names.position_embedding) + ".weight", spec_.n_positions * d));
  }
  if (spec_.n_token_types > 0) {
    HANLIN_ASSIGN(type_embedding_, reader.vector(prefix + std::string(names.type_embedding) + ".weight", spec_.n_token_types * d));
  }
  HANLIN_ASSIGN(embedding_norm_, reader.norm(std::string(names.embedding_norm), d, spec_.norm_eps, false));
  if (!names.final_norm.empty()) {
    HANLIN_ASSIGN(final_norm_, reader.norm(std::string(names.final_norm), d, spec_.norm_eps, false));
  }
  for (int64_t i = 0; i < spec_.n_layers; ++i) {
    Layer layer;
    const auto name = [&](std::string_view pattern) { return layer_name(pattern, i); };
    // ModernBERT's first layer reads the embedding norm's output as it is.
    if (!spec_.pre_norm || i > 0 || reader.has(name(names.attention_norm) + ".weight")) {
      HANLIN_ASSIGN(layer.attention_norm, reader.norm(name(names.attention_norm), d, spec_.norm_eps, false));
    }
    HANLIN_ASSIGN(layer.mlp_norm, reader.norm(name(names.mlp_norm), d, spec_.norm_eps, false));
    if (!names.qkv.empty() && reader.has(name(names.qkv) + ".weight")) {
      HANLIN_ASSIGN(layer.q, reader.linear(name(names.qkv), d, d, 0, 3 * d));
      HANLIN_ASSIGN(layer.k, reader.linear(name(names.qkv), d, d, d, 3 * d));
      HANLIN_ASSIGN(layer.v, reader.linear(name(names.qkv), d, d, 2 * d, 3 * d));
    } else {
      HANLIN_ASSIGN(layer.q, reader.linear(name(names.q), d, d));
      HANLIN_ASSIGN(layer.k, reader.linear(name(names.k), d, d));
      HANLIN_ASSIGN(layer.v, reader.linear(name(names.v), d, d));
    }
    HANLIN_ASSIGN(layer.o, reader.linear(name(names.o), d, d));
    if (spec_.gated_mlp) {
      // The first half goes through the activation, the second is the gate.
      HANLIN_ASSIGN(layer.gate, reader.linear(name(names.gate_up), spec_.d_ff, d, 0, 2 * spec_.d_ff));
      HANLIN_ASSIGN(layer.up, reader.linear(name(names.gate_up), spec_.d_ff, d, spec_.d_ff, 2 * spec_.d_ff));
    } else {
      HANLIN_ASSIGN(layer.up, reader.linear(name(names.up), spec_.d_ff, d));
    }
    HANLIN_ASSIGN(layer.down, reader.linear(name(names.down), d, spec_.d_ff));
    for (const Linear* linear : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) weight_bytes_ += linear->bytes();
    layers_.push_back(std::move(layer));
  }
  weight_bytes_ += (position_embedding_.size() + type_embedding_.size()) * sizeof(float);
  return spec_.head == EncoderHead::kNone ? Status() : load_head(architecture, prefix, maker);
}

Status Encoder::load_head(const Architecture& architecture, const std::string& prefix, WeightMaker& maker) {
  const EncoderNames& names = files_->gguf() != nullptr ? *architecture.encoder_gguf : *architecture.encoder_hf;
  const int64_t d = spec_.d_model;
  // BERT keeps its pooler inside the model; the others keep their heads beside it.
  const auto reader_for = [&](std::string_view name) {
    const bool inside = files_->find(prefix + std::string(name) + ".weight") != nullptr;
    return WeightReader(*files_, maker, inside ? prefix : "");
  };
  HANLIN_ASSIGN(head_dense_, reader_for(names.head_dense).linear(std::string(names.head_dense), d, d));
  if (spec_.head == EncoderHead::kModernBert) {
    HANLIN_ASSIGN(head_norm_, reader_for(names.head_norm).norm(std::string(names.head_norm), d, spec_.norm_eps, false));
  }
  const StoredTensor* out = files_->find(std::string(names.head_out) + ".weight");
  if (out == nullptr || out->shape.empty()) {
    return Error{Code::kCorrupt, files_->path() + ": expected the classifier's weight '" + std::string(names.head_out) + ".weight', which is missing"};
  }
  spec_.n_labels = out->shape[0];
  HANLIN_ASSIGN(head_out_, reader_for(names.head_out).linear(std::string(names.head_out), spec_.n_labels, d));
  return {};
}

TensorView Encoder::embed(Context& ctx, std::span<const Input> inputs) {
  ranges_.clear();
  int64_t n_tokens = 0;
  for (const Input& input : inputs) {
    const auto n = static_cast<int64_t>(input.ids.size());
    HANLIN_CHECK(n > 0 && n <= spec_.context_length, "encode: a text must have 1 to context_length tokens");
    ranges_.push_back({n_tokens, n, 0, {}});
    n_tokens += n;
  }
  TensorView x = ctx.arena.matrix(n_tokens, spec_.d_model);
  const int64_t d = spec_.d_model;
  for (size_t s = 0; s < inputs.size(); ++s) {
    for (int64_t i = 0; i < ranges_[s].n; ++i) {
      float* row = x.row(ranges_[s].begin + i);
      read_table_row(token_embedding_, inputs[s].ids[static_cast<size_t>(i)], row);
      if (!type_embedding_.empty()) {
        const int64_t type = inputs[s].type_ids.empty() ? 0 : inputs[s].type_ids[static_cast<size_t>(i)];
        HANLIN_CHECK(type >= 0 && type < spec_.n_token_types, "encode: token type outside the table");
        for (int64_t c = 0; c < d; ++c) row[c] += type_embedding_[static_cast<size_t>(type * d + c)];
      }
      if (!position_embedding_.empty()) {
        const float* position = position_embedding_.data() + (i + spec_.position_offset) * d;
        for (int64_t c = 0; c < d; ++c) row[c] += position[c];
      }
    }
  }
  normalise_in_place(ctx, x, embedding_norm_);
  cos_.clear();
  sin_.clear();
  for (RopeTable& rope : ropes_) {
    cos_.push_back(ctx.arena.matrix(n_tokens, rope.n_rot() / 2));
    sin_.push_back(ctx.arena.matrix(n_tokens, rope.n_rot() / 2));
    for (const TokenRange& range : ranges_) rope.fill(0, range.n, range.n, cos_.back().row(range.begin), sin_.back().row(range.begin));
  }
  return x;
}

TensorView Encoder::attention(Context& ctx, const Layer& layer, int64_t layer_idx, TensorView x) {
  TensorView qkv[3];
  const Linear* const projections[] = {&layer.q, &layer.k, &layer.v};
  linear(ctx, x, projections, qkv);
  if (!ropes_.empty()) {
    const auto rope = static_cast<size_t>(spec_.rope_of_layer[static_cast<size_t>(layer_idx)]);
    for (TensorView heads : {qkv[0], qkv[1]}) {
      backend_->rope(heads, spec_.head_dim, ropes_[rope].n_rot(), cos_[rope].data, sin_[rope].data, spec_.rope_neox);
    }
  }
  TensorView mixed = ctx.arena.matrix(x.rows, x.cols);
  const AttentionSpec spec{spec_.n_heads, spec_.n_kv_heads, spec_.head_dim, spec_.windows[static_cast<size_t>(layer_idx)], spec_.attention_scale, 0.0f};
  backend_->encoder_attention(qkv[0], qkv[1], qkv[2], ranges_, spec, mixed);
  return linear(ctx, mixed, layer.o);
}

TensorView Encoder::mlp(Context& ctx, const Layer& layer, TensorView x) {
  if (!spec_.gated_mlp) return linear(ctx, gated(ctx, spec_.activation, linear(ctx, x, layer.up)), layer.down);
  TensorView gate_up[2];
  const Linear* const projections[] = {&layer.gate, &layer.up};
  linear(ctx, x, projections, gate_up);
  return linear(ctx, gated(ctx, spec_.activation, gate_up[0], gate_up[1]), layer.down);
}

TensorView Encoder::encode(std::span<const Input> inputs) {
  arena_.reset();
  Context ctx{*backend_, arena_};
  TensorView x = embed(ctx, inputs);
  for (int64_t i = 0; i < spec_.n_layers; ++i) {
    const auto mark = arena_.mark();
    const Layer& layer = layers_[static_cast<size_t>(i)];
    if (spec_.pre_norm) {
      backend_->add(x, attention(ctx, layer, i, layer.attention_norm.weight.empty() ? x : normalise(ctx, x, layer.attention_norm)));
      backend_->add(x, mlp(ctx, layer, normalise(ctx, x, layer.mlp_norm)));
    } else {
      backend_->add(x, attention(ctx, layer, i, x));
      normalise_in_place(ctx, x, layer.attention_norm);
      backend_->add(x, mlp(ctx, layer, x));
      normalise_in_place(ctx, x, layer.mlp_norm);
    }
    arena_.rewind(mark);
  }
  if (!final_norm_.weight.empty()) normalise_in_place(ctx, x, final_norm_);
  return x;
}

TensorView Encoder::pool(TensorView hidden, Pooling pooling, bool normalise) {
  TensorView out = arena_.matrix(static_cast<int64_t>(ranges_.size()), hidden.cols);
  std::vector<double> sum(static_cast<size_t>(hidden.cols));
  for (int64_t s = 0; s < out.rows; ++s) {
    const TokenRange& range = ranges_[static_cast<size_t>(s)];
    float* row = out.row(s);
    if (pooling == Pooling::kMean) {
      std::fill(sum.begin(), sum.end(), 0.0);
      for (int64_t i = 0; i < range.n; ++i) {
        for (int64_t c = 0; c < hidden.cols; ++c) sum[static_cast<size_t>(c)] += hidden.row(range.begin + i)[c];
      }
      for (int64_t c = 0; c < hidden.cols; ++c) row[c] = static_cast<float>(sum[static_cast<size_t>(c)] / static_cast<double>(range.n));
    } else {
      std::copy_n(hidden.row(range.begin + (pooling == Pooling::kLast ? range.n - 1 : 0)), hidden.cols, row);
    }
    if (normalise) to_unit_length({row, static_cast<size_t>(hidden.cols)});
  }
  return out;
}

TensorView Encoder::scores(TensorView hidden) {
  HANLIN_CHECK(spec_.head != EncoderHead::kNone, "scores: this model has no head");
  Context ctx{*backend_, arena_};
  TensorView x = linear(ctx, pool(hidden, spec_.head_pooling, false), head_dense_);
  if (spec_.head == EncoderHead::kTanh) {
    for (int64_t i = 0; i < x.rows * x.cols; ++i) x.data[i] = std::tanh(x.data[i]);
  } else {
    x = gated(ctx, spec_.activation, x);
    normalise_in_place(ctx, x, head_norm_);
  }
  return linear(ctx, x, head_out_);
}

}  // namespace hanlin
