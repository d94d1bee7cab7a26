#include "agent/sandbox/bubblewrap.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "agent/sandbox/sandbox_child.h"
#include "agent/sandbox/seccomp_filter.h"

namespace hanlin::agent {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBwrap = "/usr/bin/bwrap";
constexpr const char* kPrlimit = "/usr/bin/prlimit";
constexpr int kFilterFd = 3, kStatusFd = 4;

std::vector<std::string> arguments_of(const SandboxJob& job) {
  const std::string disk = std::to_string(job.limits.disk_bytes);
  std::vector<std::string> args{kBwrap, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "sandbox", "--uid", "1000",
                                "--gid", "1000", "--clearenv", "--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin", "--setenv", "HOME", "/work", "--setenv",
                                "TMPDIR", "/tmp", "--setenv", "LANG", "C.UTF-8", "--setenv", "PYTHONDONTWRITEBYTECODE", "1"};
  const auto add = [&](std::initializer_list<std::string> more) { args.insert(args.end(), more); };
  for (const char* path : {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    std::error_code ec;
    if (fs::is_symlink(path, ec)) add({"--symlink", fs::read_symlink(path, ec).string(), path});
    else if (fs::is_directory(path, ec)) add({"--ro-bind", path, path});
  }
  add({"--ro-bind-try", "/etc/alternatives", "/etc/alternatives", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"});
  for (const SandboxMount& mount : job.mounts) add({"--ro-bind", mount.host, mount.inside});
  add({"--proc", "/proc", "--dev", "/dev", "--size", disk, "--tmpfs", "/tmp", "--size", disk, "--tmpfs", "/work", "--size", "65536", "--tmpfs", "/dev/shm",
       "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/work", "--seccomp", std::to_string(kFilterFd), "--json-status-fd",
       std::to_string(kStatusFd), "--"});
  // Outside, the limit would count all processes of the user; in bwrap's user namespace it counts those of the sandbox.
  add({kPrlimit, fmt::format("--nproc={0}:{0}", job.limits.n_processes + kOwnProcesses), "--"});
  args.insert(args.end(), job.argv.begin(), job.argv.end());
  return args;
}

// After fork: only async-signal-safe calls.
[[noreturn]] void start(char** argv, const ChildPipes& pipes, int filter, int status, const SandboxLimits& limits, bool is_root) {
  const bool ids = !is_root || (syscall(SYS_setgroups, 0, nullptr) == 0 && syscall(SYS_setresgid, 65534, 65534, 65534) == 0 &&
                                syscall(SYS_setresuid, 65534, 65534, 65534) == 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  // Out of the way first: the numbers 0 to 4 may be taken by one another.
  const int in = fcntl(pipes.child_in.get(), F_DUPFD, 16), out = fcntl(pipes.child_out.get(), F_DUPFD, 16), err = fcntl(pipes.child_err.get(), F_DUPFD, 16);
  const int rules = fcntl(filter, F_DUPFD, 16), report = fcntl(status, F_DUPFD, 16);
  const bool moved = dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(err, 2) == 2 && dup2(rules, kFilterFd) == kFilterFd && dup2(report, kStatusFd) == kStatusFd;
  char* const no_environment[] = {nullptr};
  if (ids && moved && syscall(SYS_close_range, 5u, ~0u, 0u) == 0 && set_resource_limits(limits) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
    execve(kBwrap, argv, no_environment);
  }
  _exit(125);
}

}  // namespace

Result<ProcessOutput> run_in_bubblewrap(const SandboxJob& job, const ProcessLimits& limits) {
  for (const char* program : {kBwrap, kPrlimit}) {
    if (access(program, X_OK) != 0) return Error{Code::kUnsupported, fmt::format("sandbox: the program {} is missing: install bubblewrap and util-linux", program)};
  }
  HANLIN_ASSIGN(const auto filter, make_seccomp_filter());
  const UniqueFd filter_file(memfd_create("seccomp", MFD_CLOEXEC)), status_file(memfd_create("status", MFD_CLOEXEC));
  const auto n_bytes = static_cast<ssize_t>(filter.size() * sizeof(sock_filter));
  if (!filter_file || !status_file || pwrite(filter_file.get(), filter.data(), static_cast<size_t>(n_bytes), 0) != n_bytes) {
    return Error{Code::kIo, fmt::format("sandbox: {}", std::strerror(errno))};
  }
  std::vector<std::string> args = arguments_of(job);
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  HANLIN_ASSIGN(ChildPipes pipes, ChildPipes::make());
  const bool is_root = geteuid() == 0;
  const pid_t child = fork();
  if (child < 0) return Error{Code::kIo, fmt::format("sandbox: fork: {}", std::strerror(errno))};
  if (child == 0) start(argv.data(), pipes, filter_file.get(), status_file.get(), job.limits, is_root);
  ProcessOutput output = communicate(child, pipes, job.input, limits, [child] { kill(child, SIGKILL); });
  // bwrap writes the program's exit code there; without one it is bwrap itself that failed.
  char report[4096];
  const ssize_t n = pread(status_file.get(), report, sizeof report, 0);
  const bool ran = n > 0 && std::string_view(report, static_cast<size_t>(n)).find("\"exit-code\"") != std::string_view::npos;
  if (ran && output.exit_status >= 126 && output.err.text.starts_with("prlimit: failed to execute")) {
    return Error{Code::kNotFound, fmt::format("sandbox: {} cannot be run inside", job.argv[0])};
  }
  if (ran || output.timed_out || output.cancelled) return output;
  return Error{Code::kUnsupported, fmt::format("sandbox: bwrap failed with status {}: {}", output.exit_status, output.err.text)};
}

}  // namespace hanlin::agent
