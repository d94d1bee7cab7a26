// The settings of the program: one struct, one list of fields, and where each value came from.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/tool_settings.h"
#include "base/fields.h"
#include "base/result.h"

namespace hanlin::app {

// Every field is explained in config_fields() (config.cpp), which is also what --help prints.
struct Config {
  // Models
  std::vector<std::string> model;  // NAME, PATH or ALIAS=NAME-or-PATH; empty: the two default models
  std::vector<std::string> fallback;        // NAME=OTHER
  std::vector<std::string> remote_key_env;  // VARIABLE or HOST=VARIABLE
  std::string activations = "auto";
  std::string weights = "stored";
  std::string kv_type = "f16";
  int64_t context_length = 0;      // 0: the model's own, bounded by what kv_memory holds
  std::string packed_cache = "auto";
  std::string packed_dir;          // empty: default_packed_dir()
  int64_t kv_memory = 0;           // bytes for each generating model; 0: chosen from the machine's memory
  std::string tool_format = "auto";
  // Compute
  int64_t threads = 0;             // 0: all cores this process may use
  std::string isa = "auto";
  // Scheduling
  int64_t max_running = 64;
  int64_t max_queue = 256;
  int64_t step_tokens = 512;
  std::string speculation = "auto";
  // Service
  std::string host = "127.0.0.1";
  int64_t port = 8000;
  int64_t io_threads = 2;
  std::vector<std::string> api_keys;
  std::vector<std::string> cors_origins;
  int64_t max_body = int64_t{10} << 20;
  int64_t max_connections = 1024;
  double request_timeout_s = 600;
  double body_timeout_s = 30;
  double idle_timeout_s = 60;
  double write_timeout_s = 30;
  double keepalive_interval_s = 15;
  double drain_timeout_s = 30;
  // Agents
  bool agents = true;              // `hanlin serve` offers them
  int64_t max_agents = 8;
  std::string runs_path;           // empty: runs_path() in agents.h
  ToolSettings tool_settings;      // fields of their own, see there
  // Logs
  std::string log_level = "info";
  std::string log_format = "text";
  bool log_prompts = false;
};

// The list of settings, bound to `config`, which must outlive it.
FieldSet config_fields(Config& config);

// Values and where they came from. Not movable: the fields point into the values.
struct LoadedConfig {
  LoadedConfig() : fields(config_fields(values)) {}
  LoadedConfig(const LoadedConfig&) = delete;
  Config values;
  FieldSet fields;
  std::vector<std::string> files_read;
};

// Reads settings into `config`, weakest source first: $XDG_CONFIG_HOME/hanlin/hanlin.toml (~/.config by default),
// ./hanlin.toml, then `config_path` if not empty (which must exist), then HANLIN_… variables. Flags come afterwards, from
// the caller. Errors: kInvalidArgument with file, line or key; kIo, kNotFound.
Status load_config(LoadedConfig& config, const std::string& config_path,
                   const std::function<const char*(const char*)>& getenv_fn = nullptr);

// $XDG_CACHE_HOME/hanlin/packed (~/.cache by default); empty where there is neither.
std::string default_packed_dir(const std::function<const char*(const char*)>& getenv_fn = nullptr);
// Where `config` keeps packed weights.
std::string packed_dir(const Config& config);

// One --model argument: "alias=reference" or "reference". Without an alias the name is empty.
std::pair<std::string, std::string> split_model_argument(const std::string& argument);

// A table of settings, values and sources, for `hanlin config`.
std::string config_table(const FieldSet& fields);

}  // namespace hanlin::app
