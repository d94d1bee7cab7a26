#include "app/wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "app/meminfo.h"
#include "app/wire_remote.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/local_encoder.h"
#include "hub/pull.h"
#include "kernels/table.h"
#include "text/tokenizer.h"

namespace hanlin::app {
namespace {

// A quarter of what is free for each model's cache, within sensible bounds.
int64_t default_kv_bytes() { return std::clamp<int64_t>(meminfo_bytes("MemAvailable") / 4, int64_t{256} << 20, int64_t{8} << 30); }

// "org/model:Q4_K_M" or "/path/model.gguf" as a short name.
std::string served_name(const std::string& reference) {
  std::string name = reference;
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  if (const size_t slash = name.rfind('/'); slash != std::string::npos) name = name.substr(slash + 1);
  if (name.size() > 5 && name.ends_with(".gguf")) name.resize(name.size() - 5);
  return name;
}

Result<std::shared_ptr<engine::Engine>> start_engine(const Config& config, const ModelChoice& choice, LoadedModel model,
                                                     std::shared_ptr<const Tokenizer> tokenizer) {
  engine::EngineOptions options;
  options.max_queue = config.max_queue;
  options.max_running = static_cast<int>(config.max_running);
  options.step_tokens = config.step_tokens;
  if (config.speculation == "off") options.step_draft_rows = 0;
  options.kv_bytes = config.kv_memory > 0 ? config.kv_memory : default_kv_bytes();
  options.context_length = config.context_length;
  const RopeSpec& rope = model.spec.ropes.front();
  if (rope.scaling == RopeScaling::kDynamic) options.dynamic_rope_context = rope.original_context;

  engine::EngineParts parts;
  parts.info.name = choice.name;
  parts.info.path = choice.path;
  parts.info.architecture = model.spec.architecture;
  parts.info.n_parameters = model.files->n_parameters();
  parts.info.created_unix = std::time(nullptr);
  parts.weights_bytes = static_cast<int64_t>(model.decoder->weight_bytes());
  kernels::Isa isa = kernels::best_isa();
  if (config.isa != "auto") kernels::parse_isa(config.isa.c_str(), &isa);
  parts.kernels = &kernels::kernel_table(isa);
  parts.tokenizer = std::move(tokenizer);
  parts.model = std::move(model.decoder);
  HANLIN_ASSIGN(std::unique_ptr<engine::Engine> engine, engine::Engine::create(std::move(parts), options));
  return std::shared_ptr<engine::Engine>(std::move(engine));
}

Status start_model(const Config& config, const ModelChoice& choice, RunningModels& running) {
  const auto started = std::chrono::steady_clock::now();
  HANLIN_ASSIGN(LoadedModel model, load_model(choice.path, load_options(config)));
  HANLIN_ASSIGN(std::shared_ptr<const Tokenizer> tokenizer, load_tokenizer(choice.path));
  api::ServedModel served;
  served.name = choice.name;
  if (choice.reference != choice.name) served.aliases.push_back(choice.reference);
  served.created_unix = std::time(nullptr);
  const std::string architecture = model.spec.architecture;
  const std::string backend = model.decoder ? model.decoder->backend().describe() : model.encoder->backend().describe();
  if (model.decoder) {
    // Some files name tokens that the model has no row for (Gemma 3's image token); the engine refuses their ids.
    if (tokenizer->vocab_size() > model.spec.vocab_size) {
      log_warning(fmt::format("{}: the tokenizer has {} tokens, the model {}", choice.name, tokenizer->vocab_size(), model.spec.vocab_size));
    }
    HANLIN_ASSIGN(auto engine, start_engine(config, choice, std::move(model), std::move(tokenizer)));
    served.generator = engine;
    running.engines.push_back(std::move(engine));
  } else {
    engine::LocalEncoderOptions options;
    options.name = choice.name;
    HANLIN_ASSIGN(auto encoder, engine::LocalEncoder::create(std::move(model), std::move(tokenizer), options));
    if (encoder->can_embed()) served.embedder = encoder;
    served.reranker = encoder;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  log_info(fmt::format("loaded {} ({}, {}) in {:.2f} s", choice.name, architecture, backend, seconds));
  running.set->models.push_back(std::move(served));
  return {};
}

std::chrono::milliseconds milliseconds(double seconds) { return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000)); }

}  // namespace

