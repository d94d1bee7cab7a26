// Speaking with a running process: its input is fed and its output read at once, within bounds.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "base/result.h"

namespace hanlin::agent {

struct Captured {
  std::string text;       // the first bytes, as many as allowed
  int64_t n_left_out = 0;  // bytes that came after
};

struct ProcessOutput {
  Captured out, err;
  int exit_status = 0;     // of a process that ended by itself; 128 + signal if one killed it
  bool timed_out = false;  // the deadline passed; it was killed
  bool cancelled = false;  // stop was requested; it was killed
};

struct ProcessLimits {
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  std::stop_token stop = {};
  size_t max_output_bytes = 64 << 10;  // of each of stdout and stderr
};

// Our ends of a child's pipes. The child's ends are closed on exec in every other process.
struct ChildPipes {
  UniqueFd in, out, err;                    // ours
  UniqueFd child_in, child_out, child_err;  // the child's
  static Result<ChildPipes> make();         // kIo
};

// Feeds `input`, reads until both outputs are closed and the process `pid` has ended (or, killed, until it has), and reaps it.
// `kill_all` must kill the process with everything it started. What it prints beyond the cap is read and counted, so that it
// never blocks. Blocks; any thread.
ProcessOutput communicate(pid_t pid, ChildPipes& pipes, std::string_view input, const ProcessLimits& limits, const std::function<void()>& kill_all);

}  // namespace hanlin::agent
