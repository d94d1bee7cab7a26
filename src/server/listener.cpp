#include "server/listener.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"
#include "server/connection.h"
#include "server/session.h"

namespace hanlin::server {
namespace {

using asio::ip::tcp;
constexpr std::chrono::milliseconds kAcceptRetry{50};  // out of file descriptors: wait for connections to close

void log_if_thrown(std::exception_ptr thrown) {
  if (!thrown) return;
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    log_error(fmt::format("session: exception: {}", e.what()));
  }
}

void start_session(tcp::socket socket, Core& core) {
  auto connection = std::make_shared<Connection>(std::move(socket));
  const auto executor = connection->executor();
  if (!core.add_connection(connection)) {
    asio::co_spawn(executor, refuse_session(connection, core), log_if_thrown);
    return;
  }
  asio::co_spawn(executor, run_session(connection, core), [connection, &core](std::exception_ptr thrown) {
    log_if_thrown(thrown);
    connection->close();
    core.remove_connection(connection);
  });
}

}  // namespace

Result<tcp::acceptor> open_listener(asio::io_context& io, const std::string& host, uint16_t port) {
  boost::system::error_code error;
  tcp::resolver resolver(io);
  const auto endpoints = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
  if (error || endpoints.empty()) {
    return Error{Code::kInvalidArgument, fmt::format("host: expected an address to listen on, got \"{}\": {}", host, error.message()), "host"};
  }
  const tcp::endpoint endpoint = endpoints.begin()->endpoint();
  tcp::acceptor acceptor(asio::make_strand(io));
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return Error{Code::kIo, fmt::format("listening on {} port {}: {}", host, port, error.message()), "port"};
  return acceptor;
}

asio::awaitable<void> run_listener(std::shared_ptr<tcp::acceptor> acceptor, asio::io_context& io, Core& core) {
  asio::steady_timer retry(acceptor->get_executor());
  while (acceptor->is_open()) {
    auto [error, socket] = co_await acceptor->async_accept(asio::make_strand(io), kNoThrow);
    if (!error) {
      start_session(tcp::socket(std::move(socket)), core);
    } else if (error != asio::error::operation_aborted && error != asio::error::connection_aborted) {
      log_warning(fmt::format("accepting a connection: {}", error.message()));
      retry.expires_after(kAcceptRetry);
      co_await retry.async_wait(kNoThrow);
    }
  }
}

}  // namespace hanlin::server
