// The service on scripted models: for trying the web page and clients without weights. Not part of the program.
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "api/scripted.h"
#include "server/server.h"

namespace {

using namespace hanlin;

// The usual parrot, slowly, as a model would write.
api::Script slow_script(const api::GenerateRequest& request, const std::string& prompt) {
  api::Script script = api::parrot_script(request, prompt);
  const char* more[] = {"\n\n", "Here is an example:\n\n", "```python\n", "def greet(name: str) -> str:\n", "    return f\"你好, {name}!\"  # <b>safe</b>\n",
                        "```\n\n", "1. **First** ", "point with `code`\n", "2. *Second* point\n\n", "| a | b |\n|---|---|\n| 1 | 2 |\n"};
  for (const char* token : more) script.tokens.push_back(token);
  return script;
}

}  // namespace

int main(int argc, char** argv) {
  server::ServerOptions options;
  options.port = static_cast<uint16_t>(argc > 1 ? std::atoi(argv[1]) : 0);
  auto models = std::make_shared<api::ModelSet>();
  api::ModelInfo info{.name = "scripted-chat", .architecture = "script", .context_length = 4096, .vocab_size = 256, .has_chat_template = true};
  models->models.push_back({.name = info.name, .generator = std::make_shared<api::ScriptedGenerator>(info, slow_script)});
  info.name = "scripted-embed";
  models->models.push_back({.name = info.name, .embedder = std::make_shared<api::ScriptedEmbedder>(info, 16, 512),
                            .reranker = std::make_shared<api::ScriptedReranker>(info)});
  auto server = server::Server::start(options, models);
  if (!server.ok()) {
    std::fprintf(stderr, "%s\n", server.error().message.c_str());
    return 1;
  }
  std::printf("listening on port %d\n", server.value()->port());
  std::fflush(stdout);
  return server::run_until_signal(*server.value(), options.drain_timeout);
}
