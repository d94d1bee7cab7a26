// Starts a program outside of the sandbox, as the user.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "agent/sandbox/pipes.h"
#include "base/result.h"

namespace hanlin::agent {

struct SpawnOptions {
  std::vector<std::string> argv;  // argv[0] is looked up in PATH; there is no shell
  std::vector<std::pair<std::string, std::string>> environment = {};  // added to ours
  std::string folder = {};  // working folder; empty: ours
};

// Starts the program at the head of a process group of its own (kill(-pid, …) reaches it and its children) with stdin, stdout
// and stderr at the child's ends of `pipes`, which are closed here afterwards. The caller reaps it. kNotFound: no such
// program or folder; kIo.
Result<pid_t> spawn(const SpawnOptions& options, ChildPipes& pipes);

}  // namespace hanlin::agent
