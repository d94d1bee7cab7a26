// The life of one connection.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "server/connection.h"
#include "server/core.h"

namespace hanlin::server {

// Reads requests and answers them one after the other until either side ends it. Runs on the connection's strand.
asio::awaitable<void> run_session(std::shared_ptr<Connection> connection, Core& core);

// Answers 503 and closes: too many connections.
asio::awaitable<void> refuse_session(std::shared_ptr<Connection> connection, Core& core);

}  // namespace hanlin::server
