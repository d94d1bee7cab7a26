// Accepts connections.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>

#include "base/result.h"
#include "server/core.h"

namespace hanlin::server {

namespace asio = boost::asio;

// Opens the listening socket, on a strand of its own.
Result<asio::ip::tcp::acceptor> open_listener(asio::io_context& io, const std::string& host, uint16_t port);

// Starts a session for each connection, each on a strand of its own, until the acceptor closes.
asio::awaitable<void> run_listener(std::shared_ptr<asio::ip::tcp::acceptor> acceptor, asio::io_context& io, Core& core);

}  // namespace hanlin::server
