// Carries the events of a running generation to the client.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>

#include "server/exchange.h"

namespace hanlin::server {

// Runs until the answer is complete, the client is gone, or the time is over. Either returns a whole answer to be written,
// or nothing when it has written a stream itself (exchange->status says how it went; keep_alive is false if the connection
// must end). Generations that are no longer wanted are cancelled.
asio::awaitable<std::optional<HttpResponse>> run_generation(std::shared_ptr<Exchange> exchange, std::shared_ptr<RunningGeneration> running);

}  // namespace hanlin::server
