#include "server/server.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/strand.hpp>
#include <csignal>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/log.h"
#include "server/connection.h"
#include "agent/run/service.h"
#include "server/core.h"
#include "server/listener.h"

namespace hanlin::server {
namespace {

constexpr std::chrono::milliseconds kAbortTimeout{5000};
constexpr std::chrono::milliseconds kDrainPoll{50};

}  // namespace

// The order matters: sessions (in `io`) use `core`, so the io_context goes first.
struct Server::Impl {
  Impl(ServerOptions options, std::shared_ptr<const api::ModelSet> models, std::shared_ptr<agent::RunService> runs)
      : core(std::move(options), std::move(models), std::move(runs)) {}

  Core core;
  asio::io_context io;
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  std::shared_ptr<asio::ip::tcp::acceptor> acceptor;
  uint16_t port = 0;
  std::vector<std::thread> threads;
  std::mutex stop_mutex;
  bool stopped = false;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { stop(); }
uint16_t Server::port() const { return impl_->port; }

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, std::shared_ptr<const api::ModelSet> models, std::shared_ptr<agent::RunService> runs) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(models), std::move(runs));
  HANLIN_ASSIGN(auto acceptor, open_listener(impl->io, impl->core.options.host, impl->core.options.port));
  impl->port = acceptor.local_endpoint().port();
  impl->acceptor = std::make_shared<asio::ip::tcp::acceptor>(std::move(acceptor));
  const auto strand = impl->acceptor->get_executor();
  asio::co_spawn(strand, run_listener(impl->acceptor, impl->io, impl->core), asio::detached);
  for (int i = 0; i < std::max(impl->core.options.n_io_threads, 1); ++i) {
    impl->threads.emplace_back([io = &impl->io] { io->run(); });
  }
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

void Server::begin_drain() {
  impl_->core.draining = true;
  if (impl_->core.runs) impl_->core.runs->interrupt();
  for (const auto& connection : impl_->core.connections()) connection->close_if_idle_from_any_thread();
}

bool Server::wait_idle(std::chrono::milliseconds timeout) { return impl_->core.wait_no_requests(timeout); }

void Server::stop() {
  const std::lock_guard lock(impl_->stop_mutex);
  if (std::exchange(impl_->stopped, true)) return;
  Core& core = impl_->core;
  core.draining = true;
  core.refuse_connections();
  const auto strand = impl_->acceptor->get_executor();
  asio::post(strand, [acceptor = impl_->acceptor] {
    boost::system::error_code ignored;
    acceptor->close(ignored);
  });
  for (const auto& connection : core.connections()) connection->abort_from_any_thread();
  if (!core.wait_no_connections(kAbortTimeout)) log_warning("server: some connections did not end in time");
  core.submit_pool.stop();
  core.blocking_pool.stop();
  impl_->work.reset();
  impl_->io.stop();
  for (std::thread& thread : impl_->threads) thread.join();
}

int run_until_signal(Server& server, std::chrono::milliseconds drain_timeout) {
  asio::io_context io;
  asio::signal_set signals(io, SIGTERM, SIGINT);
  int n_signals = 0;
  std::function<void()> wait_for_signal = [&] {
    signals.async_wait([&](const boost::system::error_code& error, int number) {
      if (error) return;
      ++n_signals;
      log_info(fmt::format("server: signal {}: {}", number, n_signals == 1 ? "finishing running requests, then stopping" : "stopping now"));
      if (n_signals == 1) server.begin_drain();
      wait_for_signal();
    });
  };
  wait_for_signal();
  while (n_signals == 0) io.run_one();
  bool idle = false;
  const auto give_up_at = std::chrono::steady_clock::now() + drain_timeout;
  while (n_signals < 2 && !idle && std::chrono::steady_clock::now() < give_up_at) {
    io.poll();
    idle = server.wait_idle(kDrainPoll);
  }
  server.stop();
  return idle ? 0 : 1;
}

}  // namespace hanlin::server
