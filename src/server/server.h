// The HTTP service: OpenAI-compatible API, service API, web page and metrics on one port.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "api/models.h"
#include "base/result.h"
#include "server/options.h"

namespace hanlin::agent {
class RunService;
}

namespace hanlin::server {

// Listens from start() until stop(). All functions are safe from any thread. The models must stay usable until stop()
// has returned; running generations are cancelled then.
class Server {
 public:
  // Errors: kInvalidArgument for a host that is not an address or a name, kIo when the port cannot be had.
  // `runs`: the agents it offers, or null; they are interrupted when it drains.
  static Result<std::unique_ptr<Server>> start(ServerOptions options, std::shared_ptr<const api::ModelSet> models, std::shared_ptr<agent::RunService> runs = nullptr);
  ~Server();  // stop()
  Server(const Server&) = delete;

  uint16_t port() const;  // the one in use, also when 0 was asked for

  // /health/ready says 503 from now on, new model requests are refused, idle connections close; running requests go on.
  void begin_drain();
  // True when no request is running any more, false after `timeout`.
  bool wait_idle(std::chrono::milliseconds timeout);
  // Closes everything now and joins the threads. Idempotent.
  void stop();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Blocks until SIGTERM or SIGINT, then drains for at most options.drain_timeout and stops; a second signal stops at once.
// Returns the process's exit status: 0 when every request had its answer, 1 when some were cut off.
int run_until_signal(Server& server, std::chrono::milliseconds drain_timeout);

}  // namespace hanlin::server
