// Every tiny model of ../shared/oracles/models against the reference implementation's outputs, at every level this
// machine has: whole, in chunks, in mixed batches, with f32 and f16 caches, with f32 and default activations.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "formats/safetensors.h"
#include "kernels/table.h"
#include "model/loader.h"
#include "quant/quant.h"

namespace hanlin {
namespace {

namespace fs = std::filesystem;
const std::string kOracleModels = HANLIN_SOURCE_DIR "/../shared/oracles/models";

const std::vector<std::string> kDecoders = {"llama-mha", "llama-gqa-tied", "llama-mqa", "llama-bias", "llama-headdim", "llama-rope-linear", "llama-rope-dynamic",
                                 "llama-rope-yarn", "llama-rope-llama3", "mistral-window", "qwen2", "qwen2-window", "qwen3", "gemma3"};
const std::vector<std::string> kEncoders = {"bert", "bert-classifier", "bert-cross-encoder", "xlm-roberta-reranker", "modernbert"};

struct Tensor {
  std::vector<int64_t> shape;
  std::vector<double> values;
};
Tensor read(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor* stored = file.find(name);
  HANLIN_CHECK(stored != nullptr, "oracle without " + name);
  Tensor tensor{stored->shape, {}};
  for (int64_t i = 0; i < stored->n_values(); ++i) {
    if (stored->dtype == DType::kI64) {
      int64_t value;
      std::memcpy(&value, stored->data + i * 8, 8);
      tensor.values.push_back(static_cast<double>(value));
    } else {
      float value = 0;
      const int64_t size = dtype_info(stored->dtype).bytes;
      decode_row(stored->dtype, stored->data + i * size, 1, &value);
      tensor.values.push_back(value);
    }
  }
  return tensor;
}

std::vector<std::string> levels() {
  std::vector<std::string> names;
  for (auto isa : {kernels::Isa::kScalar, kernels::Isa::kAvx2, kernels::Isa::kAvx512, kernels::Isa::kAmx}) {
    if (kernels::isa_supported(isa)) names.push_back(kernels::isa_name(isa));
  }
  return names;
}

// Largest |a - b| over the largest |b|.
double relative_error(std::span<const float> a, std::span<const double> b) {
  EXPECT_EQ(a.size(), b.size());
  double difference = 0, largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference = std::max(difference, std::abs(static_cast<double>(a[i]) - b[i]));
    largest = std::max(largest, std::abs(b[i]));
    if (std::isnan(a[i])) return INFINITY;
  }
  return difference / largest;
}

// Block tables of S sequences of up to `max_tokens`, spread out so that neighbours in a sequence are not neighbours in memory.
std::vector<std::vector<int32_t>> block_tables(int64_t n_sequences, int64_t max_tokens) {
  const int64_t per_sequence = (max_tokens + kKvBlockTokens - 1) / kKvBlockTokens;
  std::vector<std::vector<int32_t>> tables(static_cast<size_t>(n_sequences));
  for (int64_t b = per_sequence - 1; b >= 0; --b) {
    for (int64_t s = 0; s < n_sequences; ++s) {
      auto& table = tables[static_cast<size_t>(s)];
      table.insert(table.begin(), static_cast<int32_t>((per_sequence - 1 - b) * n_sequences + s));
    }
  }
  return tables;
}

struct Outputs {
  std::vector<float> logits, hidden;  // [S, T, V], [S, T, D]
};

// Feeds S sequences of T ids in chunks of `chunk` tokens; with `stagger`, sequence s starts s steps later (mixed batches).
// `precise`: the sequence that is.
Outputs run(Decoder& decoder, const std::vector<std::vector<int32_t>>& ids, int64_t chunk, bool stagger, int64_t precise = -1) {
  const auto n_sequences = static_cast<int64_t>(ids.size()), length = static_cast<int64_t>(ids[0].size());
  const int64_t vocab = decoder.vocab_size(), width = decoder.spec().d_model;
  const auto tables = block_tables(n_sequences, length);
  EXPECT_TRUE(decoder.allocate_kv(n_sequences * static_cast<int64_t>(tables[0].size())));
  Outputs out{std::vector<float>(static_cast<size_t>(n_sequences * length * vocab)), std::vector<float>(static_cast<size_t>(n_sequences * length * width))};
  std::vector<int64_t> done(ids.size(), 0);
  for (int64_t step = 0; std::accumulate(done.begin(), done.end(), int64_t{0}) < n_sequences * length; ++step) {
    Batch batch;
    std::vector<std::pair<int64_t, int64_t>> rows;  // sequence, position
    for (int64_t s = 0; s < n_sequences; ++s) {
      const auto i = static_cast<size_t>(s);
      if (done[i] == length || (stagger && step < s)) continue;
      const int64_t n = std::min(chunk, length - done[i]);
      for (int64_t t = done[i]; t < done[i] + n; ++t) {
        batch.tokens.push_back(ids[i][static_cast<size_t>(t)]);
        rows.emplace_back(s, t);
      }
      batch.chunks.push_back({done[i], static_cast<int>(n), static_cast<int>(n), tables[i], length, s == precise});
      done[i] += n;
    }
    std::vector<float> hidden;
    Decoder::Taps taps;
    taps.hidden = &hidden;
    const auto logits = decoder.forward(batch, taps);
    for (size_t r = 0; r < rows.size(); ++r) {
      const auto offset = static_cast<size_t>(rows[r].first * length + rows[r].second);
      std::copy_n(logits.data() + r * static_cast<size_t>(vocab), vocab, out.logits.data() + offset * static_cast<size_t>(vocab));
      std::copy_n(hidden.data() + r * static_cast<size_t>(width), width, out.hidden.data() + offset * static_cast<size_t>(width));
    }
  }
  return out;
}

int32_t argmax(std::span<const float> row) { return static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin()); }

