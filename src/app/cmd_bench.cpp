#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <numeric>
#include <sstream>

#include "app/commands.h"
#include "app/wire.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mmap_file.h"
#include "base/rng.h"
#include "hub/pull.h"
#include "kernels/table.h"
#include "text/tokenizer.h"

namespace hanlin::app {
namespace {

struct Options {
  std::vector<std::string> model;
  int64_t prompt = 512, generate = 64, depth = 0, repeats = 3;
  std::vector<std::string> streams = {"1", "8"};
  std::string tokenizer;
  bool json = false;
};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Resident memory of this process in bytes.
int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

struct Row {
  std::string test;
  double value;
  std::string unit;
};

// What was measured of one model, and what computed it.
struct Measured {
  std::string about;
  std::vector<Row> rows;
};

std::vector<int32_t> random_ids(int64_t n, int64_t vocab, uint64_t seed) {
  Rng rng(seed);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>(rng.next() % static_cast<uint64_t>(vocab)));
  return ids;
}

// Block tables of n sequences of `tokens`.
std::vector<std::vector<int32_t>> tables(int64_t n, int64_t tokens) {
  const int64_t per = (tokens + kKvBlockTokens - 1) / kKvBlockTokens;
  std::vector<std::vector<int32_t>> all(static_cast<size_t>(n));
  for (int64_t s = 0; s < n; ++s) {
    for (int64_t b = 0; b < per; ++b) all[static_cast<size_t>(s)].push_back(static_cast<int32_t>(s * per + b));
  }
  return all;
}

// Feeds `ids` from position 0 in steps of at most `step`.
void prefill(Decoder& decoder, const std::vector<int32_t>& ids, const std::vector<int32_t>& blocks, int64_t step) {
  const auto total = static_cast<int64_t>(ids.size());
  for (int64_t begin = 0; begin < total; begin += step) {
    const int64_t n = std::min(step, total - begin);
    Batch batch;
    batch.tokens.assign(ids.begin() + begin, ids.begin() + begin + n);
    batch.chunks.push_back({begin, static_cast<int>(n), begin + n == total ? 1 : 0, blocks, total});
    decoder.forward(batch);
  }
}

// "1,8" and "1", "8" alike.
Result<std::vector<int64_t>> stream_counts(const std::vector<std::string>& texts, int64_t most) {
  std::vector<int64_t> counts;
  for (const std::string& text : texts) {
    std::istringstream parts(text);
    for (std::string part; std::getline(parts, part, ',');) {
      int64_t count = 0;
      const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), count);
      if (error != std::errc() || end != part.data() + part.size() || count < 1 || count > most) {
        return Error{Code::kInvalidArgument, fmt::format("--streams: expected numbers from 1 to {} with commas between them, got \"{}\"", most, text)};
      }
      counts.push_back(count);
    }
  }
  if (counts.empty()) return Error{Code::kInvalidArgument, "--streams: expected at least one number"};
  return counts;
}

Result<std::vector<Row>> bench_decoder(Decoder& decoder, const Options& options) {
  std::vector<Row> rows;
  const int64_t step = decoder.max_step_tokens(), vocab = decoder.vocab_size();
  HANLIN_ASSIGN(const std::vector<int64_t> streams, stream_counts(options.streams, step));
  const int64_t most = *std::max_element(streams.begin(), streams.end());
  const int64_t length = std::max(options.prompt, options.depth + options.generate) + 1;
  const auto blocks = tables(most, length);
  if (!decoder.allocate_kv(most * static_cast<int64_t>(blocks[0].size()))) return Error{Code::kResourceExhausted, "bench: the system refused the memory for the cache"};
  {
    // The first step after loading finds no page of the weights mapped.
    const double start = now();
    prefill(decoder, {1 % static_cast<int32_t>(vocab)}, blocks[0], step);
    rows.push_back({"first token", now() - start, "s"});
  }
  if (options.prompt > 0) {
    std::vector<double> speeds;
    for (int64_t r = 0; r <= options.repeats; ++r) {
      const auto ids = random_ids(options.prompt, vocab, static_cast<uint64_t>(r));
      const double start = now();
      prefill(decoder, ids, blocks[0], step);
      if (r > 0) speeds.push_back(static_cast<double>(options.prompt) / (now() - start));  // the first run warms up
    }
    rows.push_back({fmt::format("prefill {}", options.prompt), median(speeds), "tokens/s"});
  }
  for (const int64_t n : options.generate > 0 ? streams : std::vector<int64_t>{}) {
    for (int64_t s = 0; s < n && options.depth > 0; ++s) prefill(decoder, random_ids(options.depth, vocab, 7), blocks[static_cast<size_t>(s)], step);
    std::vector<double> speeds;
    for (int64_t r = 0; r <= options.repeats; ++r) {
      const auto ids = random_ids(n, vocab, 99 + static_cast<uint64_t>(r));
      const double start = now();
      for (int64_t t = 0; t < options.generate; ++t) {
        Batch batch;
        batch.tokens = ids;
        for (int64_t s = 0; s < n; ++s) batch.chunks.push_back({options.depth + t, 1, 1, blocks[static_cast<size_t>(s)], options.depth});
        decoder.forward(batch);
      }
      if (r > 0) speeds.push_back(static_cast<double>(n * options.generate) / (now() - start));
    }
    const std::string depth = options.depth > 0 ? fmt::format(" at depth {}", options.depth) : "";
    rows.push_back({fmt::format("decode {} × {} stream{}{}", options.generate, n, n == 1 ? "" : "s", depth), median(speeds), "tokens/s"});
  }
  return rows;
}

