#include "engine/local_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <numeric>

#include "tensor/unit_length.h"

namespace hanlin::engine {
namespace {

float cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return static_cast<float>(dot / std::max(std::sqrt(aa * bb), 1e-24));
}

}  // namespace

Result<std::shared_ptr<LocalEncoder>> LocalEncoder::create(LoadedModel model, std::shared_ptr<const Tokenizer> tokenizer, LocalEncoderOptions options) {
  HANLIN_CHECK(model.encoder != nullptr, "LocalEncoder needs an encoder");
  const ModelSpec& spec = model.spec;
  if (spec.head != EncoderHead::kNone && spec.n_labels != 1) {
    return Error{Code::kUnsupported, fmt::format("{}: expected an embedding model or a reranker with one score, got a classifier of {} labels", model.files->path(), spec.n_labels)};
  }
  std::shared_ptr<LocalEncoder> self(new LocalEncoder);
  self->info_.model = {options.name, model.files->path(), spec.architecture, spec.context_length, spec.vocab_size, model.files->n_parameters(), false, std::time(nullptr)};
  self->info_.dimensions = spec.d_model;
  self->info_.max_tokens = spec.context_length;
  if (spec.max_embed_tokens > 0) self->info_.max_tokens = std::min(self->info_.max_tokens, spec.max_embed_tokens);
  self->encoder_ = std::move(model.encoder);
  self->tokenizer_ = std::move(tokenizer);
  self->options_ = std::move(options);
  return self;
}

Status LocalEncoder::fit(std::vector<int32_t>& ids, std::vector<int32_t>* type_ids, bool truncate, const std::string& what) const {
  const auto length = static_cast<int64_t>(ids.size()), limit = info_.max_tokens;
  if (length == 0) return Error{Code::kInvalidArgument, fmt::format("{}: expected at least one token, got none", what), what};
  for (int32_t id : ids) {
    if (id < 0 || id >= encoder_->spec().vocab_size) {
      return Error{Code::kInvalidArgument, fmt::format("{}: expected token ids in [0, {}), got {}", what, encoder_->spec().vocab_size, id), what};
    }
  }
  if (length <= limit) return {};
  if (!truncate) {
    return Error{Code::kInvalidArgument, fmt::format("{}: {} tokens, but the model takes {}: {} too many", what, length, limit, length - limit), what};
  }
  const int32_t last = ids.back();
  ids.resize(static_cast<size_t>(limit));
  ids.back() = last;
  if (type_ids != nullptr && !type_ids->empty()) {
    const int32_t last_type = type_ids->back();
    type_ids->resize(ids.size());
    type_ids->back() = last_type;
  }
  return {};
}

template <typename Compute, typename Use>
void LocalEncoder::run_grouped(const std::vector<Encoder::Input>& inputs, const Compute& compute, const Use& use) {
  std::vector<size_t> order(inputs.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return inputs[a].ids.size() > inputs[b].ids.size(); });
  for (size_t begin = 0; begin < order.size();) {
    std::vector<Encoder::Input> group;
    size_t n_tokens = 0, end = begin;
    while (end < order.size() && (group.empty() || n_tokens + inputs[order[end]].ids.size() <= static_cast<size_t>(options_.max_step_tokens))) {
      n_tokens += inputs[order[end]].ids.size();
      group.push_back(inputs[order[end++]]);
    }
    const std::lock_guard lock(mutex_);
    const TensorView rows = compute(encoder_->encode(group));
    for (size_t i = begin; i < end; ++i) use(order[i], rows.row(static_cast<int64_t>(i - begin)), rows.cols);
    begin = end;
  }
}

