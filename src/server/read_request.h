// Reads one HTTP request from a connection, with every limit and deadline applied. The only user of Beast's parser.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>

#include "server/connection.h"
#include "server/http.h"
#include "server/options.h"

namespace hanlin::server {

struct ReadResult {
  enum class Kind { kRequest, kClosed, kRefused } kind = Kind::kClosed;
  HttpRequest request;   // of a refused request: what was understood of it
  HttpResponse refusal;  // kRefused: the answer; input may remain unread, so the connection must end
};

asio::awaitable<ReadResult> read_request(std::shared_ptr<Connection> connection, const ServerOptions& options);

}  // namespace hanlin::server
