// One function per command; each stands in its own cmd_<name>.cpp.
#pragma once

#include "app/command.h"

namespace hanlin::app {

Command agent_command();
Command bench_command();
Command chat_command();
Command config_command();
Command doctor_command();
Command embed_command();
Command generate_command();
Command inspect_command();
Command list_command();
Command logits_command();
Command mcp_command();
Command pull_command();
Command quantize_command();
Command rerank_command();
Command rm_command();
Command serve_command();
Command tokenize_command();
Command version_command();

}  // namespace hanlin::app
