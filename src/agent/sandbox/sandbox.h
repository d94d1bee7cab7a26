// Runs programs nobody trusts: no network, no files but a small read-only view, bounded memory, processes, disk and time.
//
// Layers, all of them needed: user, mount, network, IPC, UTS and PID namespaces; a root of its own (pivot_root) with the
// system's programs read-only, a private /proc, no /sys, and bounded memory file systems at /tmp and /work; no_new_privs;
// Landlock; a seccomp list of allowed system calls; resource limits. A layer that this machine lacks is an error that names it,
// never a weaker sandbox.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/sandbox/pipes.h"
#include "base/result.h"

namespace hanlin::agent {

struct SandboxLimits {
  int64_t memory_bytes = int64_t{512} << 20;  // address space of each process
  int64_t disk_bytes = int64_t{64} << 20;     // of /tmp, and of /work
  int64_t n_processes = 32;                   // processes and threads, all together
  int64_t n_files = 128;                      // open at once, for each process
  std::chrono::seconds cpu{20};               // for each process
  std::chrono::seconds wall{30};
  size_t max_output_bytes = 64 << 10;         // of each of stdout and stderr
};

// A folder of the host to show inside, read-only. Symbolic links in it are followed inside the sandbox only.
struct SandboxMount {
  std::string host, inside;  // absolute
};

enum class SandboxKind {
  kNative,      // all layers, by Hanlin itself
  kBubblewrap,  // by the program bwrap, where it is the one that may make namespaces; it has no Landlock
};
const char* sandbox_kind_name(SandboxKind kind);

struct SandboxJob {
  std::vector<std::string> argv;  // argv[0] is an absolute path inside
  std::string input = {};
  std::vector<SandboxMount> mounts = {};
  SandboxLimits limits = {};
  SandboxKind kind = SandboxKind::kNative;
};

// Runs the job to its end and leaves nothing of it: every process is killed, what it wrote is gone. The working folder is /work,
// empty. Errors: kUnsupported 'sandbox: the layer "…" is missing: …', kNotFound (no such program inside), kInvalidArgument,
// kIo. A program that fails, is killed or takes too long is a ProcessOutput that says so. Blocks until the deadline at most;
// any thread.
Result<ProcessOutput> run_in_sandbox(const SandboxJob& job, const ProcessLimits& limits);

// Runs /bin/true: success, or the error that says what is missing.
Status check_sandbox(SandboxKind kind);

}  // namespace hanlin::agent
