// Runs another program, without a shell.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hanlin::hub {

// Starts argv[0] (looked up in PATH) with stdin empty and stdout and stderr going to the file `log_path`, adds `environment`
// to ours, and waits. `on_poll` is called a few times a second meanwhile. Returns the exit status (128 + signal if it was
// killed). Errors: kNotFound if there is no such program, kIo.
Result<int> run_child(const std::vector<std::string>& argv, const std::vector<std::pair<std::string, std::string>>& environment,
                      const std::string& log_path, const std::function<void()>& on_poll);

}  // namespace hanlin::hub