std::vector<int32_t> greedy(Decoder& decoder, std::vector<int32_t> ids, int64_t n) {
  const auto length = static_cast<int64_t>(ids.size());
  const auto table = block_tables(1, length + n)[0];
  EXPECT_TRUE(decoder.allocate_kv(static_cast<int64_t>(table.size())));
  std::vector<int32_t> out;
  int64_t done = 0;
  std::vector<int32_t> next = ids;
  while (static_cast<int64_t>(out.size()) < n) {
    Batch batch;
    batch.tokens = next;
    batch.chunks.push_back({done, static_cast<int>(next.size()), 1, table, length});
    done += static_cast<int64_t>(next.size());
    next = {argmax(decoder.forward(batch))};
    out.push_back(next[0]);
  }
  return out;
}

LoadedModel load(const std::string& name, const std::string& isa, Activations activations, KvDType kv, FloatWeights weights = FloatWeights::kStored) {
  LoadOptions options;
  options.backend = {2, isa, activations, weights};
  options.kv_dtype = kv;
  auto model = load_model(kOracleModels + "/" + name, options);
  HANLIN_CHECK(model.ok(), model.ok() ? "" : model.error().message);
  return std::move(*model);
}

class DecoderOracle : public ::testing::TestWithParam<std::string> {};

TEST_P(DecoderOracle, MatchesReference) {
  if (!fs::exists(kOracleModels)) GTEST_SKIP() << "no ../shared/oracles/models beside this checkout";
  const auto file = SafetensorsFile::open(kOracleModels + "/" + GetParam() + "/oracle.safetensors");
  ASSERT_TRUE(file.ok()) << file.error().message;
  const Tensor input = read(*file, "input_ids"), logits = read(*file, "logits"), hidden = read(*file, "hidden");
  std::vector<std::vector<int32_t>> ids;
  for (int64_t s = 0; s < input.shape[0]; ++s) {
    ids.emplace_back(input.values.begin() + s * input.shape[1], input.values.begin() + (s + 1) * input.shape[1]);
  }
  for (const std::string& isa : levels()) {
    SCOPED_TRACE(isa);
    for (const bool exact : {true, false}) {
      LoadedModel model = load(GetParam(), isa, exact ? Activations::kF32 : Activations::kAuto, exact ? KvDType::kF32 : KvDType::kF16);
      Decoder& decoder = *model.decoder;
      EXPECT_NE(decoder.backend().describe().find(isa), std::string::npos);
      const double bound = exact ? 1e-4 : 3e-2;
      double worst = 0;
      for (const int64_t chunk : {int64_t{1000}, int64_t{1}, int64_t{7}, int64_t{16}}) {
        const Outputs out = run(decoder, ids, chunk, chunk == 7);
        const double logit_error = relative_error(out.logits, logits.values);
        worst = std::max(worst, logit_error);
        EXPECT_LE(logit_error, bound) << "chunk " << chunk;
        EXPECT_LE(relative_error(out.hidden, hidden.values), bound) << "chunk " << chunk;
      }
      if (file->find("greedy") == nullptr) continue;
      const Tensor expected = read(*file, "greedy"), margin = read(*file, "greedy_margin");
      double largest = 0;
      for (double value : logits.values) largest = std::max(largest, std::abs(value));
      for (size_t s = 0; s < ids.size(); ++s) {
        const auto got = greedy(decoder, ids[s], expected.shape[1]);
        for (int64_t i = 0; i < expected.shape[1]; ++i) {
          const auto at = s * static_cast<size_t>(expected.shape[1]) + static_cast<size_t>(i);
          // With rounded activations a near tie may fall either way; the texts differ from there on.
          if (!exact && margin.values[at] <= 2 * worst * largest) break;
          ASSERT_EQ(got[static_cast<size_t>(i)], static_cast<int32_t>(expected.values[at])) << "sequence " << s << " token " << i;
        }
      }
    }
  }
}

