// One function per command; each stands in its own cmd_<name>.cpp.
#pragma once

#include "app/command.h"

namespace hanlin::app {

Command config_command();
Command doctor_command();
Command list_command();
Command pull_command();
Command rm_command();
Command version_command();

}  // namespace hanlin::app
