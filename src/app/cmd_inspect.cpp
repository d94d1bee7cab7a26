// inspect, tokenize, logits: look into a model and bring up a new one against a reference.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "app/commands.h"
#include "app/generation.h"
#include "app/wire.h"
#include "base/json.h"
#include "base/mmap_file.h"
#include "formats/safetensors.h"
#include "hub/pull.h"
#include "model/arch/registry.h"
#include "text/tokenizer.h"

namespace hanlin::app {
namespace {

struct InspectOptions {
  std::vector<std::string> model;
  bool tensors = false, json = false;
};

std::string shape_text(const std::vector<int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::string value_text(const GgufValue& value) {
  if (const auto text = value.as_string()) return text->size() > 80 ? fmt::format("{} … ({} bytes)", text->substr(0, 80), text->size()) : std::string(*text);
  if (const auto flag = value.as_bool()) return *flag ? "true" : "false";
  if (const auto number = value.as_i64()) return fmt::format("{}", *number);
  if (const auto number = value.as_f64()) return fmt::format("{}", *number);
  if (const auto* array = std::get_if<GgufArray>(&value.data)) return fmt::format("[{} × {}]", array->n, gguf_type_name(array->element_type));
  return "?";
}

// Metadata as text pairs: GGUF's keys, or config.json's.
std::vector<std::pair<std::string, std::string>> metadata(const ModelFiles& files) {
  std::vector<std::pair<std::string, std::string>> pairs;
  if (files.gguf() != nullptr) {
    for (const auto& [key, value] : files.gguf()->metadata()) pairs.emplace_back(key, value_text(value));
  } else {
    for (const auto& [key, value] : files.config()->items()) pairs.emplace_back(key, dump_json(value));
  }
  for (auto& [key, value] : pairs) std::replace(value.begin(), value.end(), '\n', ' ');
  return pairs;
}

// Bytes of keys and values of one token, at two bytes a number.
int64_t kv_bytes_per_token(const ModelSpec& spec) { return spec.n_layers * 2 * spec.n_kv_heads * spec.head_dim * 2; }

Status inspect(const InspectOptions& options) {
  HANLIN_ASSIGN(const std::string path, hub::resolve_model(options.model[0]));
  HANLIN_ASSIGN(const auto files, ModelFiles::open(path));
  const auto identified = identify_model(*files);
  int64_t weight_bytes = 0;
  std::map<std::string, std::pair<int64_t, int64_t>> by_type;  // tensors, bytes
  for (const StoredTensor* tensor : files->tensors()) {
    weight_bytes += static_cast<int64_t>(tensor->bytes);
    auto& [count, bytes] = by_type[std::string(dtype_info(tensor->dtype).name)];
    ++count;
    bytes += static_cast<int64_t>(tensor->bytes);
  }
  const bool decoder = identified.ok() && identified->spec.kind == ModelKind::kDecoder;
  const int64_t per_token = decoder ? kv_bytes_per_token(identified->spec) : 0;
  if (options.json) {
    Json out = {{"path", path}, {"parameters", files->n_parameters()}, {"weight_bytes", weight_bytes}};
    if (identified.ok()) {
      out["architecture"] = identified->spec.architecture;
      out["context_length"] = identified->spec.context_length;
      if (decoder) out["kv_bytes_per_token"] = per_token;
    } else {
      out["error"] = identified.error().message;
    }
    for (const auto& [key, value] : metadata(*files)) out["metadata"][key] = value;
    for (const StoredTensor* tensor : files->tensors()) {
      out["tensors"].push_back({{"name", tensor->name}, {"type", dtype_info(tensor->dtype).name}, {"shape", tensor->shape}, {"bytes", tensor->bytes}});
    }
    fmt::print("{}\n", dump_json(out, 2));
    return {};
  }
  fmt::print("{}\n\n", path);
  if (identified.ok()) {
    const ModelSpec& spec = identified->spec;
    fmt::print("  {:<22} {} ({})\n", "architecture", spec.architecture, decoder ? "decoder" : "encoder");
    fmt::print("  {:<22} {}\n", "layers × width", fmt::format("{} × {}, feed-forward {}", spec.n_layers, spec.d_model, spec.d_ff));
    fmt::print("  {:<22} {} query, {} kv, {} values each\n", "heads", spec.n_heads, spec.n_kv_heads, spec.head_dim);
    fmt::print("  {:<22} {}\n", "vocabulary", spec.vocab_size);
    fmt::print("  {:<22} {} tokens\n", "context", spec.context_length);
  } else {
    fmt::print("  cannot be run: {}\n", identified.error().message);
  }
  fmt::print("  {:<22} {:.1f} M\n", "parameters", static_cast<double>(files->n_parameters()) / 1e6);
  fmt::print("\n  memory estimate\n    {:<20} {}\n", "weights", format_bytes(weight_bytes));
  if (decoder) {
    fmt::print("    {:<20} {} (f16)\n", "cache per token", format_bytes(per_token));
    for (const int64_t n : {int64_t{4096}, identified->spec.context_length}) {
      fmt::print("    {:<20} {}\n", fmt::format("cache, {} tokens", n), format_bytes(per_token * n));
    }
  }
  fmt::print("\n  tensors\n");
  for (const auto& [type, sums] : by_type) fmt::print("    {:<8} {:>5}  {:>10}\n", type, sums.first, format_bytes(sums.second));
  fmt::print("\n  metadata\n");
  for (const auto& [key, value] : metadata(*files)) fmt::print("    {:<44} {}\n", key, value);
  if (options.tensors) {
    fmt::print("\n");
    for (const StoredTensor* tensor : files->tensors()) {
      fmt::print("    {:<8} {:<22} {}\n", dtype_info(tensor->dtype).name, shape_text(tensor->shape), tensor->name);
    }
  }
  return {};
}

struct TokenizeOptions {
  std::vector<std::string> model;
  bool ids = false, no_special = false;
};

Status tokenize(const TokenizeOptions& options) {
  HANLIN_ASSIGN(const std::string path, hub::resolve_model(options.model[0]));
  HANLIN_ASSIGN(const auto tokenizer, load_tokenizer(path));
  HANLIN_ASSIGN(const std::string text, read_stdin());
  const std::vector<int32_t> ids = tokenizer->encode(text, {!options.no_special, !options.no_special});
  if (options.ids) {
    fmt::print("[{}]\n", fmt::join(ids, ", "));
    return {};
  }
  for (const int32_t id : ids) {
    fmt::print("{:>8}  {}{}\n", id, dump_json(Json(std::string(tokenizer->token_bytes(id)))), tokenizer->is_special(id) ? "  (special)" : "");
  }
  fmt::print(stderr, "{} tokens, {} bytes\n", ids.size(), text.size());
  return {};
}

struct LogitsOptions {
  std::vector<std::string> model;
  std::string ids, out;
  int64_t chunk = 0;
};

struct Sequence {
  std::vector<int32_t> ids, type_ids;
};

Result<std::vector<int32_t>> read_ids(const Json& json, const std::string& where) {
  std::vector<int32_t> ids;
  for (const Json& item : json) {
    if (!item.is_number_integer() || item.get<int64_t>() < 0 || item.get<int64_t>() > INT32_MAX) {
      return Error{Code::kInvalidArgument, fmt::format("{}: expected token ids, got {}", where, dump_json(item).substr(0, 40))};
    }
    ids.push_back(item.get<int32_t>());
  }
  return ids;
}

// A list of ids, a list of such lists, or objects with "ids" and "token_type_ids".
Result<std::vector<Sequence>> read_sequences(const std::string& path) {
  HANLIN_ASSIGN(const std::string text, read_file(path));
  auto json = parse_json(text);
  if (!json.ok()) return std::move(json).error().with_context(path);
  const auto bad = [&] { return Error{Code::kInvalidArgument, path + ": expected a list of ids, a list of such lists, or objects with \"ids\" and \"token_type_ids\""}; };
  Json list = *json;
  if (list.is_object() || (list.is_array() && !list.empty() && list[0].is_number())) list = Json::array({*json});
  if (!list.is_array() || list.empty()) return bad();
  std::vector<Sequence> sequences;
  for (const Json& item : list) {
    Sequence sequence;
    const bool object = item.is_object() && item.contains("ids");
    const Json& ids = object ? item["ids"] : item;
    if (!ids.is_array() || ids.empty()) return bad();
    HANLIN_ASSIGN(sequence.ids, read_ids(ids, path));
    if (object && item.contains("token_type_ids")) {
      HANLIN_ASSIGN(sequence.type_ids, read_ids(item["token_type_ids"], path));
      if (sequence.type_ids.size() != sequence.ids.size()) return Error{Code::kInvalidArgument, path + ": expected as many token_type_ids as ids"};
    }
    sequences.push_back(std::move(sequence));
  }
  return sequences;
}

// Results of sequences of different lengths, padded with zeros to [S, T, width].
struct Padded {
  int64_t n_sequences, length, width;
  std::vector<float> values;
  Padded(int64_t s, int64_t t, int64_t w) : n_sequences(s), length(t), width(w), values(static_cast<size_t>(s * t * w)) {}
  float* row(int64_t s, int64_t t) { return values.data() + (s * length + t) * width; }
  StoredTensor tensor(const std::string& name) const {
    return {name, DType::kF32, {n_sequences, length, width}, reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)};
  }
};

Status decoder_logits(Decoder& decoder, const std::vector<Sequence>& sequences, int64_t length, const LogitsOptions& options) {
  const int64_t chunk = options.chunk > 0 ? options.chunk : length, n_blocks = (length + kKvBlockTokens - 1) / kKvBlockTokens;
  if (!decoder.allocate_kv(n_blocks)) return Error{Code::kResourceExhausted, "logits: the system refused the memory for the cache"};
  std::vector<int32_t> blocks;
  for (int64_t i = 0; i < n_blocks; ++i) blocks.push_back(static_cast<int32_t>(i));
  const auto n = static_cast<int64_t>(sequences.size());
  Padded logits(n, length, decoder.vocab_size()), hidden(n, length, decoder.spec().d_model);
  for (int64_t s = 0; s < n; ++s) {
    const std::vector<int32_t>& ids = sequences[static_cast<size_t>(s)].ids;
    const auto total = static_cast<int64_t>(ids.size());
    for (int64_t begin = 0; begin < total; begin += chunk) {
      const int64_t count = std::min(chunk, total - begin);
      Batch batch;
      batch.tokens.assign(ids.begin() + begin, ids.begin() + begin + count);
      batch.chunks.push_back({begin, static_cast<int>(count), static_cast<int>(count), blocks, total});
      std::vector<float> states;
      Decoder::Taps taps;
      taps.hidden = &states;
      const auto rows = decoder.forward(batch, taps);
      std::copy(rows.begin(), rows.end(), logits.row(s, begin));
      std::copy(states.begin(), states.end(), hidden.row(s, begin));
    }
  }
  const StoredTensor tensors[] = {logits.tensor("logits"), hidden.tensor("hidden")};
  return write_safetensors(options.out, tensors);
}

Status encoder_outputs(Encoder& encoder, const std::vector<Sequence>& sequences, int64_t length, const LogitsOptions& options) {
  std::vector<Encoder::Input> inputs;
  for (const Sequence& sequence : sequences) inputs.push_back({sequence.ids, sequence.type_ids});
  const ModelSpec& spec = encoder.spec();
  const TensorView states = encoder.encode(inputs);
  Padded hidden(static_cast<int64_t>(inputs.size()), length, spec.d_model);
  for (size_t s = 0; s < inputs.size(); ++s) {
    const TokenRange& range = encoder.ranges()[s];
    for (int64_t t = 0; t < range.n; ++t) std::copy_n(states.row(range.begin + t), spec.d_model, hidden.row(static_cast<int64_t>(s), t));
  }
  std::vector<StoredTensor> tensors = {hidden.tensor("hidden")};
  const auto add = [&](const char* name, TensorView rows) {
    tensors.push_back({name, DType::kF32, {rows.rows, rows.cols}, reinterpret_cast<const uint8_t*>(rows.data), static_cast<size_t>(rows.rows * rows.cols) * sizeof(float)});
  };
  if (spec.head != EncoderHead::kNone) add("scores", encoder.scores(states));
  add("mean", encoder.pool(states, Pooling::kMean, false));
  add("cls", encoder.pool(states, Pooling::kCls, false));
  add("pooled", encoder.pool(states, spec.pooling == Pooling::kNone ? Pooling::kMean : spec.pooling, spec.normalise_embedding));
  return write_safetensors(options.out, tensors);
}

Status logits(const LogitsOptions& options, LoadedConfig& loaded) {
  if (options.ids.empty() || options.out.empty()) return Error{Code::kInvalidArgument, "logits: expected --ids FILE.json and --out FILE.safetensors"};
  HANLIN_ASSIGN(const std::vector<Sequence> sequences, read_sequences(options.ids));
  HANLIN_ASSIGN(const std::string path, hub::resolve_model(options.model[0]));
  int64_t length = 0;
  for (const Sequence& sequence : sequences) length = std::max(length, static_cast<int64_t>(sequence.ids.size()));
  LoadOptions load = load_options(loaded.values);
  // Comparing against a reference wants an exact cache with exact activations, unless somebody chose one.
  if (loaded.values.activations == "f32" && loaded.fields.find("kv_type")->source() == Source::kDefault) load.kv_dtype = KvDType::kF32;
  load.max_step_tokens = std::max(load.max_step_tokens, length);
  HANLIN_ASSIGN(LoadedModel model, load_model(path, load));
  const ModelSpec& spec = model.spec;
  if (length > spec.context_length) {
    return Error{Code::kInvalidArgument, fmt::format("{}: {} tokens, but the model takes {}: {} too many", options.ids, length, spec.context_length, length - spec.context_length), "ids"};
  }
  for (const Sequence& sequence : sequences) {
    for (const int32_t id : sequence.ids) {
      if (id >= spec.vocab_size) return Error{Code::kInvalidArgument, fmt::format("{}: expected ids below {}, got {}", options.ids, spec.vocab_size, id)};
    }
    for (const int32_t type : sequence.type_ids) {
      if (type >= std::max<int64_t>(1, spec.n_token_types)) return Error{Code::kInvalidArgument, fmt::format("{}: expected token types below {}, got {}", options.ids, spec.n_token_types, type)};
    }
  }
  return model.decoder ? decoder_logits(*model.decoder, sequences, length, options) : encoder_outputs(*model.encoder, sequences, length, options);
}

}  // namespace

Command inspect_command() {
  auto options = std::make_shared<InspectOptions>();
  Command command{.name = "inspect",
                  .summary = "Show a model's metadata, tensors and memory needs",
                  .examples =
                      "  hanlin inspect smollm2-135m             # what it is and what it needs\n"
                      "  hanlin inspect ./model.gguf --tensors   # every tensor too"};
  command.options.add("tensors", &options->tensors, "List every tensor");
  command.options.add("json", &options->json, "Print JSON");
  command.positionals.push_back({"model", "A name, a GGUF file or a Hugging Face directory", &options->model, 1, 1});
  command.run = [options](LoadedConfig&) { return inspect(*options); };
  return command;
}

Command tokenize_command() {
  auto options = std::make_shared<TokenizeOptions>();
  Command command{.name = "tokenize",
                  .summary = "Split the text on standard input into tokens",
                  .examples =
                      "  echo -n 'Hello, world' | hanlin tokenize smollm2-135m         # a token a line\n"
                      "  echo -n 'Hello, world' | hanlin tokenize smollm2-135m --ids   # a JSON list"};
  command.options.add("ids", &options->ids, "Print the ids as a JSON list");
  command.options.add("no_special", &options->no_special, "Add no BOS or EOS, and read special tokens' names as plain text");
  command.positionals.push_back({"model", "A name, a GGUF file or a Hugging Face directory", &options->model, 1, 1});
  command.run = [options](LoadedConfig&) { return tokenize(*options); };
  return command;
}

Command logits_command() {
  auto options = std::make_shared<LogitsOptions>();
  Command command{.name = "logits",
                  .summary = "Compute logits and hidden states of given tokens into a file",
                  .examples =
                      "  hanlin logits ./model --ids ids.json --out out.safetensors                          # decoders: logits [S,T,V], hidden [S,T,D]\n"
                      "  hanlin logits ./model --ids ids.json --out out.safetensors --activations f32 --chunk 7   # exact arithmetic, in chunks of 7"};
  command.options.add("ids", &options->ids, "JSON file: a list of ids, a list of lists, or objects with ids and token_type_ids");
  command.options.add("out", &options->out, "Safetensors file to write");
  command.options.add("chunk", &options->chunk, "Tokens per step; 0: all at once").range(0, 1 << 20);
  command.positionals.push_back({"model", "A name, a GGUF file or a Hugging Face directory (no tokenizer needed)", &options->model, 1, 1});
  command.config_flags = true;
  command.run = [options](LoadedConfig& loaded) { return logits(*options, loaded); };
  return command;
}

}  // namespace hanlin::app
