// The part of the sandbox that runs between fork and exec. Private to the sandbox.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <vector>

#include "agent/sandbox/sandbox.h"

namespace hanlin::agent {

// Where a set-up can fail; the names are in kLayerNames.
enum class Layer : int {
  kUserNamespace, kMountNamespace, kNetworkNamespace, kIpcNamespace, kUtsNamespace, kPidNamespace, kRootFileSystem, kPrivateProc, kReadOnlyView,
  kNoNewPrivs, kCapabilities, kResourceLimits, kLandlock, kSeccomp, kStart, kProgram
};
inline constexpr const char* kLayerNames[] = {
    "user namespace", "mount namespace", "network namespace", "IPC namespace", "UTS namespace", "PID namespace", "root of its own (pivot_root)",
    "private /proc", "read-only view", "no_new_privs", "no capabilities", "resource limits", "Landlock", "seccomp", "starting processes", "program"};

struct SetupFailure {
  Layer layer;
  int error;
};

struct BindMount {
  const char* source;  // below /.host
  const char* target;
  bool is_folder;
  bool is_device;
};
struct Symlink {
  const char* target;
  const char* name;
};

// Everything that the child needs, made before the fork: after it, in a process that may have had many threads, no memory may
// be allocated. All pointers stay valid until the exec.
struct LaunchPlan {
  std::vector<char*> argv, envp;   // with a null at the end
  std::vector<BindMount> binds;    // parents first
  std::vector<Symlink> symlinks;
  const char* small_options;       // of the file systems: "size=…"
  const char* disk_options;
  std::vector<sock_filter> filter;
  SandboxLimits limits;
  bool drop_groups;                // we are root: no groups of the host
  int in, out, err;                // the child's ends
  int report;                      // gets a SetupFailure; closed by a successful exec
  int ready, go;                   // the user namespace exists / its ids are mapped
};
inline constexpr uid_t kInsideId = 1000;

// Never returns.
[[noreturn]] void run_sandbox_child(const LaunchPlan& plan);

// Limits of the calling process but the number of processes. False with errno.
bool set_resource_limits(const SandboxLimits& limits);
// Processes of ours that count beside the program's own.
inline constexpr int64_t kOwnProcesses = 2;

}  // namespace hanlin::agent
