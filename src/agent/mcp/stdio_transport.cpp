#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <thread>

#include "agent/mcp/transport.h"
#include "agent/sandbox/spawn.h"
#include "base/log.h"

namespace hanlin::agent::mcp {
namespace {

constexpr size_t kMaxQueued = size_t{64} << 20, kErrTail = 2000;
// How long a server may take to end: after its stdin is closed, and after SIGTERM.
constexpr std::chrono::milliseconds kGrace{1500};

class StdioTransport final : public Transport {
 public:
  explicit StdioTransport(StdioServer server) : server_(std::move(server)) {}
  ~StdioTransport() override {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake();
    thread_.join();
    end_process();
  }

  Status start(MessageSink sink) override {
    sink_ = std::move(sink);
    HANLIN_ASSIGN(pipes_, ChildPipes::make());
    wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return Error{Code::kIo, fmt::format("eventfd: {}", std::strerror(errno))};
    HANLIN_ASSIGN(pid_, spawn({server_.argv, server_.environment, server_.folder}, pipes_));
    thread_ = std::thread([this] { serve(); });
    return {};
  }

  Status send(const Json& message, const ToolContext&) override {
    {
      const std::lock_guard lock(mutex_);
      if (!health_.ok()) return health_;
      if (queue_.size() > kMaxQueued) return Error{Code::kResourceExhausted, server_.argv[0] + ": the server does not read what it is sent"};
      queue_ += dump_json(message) + "\n";
    }
    wake();
    return {};
  }
  Status health() const override {
    const std::lock_guard lock(mutex_);
    return health_;
  }
  void set_version(const std::string&) override {}

 private:
  void wake() {
    const uint64_t one = 1;
    if (write(wake_.get(), &one, sizeof one) < 0) return;  // it is awake already
  }

  // The thread of the transport: writes what is queued, reads what comes, until the server's output ends or we stop.
  void serve() {
    sigset_t pipe_signal;  // a server that is gone: EPIPE
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);
    std::string writing;
    while (true) {
      {
        const std::lock_guard lock(mutex_);
        writing += std::exchange(queue_, {});
        if (stopping_ && writing.empty()) break;
      }
      pollfd fds[4] = {{wake_.get(), POLLIN, 0}, {pipes_.out.get(), POLLIN, 0}, {pipes_.err.get(), POLLIN, 0},
                       {writing.empty() ? -1 : pipes_.in.get(), POLLOUT, 0}};
      if (poll(fds, 4, stopping_ ? static_cast<int>(kGrace.count()) : -1) == 0) break;
      uint64_t count = 0;
      if (fds[0].revents != 0 && read(wake_.get(), &count, sizeof count) < 0) continue;
      if (fds[3].revents != 0 && !write_some(&writing)) break;
      if (fds[2].revents != 0) read_err();
      if (fds[1].revents != 0 && !read_out()) break;
    }
    read_err();
    {
      const std::lock_guard lock(mutex_);
      if (health_.ok()) health_ = Error{Code::kUnavailable, fmt::format("{}: the server has ended{}{}", server_.argv[0], err_tail_.empty() ? "" : "; its last words: ", err_tail_)};
    }
    if (!stopping_) sink_(Json());  // whoever waits for an answer looks at health()
  }

  bool write_some(std::string* writing) {
    const ssize_t n = write(pipes_.in.get(), writing->data(), writing->size());
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    writing->erase(0, static_cast<size_t>(n));
    return true;
  }
  void read_err() {
    char block[4096];
    const ssize_t n = pipes_.err ? read(pipes_.err.get(), block, sizeof block) : 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return pipes_.err.reset();
    err_tail_.append(block, static_cast<size_t>(n));
    if (err_tail_.size() > kErrTail) err_tail_.erase(0, err_tail_.size() - kErrTail);
  }
  bool read_out() {
    char block[65536];
    const ssize_t n = read(pipes_.out.get(), block, sizeof block);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) return false;
    std::string_view bytes(block, static_cast<size_t>(n));
    for (size_t end; (end = bytes.find('\n')) != std::string_view::npos; bytes.remove_prefix(end + 1)) {
      line_ += bytes.substr(0, end);
      take_line();
      line_.clear();
    }
    line_ += bytes;
    if (line_.size() <= server_.max_message_bytes) return true;
    const std::lock_guard lock(mutex_);
    health_ = Error{Code::kResourceExhausted, fmt::format("{}: a message of more than {} bytes", server_.argv[0], server_.max_message_bytes)};
    return false;
  }
  void take_line() {
    if (line_.find_first_not_of(" \t\r") == std::string::npos) return;
    auto message = parse_json(line_);
    // Servers that print other things on stdout are wrong, but common.
    if (message.ok()) sink_(std::move(message).value());
    else log_warning(fmt::format("MCP server {}: a line on stdout is no JSON: {}", server_.argv[0], line_.substr(0, 200)));
  }

  bool ended_within(std::chrono::milliseconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    do {
      siginfo_t end{};
      if (waitid(P_PID, static_cast<id_t>(pid_), &end, WEXITED | WNOHANG | WNOWAIT) != 0 || end.si_pid == pid_) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    } while (std::chrono::steady_clock::now() < deadline);
    return false;
  }
  void end_process() {
    pipes_.in.reset(), pipes_.out.reset(), pipes_.err.reset();
    if (!ended_within(kGrace)) {
      kill(-pid_, SIGTERM);
      ended_within(kGrace);
    }
    kill(-pid_, SIGKILL);  // whatever is left of the group
    waitpid(pid_, nullptr, 0);
  }

  const StdioServer server_;
  MessageSink sink_;
  ChildPipes pipes_;
  UniqueFd wake_;
  pid_t pid_ = -1;
  std::string line_, err_tail_;
  mutable std::mutex mutex_;
  std::string queue_;       // guarded by mutex_, as are the next two
  std::atomic<bool> stopping_ = false;
  Status health_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Transport> make_stdio_transport(StdioServer server) { return std::make_unique<StdioTransport>(std::move(server)); }

}  // namespace hanlin::agent::mcp
