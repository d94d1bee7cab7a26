#include <fmt/format.h>

#include "app/commands.h"
#include "base/json.h"

namespace hanlin::app {
namespace {

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "gcc " __VERSION__;
#endif
}

}  // namespace

Command version_command() {
  auto json = std::make_shared<bool>(false);
  Command command{.name = "version", .summary = "Print the version", .examples = "  hanlin version --json"};
  command.options.add("json", json.get(), "Print JSON");
  command.run = [json](LoadedConfig&) -> Status {
    if (*json) fmt::print("{}\n", dump_json(Json{{"version", HANLIN_VERSION}, {"compiler", compiler()}}));
    else fmt::print("hanlin {} ({})\n", HANLIN_VERSION, compiler());
    return {};
  };
  return command;
}

}  // namespace hanlin::app
