// Only async-signal-safe calls here, most of them straight to the kernel.
#include "agent/sandbox/sandbox_child.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "agent/sandbox/landlock.h"

namespace hanlin::agent {
namespace {

[[noreturn]] void fail(const LaunchPlan& plan, Layer layer) {
  const SetupFailure failure{layer, errno};
  if (write(plan.report, &failure, sizeof failure) < 0) _exit(126);
  _exit(125);
}

void need(const LaunchPlan& plan, Layer layer, bool ok) {
  if (!ok) fail(plan, layer);
}

// fork without the handlers that libc runs around it.
pid_t raw_fork() { return static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr)); }

bool close_all() { return syscall(SYS_close_range, 0u, ~0u, 0u) == 0; }


void reset_signals() {
  for (int signal = 1; signal < 65; ++signal) {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Waits for `child`, reaping whatever else ends meanwhile, and ends like it.
[[noreturn]] void wait_and_end(pid_t child) {
  while (true) {
    int status = 0;
    const pid_t ended = waitpid(-1, &status, 0);
    if (ended == child) _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    if (ended < 0 && errno != EINTR) _exit(125);
  }
}

struct MountAttributes {
  uint64_t set, clear, propagation, userns_fd;
};
constexpr uint64_t kReadOnly = 1, kNoSuid = 2, kNoDevices = 4;  // MOUNT_ATTR_*
constexpr unsigned kRecursive = 0x8000;                         // AT_RECURSIVE

bool restrict_mount(const char* path, uint64_t attributes, unsigned flags) {
  const MountAttributes change{attributes, 0, 0, 0};
  return syscall(442 /* mount_setattr */, -1, path, flags, &change, sizeof change) == 0;
}

bool make_target(const BindMount& bind) {
  if (bind.is_folder) return mkdir(bind.target, 0755) == 0 || errno == EEXIST;
  const int fd = open(bind.target, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  return fd >= 0 && close(fd) == 0;
}

void build_view(const LaunchPlan& plan) {
  const auto root = Layer::kRootFileSystem;
  need(plan, root, mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  need(plan, root, mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, plan.small_options) == 0);
  need(plan, root, mkdir("/tmp/.host", 0700) == 0);
  need(plan, root, syscall(SYS_pivot_root, "/tmp", "/tmp/.host") == 0 && chdir("/") == 0);

  for (const char* folder : {"/dev", "/etc", "/proc", "/tmp", "/work"}) need(plan, Layer::kReadOnlyView, mkdir(folder, 0755) == 0);
  for (const BindMount& bind : plan.binds) {
    need(plan, Layer::kReadOnlyView, make_target(bind));
    if (bind.source == nullptr) continue;  // only a folder on the way
    need(plan, Layer::kReadOnlyView, mount(bind.source, bind.target, nullptr, MS_BIND | MS_REC, nullptr) == 0);
    const uint64_t attributes = bind.is_device ? kNoSuid : kReadOnly | kNoSuid | kNoDevices;
    need(plan, Layer::kReadOnlyView, restrict_mount(bind.target, attributes, kRecursive));
  }
  for (const Symlink& link : plan.symlinks) need(plan, Layer::kReadOnlyView, symlink(link.target, link.name) == 0);
  need(plan, Layer::kPrivateProc, mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2,subset=pid") == 0);
  for (const char* folder : {"/tmp", "/work"}) {
    need(plan, Layer::kReadOnlyView, mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, plan.disk_options) == 0);
  }
  need(plan, root, umount2("/.host", MNT_DETACH) == 0 && rmdir("/.host") == 0);
  need(plan, root, restrict_mount("/", kReadOnly, 0));
}

bool drop_capabilities() {
  for (int capability = 0; capability < 64; ++capability) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);  // those that exist
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  return syscall(SYS_capset, &header, none) == 0;
}

bool set_limit(int resource, int64_t soft, int64_t hard) {
  const rlimit limit{static_cast<rlim_t>(soft), static_cast<rlim_t>(hard)};
  return setrlimit(static_cast<__rlimit_resource_t>(resource), &limit) == 0;
}

[[noreturn]] void run_program(const LaunchPlan& plan) {
  need(plan, Layer::kStart, setsid() >= 0 && chdir("/work") == 0);
  need(plan, Layer::kStart, dup2(plan.in, 0) == 0 && dup2(plan.out, 1) == 1 && dup2(plan.err, 2) == 2);
  need(plan, Layer::kStart, syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) == 0);
  const int64_t n_processes = plan.limits.n_processes + kOwnProcesses;
  need(plan, Layer::kResourceLimits, set_resource_limits(plan.limits) && set_limit(RLIMIT_NPROC, n_processes, n_processes));
  need(plan, Layer::kNoNewPrivs, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  need(plan, Layer::kCapabilities, drop_capabilities());
  need(plan, Layer::kLandlock, restrict_with_landlock());
  const sock_fprog filter{static_cast<unsigned short>(plan.filter.size()), const_cast<sock_filter*>(plan.filter.data())};
  need(plan, Layer::kSeccomp, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0);
  execve(plan.argv[0], plan.argv.data(), plan.envp.data());
  fail(plan, Layer::kProgram);
}

// Process 1 of the sandbox: when it ends, the kernel ends all others.
[[noreturn]] void run_init(const LaunchPlan& plan) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);  // with the process outside, and so with Hanlin
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);         // the program cannot look into this copy of Hanlin's memory
  need(plan, Layer::kUtsNamespace, sethostname("sandbox", 7) == 0);
  build_view(plan);
  const pid_t child = raw_fork();
  need(plan, Layer::kStart, child >= 0);
  if (child == 0) run_program(plan);
  close_all();
  wait_and_end(child);
}

}  // namespace