std::vector<Row> bench_encoder(Encoder& encoder, const Options& options) {
  std::vector<Row> rows;
  const int64_t vocab = encoder.spec().vocab_size, longest = encoder.spec().context_length;
  for (const auto& [n, length] : {std::pair<int64_t, int64_t>{32, 128}, {1, 16}}) {
    const int64_t tokens = std::min(length, longest);
    std::vector<std::vector<int32_t>> ids;
    std::vector<Encoder::Input> inputs;
    for (int64_t i = 0; i < n; ++i) ids.push_back(random_ids(tokens, vocab, static_cast<uint64_t>(i)));
    for (const auto& list : ids) inputs.push_back({list, {}});
    std::vector<double> seconds;
    for (int64_t r = 0; r <= options.repeats * (n == 1 ? 10 : 1); ++r) {
      const double start = now();
      encoder.pool(encoder.encode(inputs), Pooling::kMean, true);
      if (r > 0) seconds.push_back(now() - start);
    }
    if (n > 1) rows.push_back({fmt::format("embed {} × {} tokens", n, tokens), static_cast<double>(n * tokens) / median(seconds), "tokens/s"});
    else rows.push_back({fmt::format("embed one text of {} tokens", tokens), median(seconds) * 1e3, "ms"});
  }
  return rows;
}

// How fast the text of `options.tokenizer` becomes tokens, on one thread; special tokens' names are plain text.
Result<Measured> bench_tokenizer(const std::string& path, const Options& options) {
  HANLIN_ASSIGN(const std::string text, read_file(options.tokenizer));
  HANLIN_ASSIGN(const auto tokenizer, load_tokenizer(path));
  std::vector<double> speeds;
  size_t n_tokens = 0;
  for (int64_t r = 0; r <= options.repeats; ++r) {
    const double start = now();
    n_tokens = tokenizer->encode(text, {false, false}).size();
    if (r > 0) speeds.push_back(static_cast<double>(text.size()) / 1e6 / (now() - start));
  }
  return Measured{"tokenizer, one thread", {{"encode", median(speeds), "MB/s"}, {"tokens of the text", static_cast<double>(n_tokens), "tokens"}}};
}

// Load, then what the model computes, then the memory that took.
Result<Measured> bench_model(const std::string& path, const Options& options, const Config& config) {
  const int64_t before = resident_bytes();
  const double start = now();
  HANLIN_ASSIGN(LoadedModel model, load_model(path, load_options(config)));
  std::vector<Row> rows = {{"load", now() - start, "s"}};
  const std::string backend = model.decoder ? model.decoder->backend().describe() : model.encoder->backend().describe();
  if (model.decoder) {
    HANLIN_ASSIGN(const std::vector<Row> measured, bench_decoder(*model.decoder, options));
    rows.insert(rows.end(), measured.begin(), measured.end());
  } else {
    const std::vector<Row> measured = bench_encoder(*model.encoder, options);
    rows.insert(rows.end(), measured.begin(), measured.end());
  }
  rows.push_back({"resident memory", static_cast<double>(resident_bytes() - before) / 1e6, "MB"});
  return Measured{backend, std::move(rows)};
}

Status bench(const Options& options, LoadedConfig& loaded) {
  std::vector<std::string> names = options.model;
  if (names.empty()) names = loaded.values.model.empty() ? std::vector<std::string>{kDefaultModels} : loaded.values.model;
  Json report = {{"cpu", kernels::cpu_description()}, {"models", Json::array()}};
  if (!options.json) fmt::print("{}\n", kernels::cpu_description());
  for (const std::string& name : names) {
    HANLIN_ASSIGN(const std::string path, hub::resolve_model(split_model_argument(name).second));
    HANLIN_ASSIGN(const Measured measured, options.tokenizer.empty() ? bench_model(path, options, loaded.values) : bench_tokenizer(path, options));
    Json entry = {{"model", name}, {"backend", measured.about}, {"results", Json::array()}};
    if (!options.json) fmt::print("\n{}  ({})\n", name, measured.about);
    for (const Row& row : measured.rows) {
      entry["results"].push_back({{"test", row.test}, {"value", row.value}, {"unit", row.unit}});
      if (!options.json) fmt::print("  {:<34} {:>10.2f} {}\n", row.test, row.value, row.unit);
    }
    report["models"].push_back(std::move(entry));
  }
  if (options.json) fmt::print("{}\n", dump_json(report, 2));
  return {};
}

}  // namespace

Command bench_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "bench",
                  .summary = "Measure how fast models run on this machine",
                  .examples =
                      "  hanlin bench                                             # the default models\n"
                      "  hanlin bench smollm2-135m --prompt 2048 --streams 1,32   # a longer prompt, more streams\n"
                      "  hanlin bench smollm2-135m --depth 1024 --json            # decoding behind 1024 tokens, as JSON\n"
                      "  hanlin bench smollm2-135m --tokenizer book.txt           # only the tokenizer, on this text"};
  command.options.add("prompt", &options->prompt, "Tokens of the prompt; 0: do not measure").range(0, 1 << 20);
  command.options.add("generate", &options->generate, "Tokens to generate per stream; 0: do not measure").range(0, 1 << 20);
  command.options.add("depth", &options->depth, "Tokens that are in the cache before decoding").range(0, 1 << 20);
  command.options.add("streams", &options->streams, "Numbers of streams decoded together");
  command.options.add("repeats", &options->repeats, "Runs; the median counts").range(1, 1000);
  command.options.add("tokenizer", &options->tokenizer, "Measure only the tokenizer, on the text in this file");
  command.options.add("json", &options->json, "Print JSON");
  command.positionals.push_back({"model", "Models to measure; the default ones if left out", &options->model, 0, -1});
  command.config_flags = true;
  command.run = [options](LoadedConfig& loaded) { return bench(*options, loaded); };
  return command;
}

}  // namespace hanlin::app
