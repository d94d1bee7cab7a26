#include "app/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "agent/call_parser/call_format.h"
#include "app/toml_file.h"
#include "base/json.h"

namespace hanlin::app {
namespace {

namespace fs = std::filesystem;

using Getenv = std::function<const char*(const char*)>;

const char* process_getenv(const char* name) { return std::getenv(name); }

// $XDG_…_HOME/`path` with the default under $HOME that the XDG base directory specification gives; empty without either.
std::string xdg_path(const Getenv& getenv_fn, const char* variable, const char* default_in_home, const char* path) {
  const char* xdg = getenv_fn(variable);
  if (xdg != nullptr && *xdg != '\0') return fmt::format("{}/{}", xdg, path);
  const char* home = getenv_fn("HOME");
  return home != nullptr && *home != '\0' ? fmt::format("{}/{}/{}", home, default_in_home, path) : "";
}

// Tables in the file only group settings for the reader: [service] port = 1 and port = 1 mean the same.
Json flatten(const Json& object) {
  Json flat = Json::object();
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      for (const auto& [inner_key, inner_value] : value.items()) flat[inner_key] = inner_value;
    } else {
      flat[key] = value;
    }
  }
  return flat;
}

Status load_file(LoadedConfig& config, const std::string& path) {
  HANLIN_ASSIGN(const Json object, read_toml(path));
  HANLIN_TRY(config.fields.load_json(flatten(object), Source::kFile, path));
  config.files_read.push_back(path);
  return {};
}

std::vector<std::string> tool_formats() {
  std::vector<std::string> names = agent::call_format_names();
  names.insert(names.begin(), "auto");
  return names;
}

}  // namespace

FieldSet config_fields(Config& c) {
  FieldSet f;
  f.add("model", &c.model, "Model to load: a name, a path, ALIAS=name-or-path, or https://host/v1#MODEL of a remote service; repeat for several").whole_items().section("Models");
  f.add("fallback", &c.fallback, "NAME=OTHER: where model NAME cannot answer, OTHER does; repeat for several").whole_items().section("Models");
  f.add("remote_key_env", &c.remote_key_env, "Environment variable with the key of remote models, or HOST=VARIABLE for one host; none: OPENAI_API_KEY for api.openai.com, HANLIN_REMOTE_API_KEY for others").section("Models");
  f.add("activations", &c.activations, "Precision between layers: auto is the fastest that is safe, f32 reproduces references").choices({"auto", "f32"}).section("Models");
  f.add("weights", &c.weights, "Float matrices: stored keeps them as the file has them, q8_0 rounds them to int8 with a scale for 32 at load, which is smaller and faster").choices({"stored", "q8_0"}).section("Models");
  f.add("kv_type", &c.kv_type, "Type of the attention cache: f16; q8_0 rounds it to int8 with a scale for 32, half of the memory; f32 is exact").choices({"f16", "q8_0", "f32"}).section("Models");
  f.add("context_length", &c.context_length, "Longest prompt plus answer in tokens; 0: what the model was trained for").range(0, 1 << 24).section("Models");
  f.add("kv_memory", &c.kv_memory, "Memory for the attention cache of each model, such as 4GiB; 0: chosen from the machine's memory").bytes().range(0, 0x1p50).section("Models");
  f.add("tool_format", &c.tool_format, "How models write tool calls; auto: as their chat template says").choices(tool_formats()).section("Models");
  f.add("packed_cache", &c.packed_cache, "Keep packed weights in files, so that the next load only maps them; auto: of models from 256 MiB on").choices({"auto", "on", "off"}).section("Models");
  f.add("packed_dir", &c.packed_dir, "Directory of packed weights; empty: hanlin/packed in $XDG_CACHE_HOME or ~/.cache").section("Models");

  f.add("threads", &c.threads, "Threads that compute; 0: all cores").range(0, 4096).section("Compute");
  f.add("isa", &c.isa, "Instruction set level; auto: the best this processor has").choices({"auto", "scalar", "avx2", "avx512", "amx"}).section("Compute");

  f.add("max_running", &c.max_running, "Sequences computed together at most").range(1, 4096).section("Scheduling");
  f.add("max_queue", &c.max_queue, "Requests that may wait; more are answered with 429").range(0, 1 << 20).section("Scheduling");
  f.add("step_tokens", &c.step_tokens, "Tokens per step at most: larger is faster for long prompts, smaller keeps streams even").range(1, 1 << 20).section("Scheduling");
  f.add("speculation", &c.speculation, "Guess repeated passages from the text so far and check several tokens in one step: auto where it pays, off never; answers are the same").choices({"auto", "off"}).section("Scheduling");

  f.add("host", &c.host, "Address to listen on; 0.0.0.0 lets other machines in").section("Service");
  f.add("port", &c.port, "Port to listen on; 0: any free one").range(0, 65535).section("Service");
  f.add("io_threads", &c.io_threads, "Threads that talk to clients").range(1, 256).section("Service");
  f.add("api_keys", &c.api_keys, "Keys of which clients must send one, with commas between; none: no key is asked for").secret().section("Service");
  f.add("cors_origins", &c.cors_origins, "Web origins that may call the service, with commas between; * for any").section("Service");
  f.add("max_body", &c.max_body, "Largest request body; larger ones are answered with 413").bytes().range(1024, 0x1p40).section("Service");
  f.add("max_connections", &c.max_connections, "Open connections at most").range(1, 1 << 20).section("Service");
  f.add("request_timeout_s", &c.request_timeout_s, "Seconds one request may take").range(0.1, 86400).section("Service");
  f.add("body_timeout_s", &c.body_timeout_s, "Seconds a client may take to send a request").range(0.1, 86400).section("Service");
  f.add("idle_timeout_s", &c.idle_timeout_s, "Seconds a connection may stay open without a request").range(0.1, 86400).section("Service");
  f.add("write_timeout_s", &c.write_timeout_s, "Seconds a client may take to read one piece of the answer").range(0.1, 86400).section("Service");
  f.add("keepalive_interval_s", &c.keepalive_interval_s, "Seconds between keep-alive comments in a silent stream").range(0.1, 3600).section("Service");
  f.add("drain_timeout_s", &c.drain_timeout_s, "Seconds that running requests get to finish after SIGTERM").range(0, 3600).section("Service");

  f.add("agents", &c.agents, "Offer agent runs at /api/v1/agent/runs").section("Agents");
  f.add("max_agents", &c.max_agents, "Agent runs at the same time; more are answered with 429").range(1, 4096).section("Agents");
  f.add("runs_path", &c.runs_path, "File that keeps agent runs; memory: none; empty: hanlin/runs.db in $XDG_DATA_HOME or ~/.local/share").section("Agents");
  c.tool_settings.add_to(f);

  f.add("log_level", &c.log_level, "How much is logged").choices({"debug", "info", "warning", "error", "off"}).section("Logs");
  f.add("log_format", &c.log_format, "One line of text or of JSON per event").choices({"text", "json"}).section("Logs");
  f.add("log_prompts", &c.log_prompts, "Log the text of prompts and answers (private data!)").section("Logs");
  return f;
}

