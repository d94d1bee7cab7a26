// The table of commands: one line each.
#include "app/commands.h"

namespace hanlin::app {

std::vector<Command> all_commands() {
  std::vector<Command> commands;
  for (Command (*make)() : {
           serve_command,
           chat_command,
           generate_command,
           agent_command,
           mcp_command,
           embed_command,
           rerank_command,
           pull_command,
           list_command,
           rm_command,
           inspect_command,
           tokenize_command,
           logits_command,
           quantize_command,
           bench_command,
           config_command,
           doctor_command,
           version_command,
       }) {
    commands.push_back(make());
  }
  return commands;
}

}  // namespace hanlin::app