Result<std::vector<ModelChoice>> choose_models(const Config& config, const std::vector<std::string>& defaults) {
  std::vector<ModelChoice> choices;
  for (const std::string& argument : config.model.empty() ? defaults : config.model) {
    const auto [alias, reference] = split_model_argument(argument);
    ModelChoice choice{alias.empty() ? served_name(reference) : alias, reference, ""};
    if (is_remote_model(reference)) {
      HANLIN_ASSIGN(const RemoteChoice remote, parse_remote_model(reference));
      if (alias.empty()) choice.name = remote.model;
    } else {
      HANLIN_ASSIGN(choice.path, hub::resolve_model(reference));
    }
    for (const ModelChoice& other : choices) {
      if (other.name == choice.name) {
        return Error{Code::kInvalidArgument, fmt::format("--model: two models would be called '{}'; give one another name with --model NAME={}", choice.name, reference)};
      }
    }
    choices.push_back(std::move(choice));
  }
  return choices;
}

LoadOptions load_options(const Config& config) {
  LoadOptions options;
  options.backend.n_threads = static_cast<int>(config.threads);
  options.backend.isa = config.isa;
  options.backend.activations = config.activations == "f32" ? Activations::kF32 : Activations::kAuto;
  options.backend.float_weights = config.weights == "q8_0" ? FloatWeights::kQ8_0 : FloatWeights::kStored;
  options.kv_dtype = config.kv_type == "f32" ? KvDType::kF32 : config.kv_type == "q8_0" ? KvDType::kQ8_0 : KvDType::kF16;
  // A step holds at least one token of every running sequence.
  options.max_step_tokens = std::max(config.step_tokens, config.max_running + 1);
  options.packed.cache = config.packed_cache == "on" ? PackedCache::kOn : config.packed_cache == "off" ? PackedCache::kOff : PackedCache::kAuto;
  options.packed.directory = packed_dir(config);
  return options;
}

void RunningModels::shutdown(std::chrono::steady_clock::time_point deadline) {
  for (const auto& engine : engines) engine->shutdown(deadline);
}

Result<RunningModels> start_models(const Config& config, const std::vector<ModelChoice>& choices) {
  RunningModels running;
  for (const ModelChoice& choice : choices) {
    const auto start = is_remote_model(choice.reference) ? start_remote_model : start_model;
    if (auto status = start(config, choice, running); !status.ok()) return std::move(status).error().with_context(choice.name);
  }
  HANLIN_TRY(add_fallbacks(config, running));
  return running;
}

Result<RunningModels> start_one(Config config, const std::string& default_model) {
  if (config.model.size() > 1) config.model.resize(1);
  config.fallback.clear();
  config.max_running = std::min<int64_t>(config.max_running, 8);
  HANLIN_ASSIGN(const std::vector<ModelChoice> choices, choose_models(config, {default_model}));
  return start_models(config, choices);
}

server::ServerOptions server_options(const Config& config) {
  server::ServerOptions options;
  options.host = config.host;
  options.port = static_cast<uint16_t>(config.port);
  options.n_io_threads = static_cast<int>(config.io_threads);
  options.max_connections = static_cast<int>(config.max_connections);
  options.max_body_bytes = static_cast<size_t>(config.max_body);
  options.idle_timeout = milliseconds(config.idle_timeout_s);
  options.body_timeout = milliseconds(config.body_timeout_s);
  options.write_timeout = milliseconds(config.write_timeout_s);
  options.request_timeout = milliseconds(config.request_timeout_s);
  options.keep_alive_interval = milliseconds(config.keepalive_interval_s);
  options.drain_timeout = milliseconds(config.drain_timeout_s);
  options.cors_origins = config.cors_origins;
  options.api_keys = config.api_keys;
  options.tool_format = config.tool_format;
  options.log_prompts = config.log_prompts;
  return options;
}

}  // namespace hanlin::app