TEST_P(DecoderOracle, LayerOutputsMatch) {
  if (!fs::exists(kOracleModels)) GTEST_SKIP() << "no ../shared/oracles/models beside this checkout";
  const auto file = SafetensorsFile::open(kOracleModels + "/" + GetParam() + "/oracle.safetensors");
  ASSERT_TRUE(file.ok());
  const Tensor input = read(*file, "input_ids");
  LoadedModel model = load(GetParam(), "auto", Activations::kF32, KvDType::kF32);
  const auto table = block_tables(1, input.shape[1])[0];
  ASSERT_TRUE(model.decoder->allocate_kv(static_cast<int64_t>(table.size())));
  Batch batch;
  batch.tokens.assign(input.values.begin(), input.values.begin() + input.shape[1]);
  batch.chunks.push_back({0, static_cast<int>(input.shape[1]), 0, table, input.shape[1]});
  std::vector<std::vector<float>> layers;
  Decoder::Taps taps;
  taps.layer_out = &layers;
  model.decoder->forward(batch, taps);
  ASSERT_EQ(static_cast<int64_t>(layers.size()), model.spec.n_layers);
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string name = "layer_out_" + std::to_string(i);
    if (file->find(name) == nullptr) continue;
    EXPECT_LE(relative_error(layers[i], read(*file, name).values), 1e-4) << name;
  }
}

// Not near but equal: what a request gets must not depend on how its prompt was cut or who shared its steps. Long enough
// that attention joins several spans of keys.
TEST_P(DecoderOracle, LogitsAreTheSameBitsInEveryChunking) {
  if (!fs::exists(kOracleModels)) GTEST_SKIP() << "no ../shared/oracles/models beside this checkout";
  for (const Activations activations : {Activations::kF32, Activations::kAuto}) {
    LoadedModel model = load(GetParam(), kernels::isa_name(kernels::best_isa()), activations, KvDType::kF16);
    Decoder& decoder = *model.decoder;
    const int64_t length = std::min<int64_t>(300, decoder.context_length());
    std::vector<std::vector<int32_t>> ids(2);
    for (int64_t t = 0; t < length; ++t) {
      for (int64_t s = 0; s < 2; ++s) ids[static_cast<size_t>(s)].push_back(static_cast<int32_t>((t * 7919 + s * 31 + t * t % 13) % decoder.vocab_size()));
    }
    const Outputs whole = run(decoder, ids, length, false);
    for (const int64_t chunk : {1, 41}) {
      const Outputs cut = run(decoder, ids, chunk, true);
      EXPECT_TRUE(whole.logits == cut.logits) << "chunks of " << chunk;
    }
  }
}