Result<api::EmbedResult> LocalEncoder::embed(const api::EmbedRequest& request) {
  if (!can_embed()) return Error{Code::kInvalidArgument, fmt::format("model '{}' scores pairs of texts; it does not embed", options_.name), "model"};
  if (request.dimensions < 0 || request.dimensions > info_.dimensions) {
    return Error{Code::kInvalidArgument, fmt::format("dimensions: expected 1 to {}, got {}", info_.dimensions, request.dimensions), "dimensions"};
  }
  api::EmbedResult result;
  std::vector<std::vector<int32_t>> ids(request.inputs.size());
  std::vector<Encoder::Input> inputs;
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto& input = request.inputs[i];
    ids[i] = std::holds_alternative<std::string>(input) ? tokenizer_->encode(std::get<std::string>(input), {true, false}) : std::get<std::vector<int32_t>>(input);
    HANLIN_TRY(fit(ids[i], nullptr, request.truncate, "input"));
    result.prompt_tokens += static_cast<int64_t>(ids[i].size());
    inputs.push_back({ids[i], {}});
  }
  const ModelSpec& spec = encoder_->spec();
  const Pooling pooling = spec.pooling == Pooling::kNone ? Pooling::kMean : spec.pooling;
  result.vectors.resize(inputs.size());
  run_grouped(
      inputs, [&](TensorView hidden) { return encoder_->pool(hidden, pooling, spec.normalise_embedding); },
      [&](size_t text, const float* row, int64_t n) { result.vectors[text].assign(row, row + n); });
  if (request.dimensions > 0 && request.dimensions < info_.dimensions) {
    // Kusupati et al. 2022, "Matryoshka Representation Learning": the first values, with unit length again.
    for (auto& vector : result.vectors) {
      vector.resize(static_cast<size_t>(request.dimensions));
      to_unit_length(vector);
    }
  }
  return result;
}

Result<std::vector<int32_t>> LocalEncoder::tokenize(const std::string& text, bool add_special, bool parse_special) const {
  return tokenizer_->encode(text, {add_special, parse_special});
}

Result<std::string> LocalEncoder::detokenize(const std::vector<int32_t>& ids) const {
  for (int32_t id : ids) {
    if (id < 0 || id >= tokenizer_->vocab_size()) {
      return Error{Code::kInvalidArgument, fmt::format("tokens: expected ids in [0, {}), got {}", tokenizer_->vocab_size(), id), "tokens"};
    }
  }
  return tokenizer_->decode(ids);
}

Result<api::RerankResult> LocalEncoder::rerank(const api::RerankRequest& request) {
  api::RerankResult result;
  if (can_embed()) {
    api::EmbedRequest embed_request;
    embed_request.inputs.emplace_back(request.query);
    embed_request.inputs.insert(embed_request.inputs.end(), request.documents.begin(), request.documents.end());
    embed_request.truncate = request.truncate;
    HANLIN_ASSIGN(const api::EmbedResult embedded, embed(embed_request));
    for (size_t i = 1; i < embedded.vectors.size(); ++i) result.scores.push_back(cosine(embedded.vectors[0], embedded.vectors[i]));
    result.prompt_tokens = embedded.prompt_tokens;
    return result;
  }
  std::vector<EncodedPair> pairs;
  for (const std::string& document : request.documents) {
    pairs.push_back(tokenizer_->encode_pair(request.query, document));
    HANLIN_TRY(fit(pairs.back().ids, &pairs.back().type_ids, request.truncate, "documents"));
    if (encoder_->spec().n_token_types < 2) pairs.back().type_ids.clear();
    result.prompt_tokens += static_cast<int64_t>(pairs.back().ids.size());
  }
  std::vector<Encoder::Input> inputs;
  for (const EncodedPair& pair : pairs) inputs.push_back({pair.ids, pair.type_ids});
  result.scores.resize(pairs.size());
  run_grouped(
      inputs, [&](TensorView hidden) { return encoder_->scores(hidden); },
      [&](size_t text, const float* row, int64_t) { result.scores[text] = 1.0f / (1.0f + std::exp(-row[0])); });
  return result;
}

}  // namespace hanlin::engine