bool set_resource_limits(const SandboxLimits& limits) {
  const auto set = set_limit;
  const int64_t cpu = limits.cpu.count();
  return set(RLIMIT_AS, limits.memory_bytes, limits.memory_bytes) && set(RLIMIT_CPU, cpu, cpu + 1) &&
         set(RLIMIT_FSIZE, limits.disk_bytes, limits.disk_bytes) && set(RLIMIT_NOFILE, limits.n_files, limits.n_files) && set(RLIMIT_CORE, 0, 0) &&
         set(RLIMIT_MEMLOCK, 0, 0) && set(RLIMIT_MSGQUEUE, 0, 0);
}

void run_sandbox_child(const LaunchPlan& plan) {
  reset_signals();
  if (plan.drop_groups) need(plan, Layer::kUserNamespace, syscall(SYS_setgroups, 0, nullptr) == 0);
  need(plan, Layer::kUserNamespace, unshare(CLONE_NEWUSER) == 0);
  char byte = 'r';
  if (write(plan.ready, &byte, 1) != 1 || read(plan.go, &byte, 1) != 1) _exit(125);  // Hanlin is gone
  need(plan, Layer::kUserNamespace, syscall(SYS_setresgid, kInsideId, kInsideId, kInsideId) == 0);
  need(plan, Layer::kUserNamespace, syscall(SYS_setresuid, kInsideId, kInsideId, kInsideId) == 0);
  // After the change of ids, which clears it.
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  need(plan, Layer::kMountNamespace, unshare(CLONE_NEWNS) == 0);
  need(plan, Layer::kNetworkNamespace, unshare(CLONE_NEWNET) == 0);
  need(plan, Layer::kIpcNamespace, unshare(CLONE_NEWIPC) == 0);
  need(plan, Layer::kUtsNamespace, unshare(CLONE_NEWUTS) == 0);
  need(plan, Layer::kPidNamespace, unshare(CLONE_NEWPID) == 0);
  const pid_t init = raw_fork();
  need(plan, Layer::kPidNamespace, init >= 0);
  if (init == 0) run_init(plan);
  close_all();
  wait_and_end(init);
}

}  // namespace hanlin::agent
