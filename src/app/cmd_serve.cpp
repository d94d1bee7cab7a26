#include <fmt/format.h>
#include <malloc.h>

#include "app/agents.h"
#include "app/commands.h"
#include "app/wire.h"
#include "base/log.h"
#include "server/server.h"

namespace hanlin::app {
namespace {

// glibc raises the size from which it maps blocks of their own with every large block that is freed. After a few large
// requests such blocks come from the threads' heaps, which are hardly ever returned: hundreds of megabytes stay. A fixed
// size lets memory return to its level.
void return_large_blocks() { mallopt(M_MMAP_THRESHOLD, 1 << 20); }

Status serve(LoadedConfig& loaded) {
  return_large_blocks();
  const Config& config = loaded.values;
  HANLIN_ASSIGN(const std::vector<ModelChoice> choices, choose_models(config, kDefaultModels));
  HANLIN_ASSIGN(RunningModels running, start_models(config, choices));
  Agents agents;
  if (config.agents && running.set->first_generator() != nullptr) {
    HANLIN_ASSIGN(agents, start_agents(config, running.set));
  }
  const server::ServerOptions options = server_options(config);
  HANLIN_ASSIGN(std::unique_ptr<server::Server> server, server::Server::start(options, running.set, agents.service));
  const std::string url = fmt::format("http://{}:{}", config.host == "0.0.0.0" ? "127.0.0.1" : config.host, server->port());
  log_info(fmt::format("ready: chat in a browser at {}/ , API at {}/v1 , reference at {}/docs", url, url, url));
  const int status = server::run_until_signal(*server, options.drain_timeout);
  if (agents.service) agents.service->stop();
  server->stop();
  running.shutdown(std::chrono::steady_clock::now());
  if (status != 0) return Error{Code::kCancelled, "serve: some requests were still running when the time to finish was over"};
  return {};
}

}  // namespace

Command serve_command() {
  Command command{.name = "serve",
                  .summary = "Serve models over HTTP: OpenAI-compatible API, web page, metrics",
                  .examples =
                      "  hanlin serve                                   # the default chat and embedding models on port 8000\n"
                      "  hanlin serve --model smollm2-135m --port 9000  # another model, another port\n"
                      "  hanlin serve --model coder=/models/q.gguf      # a file, served under the name 'coder'\n"
                      "  hanlin serve --sql shop=shop.db                # agents may also ask this database"};
  command.config_flags = true;
  command.run = serve;
  return command;
}

}  // namespace hanlin::app
