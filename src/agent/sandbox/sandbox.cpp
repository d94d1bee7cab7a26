#include "agent/sandbox/sandbox.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <deque>
#include <filesystem>

#include "agent/sandbox/bubblewrap.h"
#include "agent/sandbox/sandbox_child.h"
#include "agent/sandbox/seccomp_filter.h"

namespace hanlin::agent {
namespace {

namespace fs = std::filesystem;

Error missing(Layer layer, int error) {
  const char* hint = "";
  if (layer == Layer::kUserNamespace) hint = " (user namespaces may be forbidden: see user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)";
  if (layer == Layer::kPrivateProc) hint = " (inside a container the host's /proc may be masked)";
  if (layer == Layer::kLandlock) hint = " (Linux 5.13 or later with landlock in its lsm= list)";
  return {Code::kUnsupported, fmt::format("sandbox: the layer \"{}\" is missing: {}{}", kLayerNames[static_cast<int>(layer)], std::strerror(error), hint)};
}

// The plan and the texts it points to.
class Plan {
 public:
  Status prepare(const SandboxJob& job) {
    for (const std::string& arg : job.argv) plan.argv.push_back(keep(arg));
    plan.argv.push_back(nullptr);
    for (const char* variable : {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/work", "TMPDIR=/tmp", "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1"}) {
      plan.envp.push_back(keep(variable));
    }
    plan.envp.push_back(nullptr);
    show_system();
    for (const SandboxMount& mount : job.mounts) HANLIN_TRY(show(mount));
    plan.small_options = "size=1m,nr_inodes=2000,mode=755";
    plan.disk_options = keep(fmt::format("size={},nr_inodes=10000,mode=1777", job.limits.disk_bytes));
    plan.limits = job.limits;
    plan.drop_groups = geteuid() == 0;
    HANLIN_ASSIGN(plan.filter, make_seccomp_filter());
    return {};
  }
  LaunchPlan plan{};

 private:
  char* keep(std::string text) { return texts_.emplace_back(std::move(text)).data(); }
  void bind(const std::string& host, const std::string& inside, bool is_folder, bool is_device = false) {
    plan.binds.push_back({keep("/.host" + host), keep(inside), is_folder, is_device});
  }
  void show_system() {
    // /bin and its like are folders, or links into /usr.
    for (const char* path : {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
      std::error_code ec;
      if (fs::is_symlink(path, ec)) plan.symlinks.push_back({keep(fs::read_symlink(path, ec).string()), path});
      else if (fs::is_directory(path, ec)) bind(path, path, true);
    }
    std::error_code ec;
    if (fs::is_directory("/etc/alternatives", ec)) bind("/etc/alternatives", "/etc/alternatives", true);
    if (fs::exists("/etc/ld.so.cache", ec)) bind("/etc/ld.so.cache", "/etc/ld.so.cache", false);
    for (const char* device : {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}) bind(device, device, false, true);
    for (const auto& [target, name] : {std::pair{"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"}, {"/proc/self/fd/1", "/dev/stdout"},
                                       {"/proc/self/fd/2", "/dev/stderr"}}) {
      plan.symlinks.push_back({target, name});
    }
  }
  Status show(const SandboxMount& mount) {
    std::error_code ec;
    const fs::path host = fs::canonical(mount.host, ec), inside = fs::path(mount.inside).lexically_normal();
    const auto reserved = {"/usr", "/bin", "/sbin", "/lib", "/lib64", "/proc", "/dev", "/etc", "/tmp", "/work", "/.host", "/"};
    const std::string first = "/" + (inside.begin() == inside.end() || std::next(inside.begin()) == inside.end() ? "" : std::next(inside.begin())->string());
    if (ec || !inside.is_absolute() || std::find(reserved.begin(), reserved.end(), first) != reserved.end()) {
      return Error{Code::kInvalidArgument, fmt::format("sandbox: mount {} at {}: expected an existing folder and a place of its own", mount.host, mount.inside)};
    }
    fs::path way;
    for (const fs::path& part : inside) {
      way /= part;
      if (way != "/" && way != inside) plan.binds.push_back({nullptr, keep(way.string()), true, false});
    }
    bind(host.string(), inside.string(), fs::is_directory(host, ec));
    return {};
  }

  std::deque<std::string> texts_;
};

bool write_file(const std::string& path, const std::string& text) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Ids of the sandbox are nobody's outside; a user without rights can only give his own.
bool map_ids(pid_t child) {
  const std::string base = fmt::format("/proc/{}/", child);
  const bool is_root = geteuid() == 0;
  const uid_t uid = is_root ? 65534 : geteuid();
  const gid_t gid = is_root ? 65534 : getegid();
  return write_file(base + "setgroups", "deny") && write_file(base + "gid_map", fmt::format("{} {} 1", kInsideId, gid)) &&
         write_file(base + "uid_map", fmt::format("{} {} 1", kInsideId, uid));
}

struct ControlPipes {
  UniqueFd report, child_report, ready, child_ready, go, child_go;
  static Result<ControlPipes> make() {
    ControlPipes pipes;
    int fds[6];
    for (int i = 0; i < 6; i += 2) {
      if (pipe2(fds + i, O_CLOEXEC) == 0) continue;
      for (int opened = 0; opened < i; ++opened) close(fds[opened]);
      return Error{Code::kIo, fmt::format("sandbox: pipe: {}", std::strerror(errno))};
    }
    pipes.report.reset(fds[0]), pipes.child_report.reset(fds[1]);
    pipes.ready.reset(fds[2]), pipes.child_ready.reset(fds[3]);
    pipes.child_go.reset(fds[4]), pipes.go.reset(fds[5]);
    return pipes;
  }
};

// Brings the started child through its set-up. An error: it has ended, or has to be killed.
Status guide(pid_t child, ControlPipes& pipes, const std::string& program) {
  pipes.child_report.reset(), pipes.child_ready.reset(), pipes.child_go.reset();
  char byte = 0;
  if (read(pipes.ready.get(), &byte, 1) == 1) {
    if (!map_ids(child)) return missing(Layer::kUserNamespace, errno);
    if (write(pipes.go.get(), "g", 1) != 1) return Error{Code::kIo, fmt::format("sandbox: {}", std::strerror(errno))};
  }
  SetupFailure failure{};
  ssize_t n = 0;
  while ((n = read(pipes.report.get(), &failure, sizeof failure)) < 0 && errno == EINTR) {}
  if (n == 0) return {};
  if (n != sizeof failure) return Error{Code::kIo, "sandbox: the set-up ended without a word"};
  if (failure.layer == Layer::kProgram) {
    return Error{Code::kNotFound, fmt::format("sandbox: {} cannot be run inside: {}", program, std::strerror(failure.error))};
  }
  return missing(failure.layer, failure.error);
}

Result<ProcessOutput> run_native(const SandboxJob& job, const ProcessLimits& limits) {
  Plan prepared;
  HANLIN_TRY(prepared.prepare(job));
  HANLIN_ASSIGN(ChildPipes pipes, ChildPipes::make());
  HANLIN_ASSIGN(ControlPipes control, ControlPipes::make());
  LaunchPlan& plan = prepared.plan;
  plan.in = pipes.child_in.get(), plan.out = pipes.child_out.get(), plan.err = pipes.child_err.get();
  plan.report = control.child_report.get(), plan.ready = control.child_ready.get(), plan.go = control.child_go.get();

  const pid_t child = fork();
  if (child < 0) return Error{Code::kIo, fmt::format("sandbox: fork: {}", std::strerror(errno))};
  if (child == 0) {
    // Our own ends: if Hanlin dies during the set-up, reading `go` must end.
    close(control.go.get());
    run_sandbox_child(plan);
  }
  const auto kill_all = [child] { kill(child, SIGKILL); };  // process 1 of the sandbox dies with it, and all others with that
  if (Status status = guide(child, control, job.argv[0]); !status.ok()) {
    kill_all();
    waitpid(child, nullptr, 0);
    return status.error();
  }
  return communicate(child, pipes, job.input, limits, kill_all);
}

}  // namespace

const char* sandbox_kind_name(SandboxKind kind) { return kind == SandboxKind::kNative ? "native" : "bubblewrap"; }

Result<ProcessOutput> run_in_sandbox(const SandboxJob& job, const ProcessLimits& limits) {
  const bool has_nul = std::any_of(job.argv.begin(), job.argv.end(), [](const std::string& arg) { return arg.find('\0') != std::string::npos; });
  if (job.argv.empty() || !job.argv[0].starts_with('/') || has_nul) {
    return Error{Code::kInvalidArgument, "sandbox: expected the absolute path of a program, and arguments without NUL bytes"};
  }
  ProcessLimits bounds = limits;
  bounds.deadline = std::min(limits.deadline, std::chrono::steady_clock::now() + job.limits.wall);
  bounds.max_output_bytes = std::min(limits.max_output_bytes, job.limits.max_output_bytes);
  return job.kind == SandboxKind::kNative ? run_native(job, bounds) : run_in_bubblewrap(job, bounds);
}

Status check_sandbox(SandboxKind kind) {
  HANLIN_ASSIGN(const ProcessOutput output, run_in_sandbox({.argv = {"/bin/true"}, .kind = kind}, {}));
  if (output.exit_status == 0 && !output.timed_out) return {};
  return Error{Code::kUnsupported, fmt::format("sandbox ({}): /bin/true ended with status {}: {}", sandbox_kind_name(kind), output.exit_status, output.err.text)};
}

}  // namespace hanlin::agent