TEST_P(DecoderOracle, PreciseTextsAreNearF32AndLeaveOthersAlone) {
  if (!fs::exists(kOracleModels)) GTEST_SKIP() << "no ../shared/oracles/models beside this checkout";
  for (const std::string& isa : levels()) {
    LoadedModel exact = load(GetParam(), isa, Activations::kF32, KvDType::kF32, FloatWeights::kQ8_0), rounding = load(GetParam(), isa, Activations::kAuto, KvDType::kF32, FloatWeights::kQ8_0);
    std::vector<std::vector<int32_t>> ids(2);
    for (int64_t t = 0; t < 40; ++t) {
      for (int64_t s = 0; s < 2; ++s) ids[static_cast<size_t>(s)].push_back(static_cast<int32_t>((t * 7919 + s * 31 + 3) % exact.decoder->vocab_size()));
    }
    const std::vector<float> wanted = run(*exact.decoder, ids, 40, false).logits, plain = run(*rounding.decoder, ids, 40, false).logits,
                             mixed = run(*rounding.decoder, ids, 7, true, 1).logits;
    const auto of = [&](const std::vector<float>& logits, size_t sequence) { return std::span(logits).subspan(sequence * logits.size() / 2, logits.size() / 2); };
    EXPECT_TRUE(std::ranges::equal(of(plain, 0), of(mixed, 0))) << isa;
    const std::vector<double> reference(of(wanted, 1).begin(), of(wanted, 1).end());
    const double error = relative_error(of(plain, 1), reference), precise_error = relative_error(of(mixed, 1), reference);
    EXPECT_GT(error, 5e-5) << isa << ": nothing was rounded";
    // Some levels keep 15 bits in all products with 8-bit weights.
    EXPECT_LT(precise_error, 4e-4) << isa;
    EXPECT_TRUE(precise_error < error / 20 || error < 4e-4) << isa << ": " << precise_error << " beside " << error;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, DecoderOracle, ::testing::ValuesIn(kDecoders), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

class EncoderOracle : public ::testing::TestWithParam<std::string> {};

TEST_P(EncoderOracle, MatchesReference) {
  if (!fs::exists(kOracleModels)) GTEST_SKIP() << "no ../shared/oracles/models beside this checkout";
  const auto file = SafetensorsFile::open(kOracleModels + "/" + GetParam() + "/oracle.safetensors");
  ASSERT_TRUE(file.ok()) << file.error().message;
  const Tensor input = read(*file, "input_ids"), mask = read(*file, "attention_mask");
  const int64_t n_sequences = input.shape[0], length = input.shape[1];
  std::vector<std::vector<int32_t>> ids(static_cast<size_t>(n_sequences)), types(static_cast<size_t>(n_sequences));
  const bool has_types = file->find("token_type_ids") != nullptr;
  const Tensor type_ids = has_types ? read(*file, "token_type_ids") : Tensor{};
  for (int64_t s = 0; s < n_sequences; ++s) {
    for (int64_t t = 0; t < length; ++t) {
      const auto at = static_cast<size_t>(s * length + t);
      if (mask.values[at] == 0) continue;  // texts are padded on the right
      ids[static_cast<size_t>(s)].push_back(static_cast<int32_t>(input.values[at]));
      if (has_types) types[static_cast<size_t>(s)].push_back(static_cast<int32_t>(type_ids.values[at]));
    }
  }
  for (const std::string& isa : levels()) {
    SCOPED_TRACE(isa);
    LoadedModel model = load(GetParam(), isa, Activations::kF32, KvDType::kF32);
    Encoder& encoder = *model.encoder;
    std::vector<Encoder::Input> inputs;
    for (size_t s = 0; s < ids.size(); ++s) inputs.push_back({ids[s], types[s]});
    const TensorView out = encoder.encode(inputs);
    if (file->find("hidden") != nullptr) {
      const Tensor hidden = read(*file, "hidden");
      const int64_t width = model.spec.d_model;
      std::vector<float> padded(hidden.values.size(), 0.0f);
      for (size_t s = 0; s < ids.size(); ++s) {
        const TokenRange& range = encoder.ranges()[s];
        for (int64_t t = 0; t < range.n; ++t) {
          std::copy_n(out.row(range.begin + t), width, padded.data() + (static_cast<int64_t>(s) * length + t) * width);
        }
      }
      EXPECT_LE(relative_error(padded, hidden.values), 1e-4);
    }
    const auto compare = [&](const char* name, TensorView got) {
      if (file->find(name) == nullptr) return;
      EXPECT_LE(relative_error({got.data, static_cast<size_t>(got.rows * got.cols)}, read(*file, name).values), 1e-4) << name;
    };
    compare("mean", encoder.pool(out, Pooling::kMean, false));
    compare("cls", encoder.pool(out, Pooling::kCls, false));
    compare("last", encoder.pool(out, Pooling::kLast, false));
    compare("mean_normalized", encoder.pool(out, Pooling::kMean, true));
    if (file->find("scores") != nullptr) {
      ASSERT_NE(model.spec.head, EncoderHead::kNone);
      compare("scores", encoder.scores(out));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, EncoderOracle, ::testing::ValuesIn(kEncoders), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace hanlin
