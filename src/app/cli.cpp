// Turns the commands' lists of fields into a command line. The only file that knows the CLI library.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <map>

#include "app/command.h"
#include "base/log.h"

namespace hanlin::app {
namespace {

// One option of the library and the field it sets.
struct Parsed {
  Field* field;
  CLI::Option* option;
  bool negated = false;  // --no-NAME
};

void add_field(CLI::App& app, Field& field, const std::string& group, std::vector<Parsed>& parsed) {
  if (field.is_bool()) {
    parsed.push_back({&field, app.add_flag(field.flag(), field.help())->group(group)});
    const std::string negative = "--no-" + field.flag().substr(2);
    // Group "": works, but is not listed.
    parsed.push_back({&field, app.add_flag(negative)->group(""), true});
    return;
  }
  const std::string help = field.help() + (field.default_text().empty() ? "" : fmt::format(" [{}]", field.default_text()));
  CLI::Option* option = app.add_option(field.flag(), help)->type_name(field.type_text())->group(group);
  // Repeating a list adds to it; repeating anything else: the last one counts.
  option->expected(1)->multi_option_policy(field.is_list() ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::TakeLast);
  parsed.push_back({&field, option});
}

Status take_values(const std::vector<Parsed>& parsed) {
  for (const auto& [field, option, negated] : parsed) {
    if (option->count() == 0) continue;
    const std::string origin = field->flag();
    if (negated) {
      HANLIN_TRY(field->set_text("false", Source::kFlag, "--no-" + origin.substr(2)));
    } else if (field->is_list()) {
      HANLIN_TRY(field->set_texts(option->results(), Source::kFlag, origin));
    } else {
      HANLIN_TRY(field->set_text(option->results().back(), Source::kFlag, origin));
    }
  }
  return {};
}

// One command as the library sees it.
struct Registered {
  Command* command;
  CLI::App* app;
  std::vector<Parsed> options, settings;
};

void register_command(CLI::App& root, Command& command, LoadedConfig& config, Registered& registered) {
  CLI::App* app = root.add_subcommand(command.name, command.summary);
  registered.command = &command;
  registered.app = app;
  if (!command.examples.empty()) app->footer("Examples:\n" + command.examples);
  for (Positional& positional : command.positionals) {
    CLI::Option* option = app->add_option(positional.name, *positional.values, positional.help);
    option->type_name("");
    if (positional.n_min > 0) option->required();
    option->expected(std::max(positional.n_min, 0), positional.n_max < 0 ? 1 << 20 : positional.n_max);
  }
  for (Field& field : command.options.fields()) add_field(*app, field, "Options", registered.options);
  if (command.config_flags) {
    for (Field& field : config.fields.fields()) {
      if (command.config_section.empty() || command.config_section == field.section()) add_field(*app, field, field.section(), registered.settings);
    }
  }
}

int usage_error(const std::string& message, const std::string& command) {
  fmt::print(stderr, "hanlin: {}\nTry: hanlin {}--help\n", message, command.empty() ? "" : command + " ");
  return 2;
}

void apply_log_settings(const Config& config) {
  LogLevel level = LogLevel::kInfo;
  parse_log_level(config.log_level, &level);  // the list of settings holds only names it knows
  configure_logging(level, config.log_format == "json" ? LogFormat::kJson : LogFormat::kText);
}

// "--prot" → "--port", among the flags of one command.
std::string suggestion(const std::string& word, const Registered* registered, const std::vector<Command>& commands) {
  std::vector<std::string> known;
  if (registered != nullptr) {
    for (const auto* list : {&registered->options, &registered->settings}) {
      for (const Parsed& parsed : *list) known.push_back(parsed.field->flag());
    }
  } else {
    for (const Command& command : commands) known.push_back(command.name);
  }
  const auto best = nearest(word.substr(0, word.find('=')), known);
  return best ? fmt::format(" (did you mean {}?)", *best) : "";
}

}  // namespace

bool is_terminal(int file_descriptor) { return isatty(file_descriptor) == 1; }

int run_cli(std::vector<Command> commands, int argc, const char* const* argv) {
  CLI::App root("Hanlin runs language models on this machine and serves them over HTTP.\n"
                "New here? `hanlin doctor` checks the machine, `hanlin pull qwen2.5-coder-0.5b` fetches a model,\n"
                "`hanlin serve` starts the service.",
                "hanlin");
  root.failure_message(CLI::FailureMessage::simple);
  root.footer("`hanlin COMMAND --help` explains a command and shows examples.");
  root.require_subcommand(0, 1);
  std::string config_path;
  bool show_version = false;
  root.add_option("--config", config_path, "Read settings from this TOML file too")->type_name("FILE");
  root.add_flag("--version", show_version, "Print the version");
  root.fallthrough();  // --config may also stand after the command

  LoadedConfig config;
  std::deque<Registered> registered;
  for (Command& command : commands) register_command(root, command, config, registered.emplace_back());

  const auto chosen = [&]() -> Registered* {
    for (Registered& candidate : registered) {
      if (candidate.app->parsed()) return &candidate;
    }
    return nullptr;
  };
  root.allow_extras();  // so that an unknown word can be answered with a suggestion
  for (Registered& candidate : registered) candidate.app->allow_extras();
  try {
    root.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return root.exit(help);
  } catch (const CLI::ParseError& error) {
    Registered* command = chosen();
    return usage_error(error.what(), command != nullptr ? command->command->name : "");
  }

  Registered* command = chosen();
  if (command == nullptr && show_version) {
    fmt::print("hanlin {}\n", HANLIN_VERSION);
    return 0;
  }
  std::vector<std::string> extras = root.remaining();
  if (command != nullptr) {
    const std::vector<std::string> own = command->app->remaining();
    extras.insert(extras.end(), own.begin(), own.end());
  }
  const std::string name = command != nullptr ? command->command->name : "";
  if (!extras.empty()) {
    const char* what = extras[0].starts_with("-") ? "unknown option" : command != nullptr ? "unexpected argument" : "unknown command";
    return usage_error(fmt::format("{} {}{}", what, extras[0], suggestion(extras[0], command, commands)), name);
  }
  if (command == nullptr) {
    fmt::print("{}", root.help());
    return 0;
  }

  Status status = load_config(config, config_path);
  if (!status.ok()) return usage_error(status.error().message, name);
  status = take_values(command->options);
  if (status.ok()) status = take_values(command->settings);
  if (!status.ok()) return usage_error(status.error().message, name);

  apply_log_settings(config.values);
  status = command->command->run(config);
  if (status.ok()) return 0;
  fmt::print(stderr, "hanlin {}: {}\n", name, status.error().message);
  return status.error().code == Code::kInvalidArgument ? 2 : 1;
}

}  // namespace hanlin::app
