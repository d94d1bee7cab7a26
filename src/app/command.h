// What a subcommand of `hanlin` is. Adding one: a file cmd_<name>.cpp with a function that returns a Command, and a line
// in the table of commands.cpp.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "app/config.h"
#include "base/fields.h"
#include "base/result.h"

namespace hanlin::app {

// Words after the options, such as the model of `hanlin pull MODEL…`.
struct Positional {
  std::string name;  // shown in capitals: "MODEL"
  std::string help;
  std::vector<std::string>* values;
  int n_min = 1;
  int n_max = 1;  // -1: any number
};

// Options and arguments live in variables that `run` keeps alive (a shared_ptr it captures); `options` and `positionals`
// point to them.
struct Command {
  std::string name;
  std::string summary;   // one line in `hanlin --help`
  std::string examples;  // under `hanlin NAME --help`; each line "hanlin … # what it does"
  FieldSet options = {};
  std::vector<Positional> positionals = {};
  // The command also takes every setting of Config as a flag (they always come from the file and the environment too).
  bool config_flags = false;
  std::string config_section = {};  // with config_flags: only the settings under this heading
  // Does the work; called at most once. The exit status is 0 on success; on an error the message is printed and it is 1.
  std::function<Status(LoadedConfig&)> run;
};

// The commands, in the order in which `hanlin --help` lists them.
std::vector<Command> all_commands();

// Parses the command line and runs what it asks for. Returns the exit status: 0, 1 (failed) or 2 (wrong usage).
int run_cli(std::vector<Command> commands, int argc, const char* const* argv);

// Short, for a terminal: whether to draw progress and colours there.
bool is_terminal(int file_descriptor);

}  // namespace hanlin::app
