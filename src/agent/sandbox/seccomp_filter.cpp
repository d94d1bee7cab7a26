#include "agent/sandbox/seccomp_filter.h"

#include <fmt/format.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"

namespace hanlin::agent {
namespace {

// What ordinary programs, a shell and Python need to compute, read and write files, and start further programs. Names that an
// architecture does not have are skipped. Not here, on purpose: ptrace, process_vm_*, mount and its relatives, namespaces,
// keys, bpf, perf, io_uring, userfaultfd, modules, clocks, sockets.
constexpr const char* kAllowed[] = {
    // files
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "open", "openat", "openat2", "creat", "close",
    "close_range", "lseek", "_llseek", "stat", "fstat", "lstat", "newfstatat", "fstatat64", "stat64", "fstat64", "lstat64", "statx", "statfs", "fstatfs",
    "statfs64", "fstatfs64", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents", "getdents64", "getcwd", "chdir", "fchdir", "mkdir",
    "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "truncate", "ftruncate",
    "truncate64", "ftruncate64", "fallocate", "fsync", "fdatasync", "sync_file_range", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown",
    "fchownat", "utime", "utimes", "utimensat", "utimensat_time64", "futimesat", "umask", "dup", "dup2", "dup3", "fcntl", "fcntl64", "flock", "pipe", "pipe2",
    "sendfile", "sendfile64", "splice", "tee", "copy_file_range", "fadvise64", "fadvise64_64", "readahead", "getxattr", "lgetxattr", "fgetxattr", "listxattr",
    "llistxattr", "flistxattr", "memfd_create", "mknod", "mknodat", "cachestat",
    // waiting
    "poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6", "pselect6_time64", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
    "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "signalfd", "signalfd4", "timerfd_create", "timerfd_settime", "timerfd_gettime",
    "timerfd_settime64", "timerfd_gettime64", "inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch", "nanosleep", "clock_nanosleep",
    "clock_nanosleep_time64", "pause",
    // memory
    "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "msync", "mincore", "brk", "membarrier", "mlock", "munlock", "mlock2", "pkey_alloc",
    "pkey_free", "pkey_mprotect",
    // processes, threads and signals
    "fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "waitpid", "kill", "tkill", "tgkill", "pidfd_open", "pidfd_send_signal",
    "getpid", "getppid", "gettid", "getpgid", "getpgrp", "setpgid", "getsid", "setsid", "set_tid_address", "set_robust_list", "get_robust_list", "rseq",
    "futex", "futex_time64", "futex_waitv", "futex_wake", "futex_wait", "futex_requeue", "sched_yield", "sched_getaffinity", "sched_setaffinity",
    "sched_getparam", "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min", "sched_getattr", "getpriority", "setpriority", "getcpu",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend", "rt_sigpending", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_sigqueueinfo",
    "rt_tgsigqueueinfo", "sigaltstack", "sigreturn", "sigprocmask", "sigaction", "alarm", "setitimer", "getitimer", "timer_create", "timer_settime",
    "timer_gettime", "timer_delete", "timer_getoverrun", "arch_prctl", "restart_syscall",
    // who, when, how much
    "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "getuid32", "geteuid32", "getgid32", "getegid32", "getresuid32",
    "getresgid32", "getgroups32", "capget", "uname", "sysinfo", "times", "time", "gettimeofday", "clock_gettime", "clock_gettime64", "clock_getres",
    "clock_getres_time64", "getrusage", "getrlimit", "setrlimit", "ugetrlimit", "getrandom"};

struct Context {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  ~Context() {
    if (filter != nullptr) seccomp_release(filter);
  }
};

int add_special_rules(scmp_filter_ctx filter) {
  constexpr uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  // Threads and processes, but no namespaces. clone3 hides its flags in memory: "not implemented" makes libc take clone.
  int failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, kNamespaces, 0));
  if (failure == 0) failure = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  // A pair of connected local sockets is a pipe in two directions.
  if (failure == 0) failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
  for (const int call : {SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(recvfrom), SCMP_SYS(shutdown), SCMP_SYS(getsockopt),
                         SCMP_SYS(getsockname), SCMP_SYS(getpeername)}) {
    if (failure == 0) failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
  }
  // Questions about terminals and pending bytes; not TIOCSTI and its like, which type for the user. The kernel looks at 32 bits.
  for (const uint64_t request : {uint64_t{TCGETS}, uint64_t{TIOCGWINSZ}, uint64_t{FIONREAD}, uint64_t{FIONBIO}, uint64_t{FIOCLEX}, uint64_t{FIONCLEX},
                                 uint64_t{TIOCGPGRP}}) {
    if (failure == 0) failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, request));
  }
  // prctl: names and the like; PR_SET_DUMPABLE, PR_SET_SECCOMP … stay closed. 15, 16: PR_SET_NAME, PR_GET_NAME; 3: PR_GET_DUMPABLE;
  // 0x53564d41: PR_SET_VMA.
  for (const uint64_t option : {uint64_t{15}, uint64_t{16}, uint64_t{3}, uint64_t{0x53564d41}}) {
    if (failure == 0) failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffffu, option));
  }
  // Limits of the process itself only.
  if (failure == 0) failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_EQ, 0));
  return failure;
}

}  // namespace

Result<std::vector<sock_filter>> make_seccomp_filter() {
  const auto failed = [](const char* step, int error) {
    return Error{Code::kUnsupported, fmt::format("sandbox: the layer \"seccomp\" is missing: {}: {}", step, std::strerror(error < 0 ? -error : error))};
  };
  Context context;
  if (context.filter == nullptr) return failed("seccomp_init", ENOMEM);
  for (const char* name : kAllowed) {
    const int call = seccomp_syscall_resolve_name(name);
    if (call == __NR_SCMP_ERROR || call < 0) continue;  // unknown to this libseccomp or this architecture
    if (const int failure = seccomp_rule_add(context.filter, SCMP_ACT_ALLOW, call, 0); failure != 0) return failed(name, failure);
  }
  if (const int failure = add_special_rules(context.filter); failure != 0) return failed("a rule", failure);
  const UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
  if (!file) return failed("memfd_create", errno);
  if (const int failure = seccomp_export_bpf(context.filter, file.get()); failure != 0) return failed("seccomp_export_bpf", failure);
  const off_t n_bytes = lseek(file.get(), 0, SEEK_END);
  std::vector<sock_filter> filter(static_cast<size_t>(n_bytes) / sizeof(sock_filter));
  if (filter.empty() || pread(file.get(), filter.data(), static_cast<size_t>(n_bytes), 0) != n_bytes) return failed("reading the filter", EIO);
  return filter;
}

}  // namespace hanlin::agent