Status load_config(LoadedConfig& config, const std::string& config_path, const Getenv& getenv_fn) {
  const Getenv get = getenv_fn ? getenv_fn : process_getenv;
  std::error_code ignored;
  for (const std::string& path : {xdg_path(get, "XDG_CONFIG_HOME", ".config", "hanlin/hanlin.toml"), std::string("hanlin.toml")}) {
    if (!path.empty() && fs::exists(path, ignored)) HANLIN_TRY(load_file(config, path));
  }
  if (!config_path.empty()) HANLIN_TRY(load_file(config, config_path));
  return config.fields.load_environment(get);
}

std::string default_packed_dir(const Getenv& getenv_fn) {
  return xdg_path(getenv_fn ? getenv_fn : process_getenv, "XDG_CACHE_HOME", ".cache", "hanlin/packed");
}

std::string packed_dir(const Config& config) {
  if (config.packed_dir.empty()) return default_packed_dir();
  const char* home = std::getenv("HOME");
  return config.packed_dir.starts_with("~/") && home != nullptr ? home + config.packed_dir.substr(1) : config.packed_dir;
}

std::pair<std::string, std::string> split_model_argument(const std::string& argument) {
  const size_t equals = argument.find('=');
  // A path or URL may hold '=' too: an alias has no slash in front of it.
  if (equals == std::string::npos || equals == 0 || argument.find('/') < equals) return {"", argument};
  return {argument.substr(0, equals), argument.substr(equals + 1)};
}

std::string config_table(const FieldSet& fields) {
  size_t name_width = 0, value_width = 0;
  const auto shown = [](const Field& field) {
    const std::string text = field.text();
    return text.empty() ? std::string("-") : field.is_secret() ? std::string("***") : text;
  };
  for (const Field& field : fields.fields()) {
    name_width = std::max(name_width, field.name().size());
    value_width = std::max(value_width, shown(field).size());
  }
  value_width = std::min<size_t>(value_width, 48);
  std::string table, section;
  for (const Field& field : fields.fields()) {
    if (field.section() != section) {
      section = field.section();
      table += fmt::format("{}{}\n", table.empty() ? "" : "\n", section);
    }
    const std::string from = field.source() == Source::kDefault ? "default" : fmt::format("{} {}", source_name(field.source()), field.origin());
    table += fmt::format("  {:<{}}  {:<{}}  {}\n", field.name(), name_width, shown(field), value_width, from);
  }
  return table;
}

}  // namespace hanlin::app
