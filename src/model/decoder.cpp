#include "model/decoder.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/arch/registry.h"
#include "model/weights.h"

namespace hanlin {

// Rotary tables and cache ranges of a batch, made once and used by every layer.
struct Decoder::LayerInput {
  std::vector<TokenRange> ranges;
  std::vector<TensorView> cos, sin;  // per RopeSpec [T, n_rot/2]
};

namespace {

// The rows of `x` whose logits are wanted, one after the other.
TensorView gather_logit_rows(Context& ctx, const Batch& batch, TensorView x) {
  TensorView rows = ctx.arena.matrix(batch.n_logits(), x.cols);
  int64_t out = 0, end = 0;
  for (const Chunk& chunk : batch.chunks) {
    end += chunk.n_tokens;
    for (int64_t row = end - chunk.n_logits; row < end; ++row) std::copy_n(x.row(row), x.cols, rows.row(out++));
  }
  return rows;
}

// Which rows are precise; nothing where none is. `n_rows`: those of a chunk that count, n_tokens or n_logits.
std::span<const uint8_t> precise_rows(Context& ctx, const Batch& batch, int Chunk::* n_rows) {
  if (std::none_of(batch.chunks.begin(), batch.chunks.end(), [](const Chunk& chunk) { return chunk.precise; })) return {};
  int64_t n = 0;
  for (const Chunk& chunk : batch.chunks) n += chunk.*n_rows;
  uint8_t* const rows = ctx.arena.allocate(static_cast<size_t>(n));
  uint8_t* out = rows;
  for (const Chunk& chunk : batch.chunks) out = std::fill_n(out, chunk.*n_rows, chunk.precise);
  return {rows, static_cast<size_t>(n)};
}

void append_rows(TensorView x, std::vector<float>& out) {
  for (int64_t row = 0; row < x.rows; ++row) out.insert(out.end(), x.row(row), x.row(row) + x.cols);
}

}  // namespace

Result<std::unique_ptr<Decoder>> Decoder::load(std::shared_ptr<const ModelFiles> files, const ModelSpec& spec, const Architecture& architecture,
                                               std::shared_ptr<Backend> backend, WeightMaker& maker, const DecoderOptions& options) {
  std::unique_ptr<Decoder> decoder(new Decoder);
  decoder->files_ = std::move(files);
  decoder->backend_ = std::move(backend);
  decoder->spec_ = spec;
  decoder->options_ = options;
  for (const RopeSpec& rope : spec.ropes) decoder->ropes_.emplace_back(rope);
  HANLIN_TRY(decoder->load_weights(architecture, maker));
  decoder->files_->drop_resident();
  return decoder;
}

Status Decoder::load_weights(const Architecture& architecture, WeightMaker& maker) {
  const bool gguf = files_->gguf() != nullptr;
  const DecoderNames& names = gguf ? *architecture.decoder_gguf : *architecture.decoder_hf;
  std::string prefix;
  if (!gguf) {
    constexpr std::string_view kPrefixes[] = {"model.", ""};
    HANLIN_ASSIGN(prefix, find_prefix(*files_, kPrefixes, std::string(names.token_embedding) + ".weight"));
  }
  const WeightReader reader(*files_, maker, prefix);
  // The output matrix stands beside the model in Hugging Face files.
  const WeightReader root(*files_, maker, "");

  const int64_t d = spec_.d_model, q_width = spec_.n_heads * spec_.head_dim, kv_width = spec_.n_kv_heads * spec_.head_dim;
  const float eps = spec_.norm_eps, offset = spec_.norm_offset;
  HANLIN_ASSIGN(embedding_, reader.table(std::string(names.token_embedding), spec_.vocab_size, d));
  HANLIN_ASSIGN(output_norm_, reader.norm(std::string(names.output_norm), d, eps, true, offset));
  // Without an output matrix the embedding serves as one (tied weights).
  const std::string output_name(names.output);
  if (root.has(output_name + ".weight")) {
    HANLIN_ASSIGN(output_, root.linear(output_name, spec_.vocab_size, d));
  } else {
    HANLIN_ASSIGN(output_, reader.linear(std::string(names.token_embedding), spec_.vocab_size, d));
  }
  weight_bytes_ = output_.bytes();
  for (int64_t i = 0; i < spec_.n_layers; ++i) {
    Layer layer;
    const auto name = [&](std::string_view pattern) { return layer_name(pattern, i); };
    HANLIN_ASSIGN(layer.attention_norm, reader.norm(name(names.attention_norm), d, eps, true, offset));
    HANLIN_ASSIGN(layer.q, reader.linear(name(names.q), q_width, d));
    HANLIN_ASSIGN(layer.k, reader.linear(name(names.k), kv_width, d));
    HANLIN_ASSIGN(layer.v, reader.linear(name(names.v), kv_width, d));
    HANLIN_ASSIGN(layer.o, reader.linear(name(names.o), d, q_width));
    if (spec_.qk_norm) {
      HANLIN_ASSIGN(layer.q_norm, reader.norm(name(names.q_norm), spec_.head_dim, eps, true, offset));
      HANLIN_ASSIGN(layer.k_norm, reader.norm(name(names.k_norm), spec_.head_dim, eps, true, offset));
    }
    if (spec_.post_norms) {
      HANLIN_ASSIGN(layer.post_attention_norm, reader.norm(name(names.post_attention_norm), d, eps, true, offset));
      HANLIN_ASSIGN(layer.post_mlp_norm, reader.norm(name(names.post_mlp_norm), d, eps, true, offset));
    }
    HANLIN_ASSIGN(layer.mlp_norm, reader.norm(name(names.mlp_norm), d, eps, true, offset));
    HANLIN_ASSIGN(layer.gate, reader.linear(name(names.gate), spec_.d_ff, d));
    HANLIN_ASSIGN(layer.up, reader.linear(name(names.up), spec_.d_ff, d));
    HANLIN_ASSIGN(layer.down, reader.linear(name(names.down), d, spec_.d_ff));
    for (const Linear* linear : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) weight_bytes_ += linear->bytes();
    set_key_shift(layer, i);
    layers_.push_back(std::move(layer));
  }
  return {};
}

// Scores of a query that differ by the same number for all keys have the same softmax, so any vector may be subtracted from all keys.
// Qwen2.5's key biases reach 200 in components that RoPE hardly turns, beside values of a few units: what is left without them
// is stored several times more exactly.
void Decoder::set_key_shift(Layer& layer, int64_t layer_idx) {
  constexpr int64_t kPositions = 4096;  // most keys stand before that
  if (layer.k.bias.empty() || options_.kv_dtype == KvDType::kF32 || spec_.qk_norm || spec_.attention_softcap > 0 || spec_.rope_of_layer.empty()) return;
  const RopeSpec& rope = spec_.ropes[static_cast<size_t>(spec_.rope_of_layer[static_cast<size_t>(layer_idx)])];
  layer.key_shift = mean_rotated_bias(layer.k.bias, spec_.head_dim, rope, spec_.rope_neox, std::min(kPositions, spec_.context_length));
  for (float& x : layer.key_shift) x = -x;
}

bool Decoder::allocate_kv(int64_t n_blocks) {
  cache_.reset();
  auto cache = backend_->make_kv_cache(kv_shape(), n_blocks);
  if (!cache.ok()) return false;
  cache_ = std::move(*cache);
  n_blocks_used_ = 0;
  return true;
}

// A system that must get memory from its host gives it out at a few hundred MB/s.
bool Decoder::prepare_memory() {
  constexpr int64_t kAheadBytes = int64_t{256} << 20;
  if (cache_ == nullptr) return false;
  const int64_t end = std::min(cache_->n_blocks(), n_blocks_used_ + kAheadBytes / kv_block_bytes());
  return backend_->back_blocks(*cache_, end, size_t{4} << 20);
}

TensorView Decoder::embed(Context& ctx, const Batch& batch) const {
  TensorView x = ctx.arena.matrix(static_cast<int64_t>(batch.tokens.size()), spec_.d_model);
  for (int64_t row = 0; row < x.rows; ++row) {
    read_table_row(embedding_, batch.tokens[static_cast<size_t>(row)], x.row(row));
    if (spec_.embedding_scale != 1.0f) {
      for (int64_t i = 0; i < x.cols; ++i) x.row(row)[i] *= spec_.embedding_scale;
    }
  }
  return x;
}

// Attention of one layer up to (not including) the output projection: x [T, D] → [T, H·E].
TensorView Decoder::attention(Context& ctx, const LayerInput& input, int64_t layer_idx, TensorView x) {
  const Layer& layer = layers_[static_cast<size_t>(layer_idx)];
  TensorView qkv[3];
  const Linear* const projections[] = {&layer.q, &layer.k, &layer.v};
  linear(ctx, normalise(ctx, x, layer.attention_norm), projections, qkv);
  const auto [q, k, v] = qkv;
  if (spec_.qk_norm) {
    normalise_in_place(ctx, q, layer.q_norm);
    normalise_in_place(ctx, k, layer.k_norm);
  }
  const auto rope = static_cast<size_t>(spec_.rope_of_layer[static_cast<size_t>(layer_idx)]);
  const int64_t n_rot = ropes_[rope].n_rot();
  backend_->rope(q, spec_.head_dim, n_rot, input.cos[rope].data, input.sin[rope].data, spec_.rope_neox);
  backend_->rope(k, spec_.head_dim, n_rot, input.cos[rope].data, input.sin[rope].data, spec_.rope_neox);
  if (!layer.key_shift.empty()) backend_->add_to_rows(k, layer.key_shift.data());
  backend_->kv_write(*cache_, layer_idx, k, v, input.ranges);
  TensorView out = ctx.arena.matrix(q.rows, q.cols);
  const AttentionSpec spec{spec_.n_heads, spec_.n_kv_heads, spec_.head_dim, spec_.windows[static_cast<size_t>(layer_idx)], spec_.attention_scale,
                           spec_.attention_softcap};
  backend_->attention(*cache_, layer_idx, q, input.ranges, spec, out);
  return out;
}

TensorView Decoder::mlp(Context& ctx, const Layer& layer, TensorView x) {
  TensorView gate_up[2];
  const Linear* const projections[] = {&layer.gate, &layer.up};
  linear(ctx, normalise(ctx, x, layer.mlp_norm), projections, gate_up);
  return linear(ctx, gated(ctx, spec_.activation, gate_up[0], gate_up[1]), layer.down);
}

std::span<const float> Decoder::forward(const Batch& batch) { return forward(batch, Taps{}); }

std::span<const float> Decoder::forward(const Batch& batch, const Taps& taps) {
  HANLIN_CHECK(cache_ != nullptr, "forward: allocate_kv comes first");
  arena_.reset();
  Context ctx{*backend_, arena_};
  const auto n_tokens = static_cast<int64_t>(batch.tokens.size());
  LayerInput input;
  for (const RopeTable& rope : ropes_) {
    input.cos.push_back(arena_.matrix(n_tokens, rope.n_rot() / 2));
    input.sin.push_back(arena_.matrix(n_tokens, rope.n_rot() / 2));
  }
  int64_t begin = 0;
  for (const Chunk& chunk : batch.chunks) {
    input.ranges.push_back({begin, chunk.n_tokens, chunk.first_position, chunk.blocks});
    // Earlier blocks of the table were written, and counted, before.
    for (const int32_t block : chunk.blocks.subspan(static_cast<size_t>(chunk.first_position / kKvBlockTokens))) {
      n_blocks_used_ = std::max<int64_t>(n_blocks_used_, block + 1);
    }
    for (size_t i = 0; i < ropes_.size(); ++i) {
      ropes_[i].fill(chunk.first_position, chunk.n_tokens, chunk.rope_length, input.cos[i].row(begin), input.sin[i].row(begin));
    }
    begin += chunk.n_tokens;
  }
  HANLIN_CHECK(begin == n_tokens, "forward: chunks and tokens disagree");
  backend_->back_blocks(*cache_, n_blocks_used_, std::numeric_limits<size_t>::max());

  const bool all_rows = taps.hidden != nullptr || taps.layer_out != nullptr;
  bool gathered = false;
  TensorView x = embed(ctx, batch);
  ctx.precise_rows = precise_rows(ctx, batch, &Chunk::n_tokens);
  for (int64_t i = 0; i < spec_.n_layers; ++i) {
    const auto mark = arena_.mark();
    const Layer& layer = layers_[static_cast<size_t>(i)];
    TensorView mixed = attention(ctx, input, i, x);
    // After the last attention only rows with wanted logits matter.
    if (i + 1 == spec_.n_layers && !all_rows) {
      mixed = gather_logit_rows(ctx, batch, mixed);
      x = gather_logit_rows(ctx, batch, x);
      ctx.precise_rows = precise_rows(ctx, batch, &Chunk::n_logits);
      gathered = true;
      if (x.rows == 0) return {};
    }
    TensorView attended = linear(ctx, mixed, layer.o);
    if (spec_.post_norms) normalise_in_place(ctx, attended, layer.post_attention_norm);
    backend_->add(x, attended);
    TensorView transformed = mlp(ctx, layer, x);
    if (spec_.post_norms) normalise_in_place(ctx, transformed, layer.post_mlp_norm);
    backend_->add(x, transformed);
    if (taps.layer_out != nullptr) append_rows(x, taps.layer_out->emplace_back());
    if (!gathered) arena_.rewind(mark);
  }
  TensorView hidden = normalise(ctx, x, output_norm_);
  if (taps.hidden != nullptr) append_rows(hidden, *taps.hidden);
  if (!gathered) hidden = gather_logit_rows(ctx, batch, hidden);
  if (hidden.rows == 0) return {};
  // Few rows pass through the output matrix, and its errors reach the probabilities directly.
  uint8_t* const all = arena_.allocate(static_cast<size_t>(hidden.rows));
  std::fill_n(all, hidden.rows, uint8_t{1});
  ctx.precise_rows = {all, static_cast<size_t>(hidden.rows)};
  TensorView logits = linear(ctx, hidden, output_);
  if (spec_.logit_softcap > 0) {
    for (int64_t i = 0; i < logits.rows * logits.cols; ++i) logits.data[i] = spec_.logit_softcap * std::tanh(logits.data[i] / spec_.logit_softcap);
  }
  return {logits.data, static_cast<size_t>(logits.rows * logits.cols)};
}

}  // namespace hanlin
