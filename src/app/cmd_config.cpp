#include <fmt/format.h>

#include "app/commands.h"
#include "base/json.h"

namespace hanlin::app {

Command config_command() {
  auto json = std::make_shared<bool>(false);
  Command command{
      .name = "config",
      .summary = "Show the effective settings and where each came from",
      .examples =
          "  hanlin config                        # the table\n"
          "  HANLIN_PORT=9000 hanlin config       # a variable overrides the file\n"
          "  hanlin config --port 9001 --json     # a flag overrides both\n"
          "\n"
          "Settings are read from ~/.config/hanlin/hanlin.toml, ./hanlin.toml and --config FILE, a later one winning:\n"
          "  port = 9000\n"
          "  model = [\"qwen2.5-coder-0.5b\", \"embedder=all-minilm-l6-v2\"]\n"
          "Every setting is also a flag (--max-queue) and a variable (HANLIN_MAX_QUEUE).",
      .config_flags = true};
  command.options.add("json", json.get(), "Print JSON");
  command.run = [json](LoadedConfig& config) -> Status {
    if (!*json) {
      fmt::print("{}", config_table(config.fields));
      for (const std::string& path : config.files_read) fmt::print("\nread {}", path);
      if (!config.files_read.empty()) fmt::print("\n");
      return {};
    }
    const Json values = config.fields.to_json();
    Json object = Json::object();
    for (const Field& field : config.fields.fields()) {
      object[field.name()] = {{"value", values.at(field.name())}, {"source", source_name(field.source())}, {"origin", field.origin()}};
    }
    fmt::print("{}\n", dump_json(object, 2));
    return {};
  };
  return command;
}

}  // namespace hanlin::app
