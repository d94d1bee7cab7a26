#include "agent/sandbox/pipes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace hanlin::agent {
namespace {

constexpr int kPollMs = 20;
// After the process itself has ended, how long something it left behind may hold its output open.
constexpr std::chrono::milliseconds kLinger{500};

// Reads what is there. False: the other end is closed.
bool drain(int fd, Captured* into, size_t max_bytes) {
  char block[16384];
  const ssize_t n = read(fd, block, sizeof block);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  const size_t n_kept = std::min(static_cast<size_t>(n), max_bytes - into->text.size());
  into->text.append(block, n_kept);
  into->n_left_out += n - static_cast<ssize_t>(n_kept);
  return n > 0;
}

// Writes what fits. False: all is written, or nobody reads.
bool feed(int fd, std::string_view* input) {
  // A reader that is gone must not kill us: SIGPIPE is blocked for the time of the write and taken away if it came.
  sigset_t pipe_signal, before;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const ssize_t n = write(fd, input->data(), std::min<size_t>(input->size(), 1 << 16));
  const int error = n < 0 ? errno : 0;
  if (error == EPIPE) {
    const timespec none{};
    sigtimedwait(&pipe_signal, nullptr, &none);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return error == EAGAIN || error == EINTR;
  input->remove_prefix(static_cast<size_t>(n));
  return !input->empty();
}

}  // namespace

Result<ChildPipes> ChildPipes::make() {
  ChildPipes pipes;
  const auto make_pipe = [](UniqueFd* read_end, UniqueFd* write_end) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return false;
    read_end->reset(fds[0]), write_end->reset(fds[1]);
    return true;
  };
  if (!make_pipe(&pipes.child_in, &pipes.in) || !make_pipe(&pipes.out, &pipes.child_out) || !make_pipe(&pipes.err, &pipes.child_err)) {
    return Error{Code::kIo, fmt::format("pipe: {}", std::strerror(errno))};
  }
  for (const UniqueFd* fd : {&pipes.in, &pipes.out, &pipes.err}) fcntl(fd->get(), F_SETFL, O_NONBLOCK);
  return pipes;
}

ProcessOutput communicate(pid_t pid, ChildPipes& pipes, std::string_view input, const ProcessLimits& limits, const std::function<void()>& kill_all) {
  ProcessOutput output;
  pipes.child_in.reset(), pipes.child_out.reset(), pipes.child_err.reset();
  if (input.empty()) pipes.in.reset();
  bool ended = false, killed = false;
  auto give_up = std::chrono::steady_clock::time_point::max();
  while (!ended || pipes.out || pipes.err) {
    pollfd fds[3] = {{pipes.out.get(), POLLIN, 0}, {pipes.err.get(), POLLIN, 0}, {pipes.in.get(), POLLOUT, 0}};
    poll(fds, 3, kPollMs);
    if (fds[0].revents != 0 && !drain(pipes.out.get(), &output.out, limits.max_output_bytes)) pipes.out.reset();
    if (fds[1].revents != 0 && !drain(pipes.err.get(), &output.err, limits.max_output_bytes)) pipes.err.reset();
    if (fds[2].revents != 0 && !feed(pipes.in.get(), &input)) pipes.in.reset();

    const auto now = std::chrono::steady_clock::now();
    if (!killed && !ended) {
      output.cancelled = limits.stop.stop_requested();
      output.timed_out = !output.cancelled && now >= limits.deadline;
      if ((killed = output.cancelled || output.timed_out)) kill_all();
    }
    siginfo_t end{};
    if (!ended && waitid(P_PID, static_cast<id_t>(pid), &end, WEXITED | WNOHANG | WNOWAIT) == 0 && end.si_pid == pid) {
      ended = true;
      kill_all();  // what it left running; before the process is reaped, while its number is still its own
      int status = 0;
      waitpid(pid, &status, 0);
      output.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      give_up = now + kLinger;
    }
    if (now >= give_up) break;
  }
  return output;
}

}  // namespace hanlin::agent
