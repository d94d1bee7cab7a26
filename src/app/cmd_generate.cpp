#include <fmt/format.h>

#include <cstdio>

#include "app/commands.h"
#include "app/generation.h"
#include "app/wire.h"
#include "base/json.h"

namespace hanlin::app {
namespace {

struct Options {
  std::vector<std::string> prompt;
  SamplingFlags sampling;
  bool raw = false, json = false, stats = false;
  std::string system;
};

const char* finish_name(const api::TokenEvent& event) {
  if (!event.finish) return "";
  return *event.finish == api::FinishReason::kStop ? "stop" : *event.finish == api::FinishReason::kLength ? "length" : "cancelled";
}

Status generate(const Options& options, LoadedConfig& loaded) {
  std::string prompt = options.prompt.empty() ? "" : options.prompt[0];
  if (options.prompt.empty()) {
    HANLIN_ASSIGN(prompt, read_stdin());
  }
  HANLIN_ASSIGN(RunningModels running, start_one(loaded.values, kDefaultModels[0]));
  const api::ServedModel* model = running.set->first_generator();
  if (model == nullptr) return Error{Code::kInvalidArgument, fmt::format("'{}' embeds texts; it does not generate", running.set->models[0].name)};
  api::GenerateRequest request;
  if (options.raw || !model->generator->info().has_chat_template) {
    request.prompt = api::TextPrompt{prompt};
  } else {
    api::ChatPrompt chat;
    if (!options.system.empty()) chat.messages.push_back({"system", options.system});
    chat.messages.push_back({"user", prompt});
    request.prompt = chat;
  }
  options.sampling.apply(request);
  std::string text, finish;
  HANLIN_ASSIGN(const api::TokenEvent last, generate_to_end(*model->generator, std::move(request), [&](const api::TokenEvent& event) {
    if (event.finish) finish = finish_name(event);
    text += event.text;
    if (options.json) return;
    std::fwrite(event.text.data(), 1, event.text.size(), stdout);
    std::fflush(stdout);
  }));
  if (options.json) {
    fmt::print("{}\n", dump_json({{"model", model->name}, {"text", text}, {"finish_reason", finish}, {"prompt_tokens", last.usage.prompt_tokens},
                                  {"cached_tokens", last.usage.cached_tokens}, {"completion_tokens", last.usage.completion_tokens},
                                  {"prefill_seconds", last.prefill_seconds}, {"decode_seconds", last.decode_seconds}}, 2));
  } else {
    fmt::print("\n");
  }
  if (options.stats) fmt::print(stderr, "{}\n", speed_line(last));
  return {};
}

}  // namespace

Command generate_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "generate",
                  .summary = "Answer one prompt and exit",
                  .examples =
                      "  hanlin generate 'Write a haiku about rain'                     # the default chat model\n"
                      "  hanlin generate --raw --temperature 0 'def quicksort('         # continue the text as it is\n"
                      "  echo 你好 | hanlin generate --model smollm2-135m --json         # prompt from standard input, JSON out"};
  options->sampling.add_to(command.options);
  command.options.add("system", &options->system, "System message in front of the prompt");
  command.options.add("raw", &options->raw, "Continue the text; no chat template");
  command.options.add("json", &options->json, "Print JSON when the answer is complete");
  command.options.add("stats", &options->stats, "Print tokens and speed on stderr at the end");
  command.positionals.push_back({"prompt", "The prompt; standard input if left out", &options->prompt, 0, 1});
  command.config_flags = true;
  command.run = [options](LoadedConfig& loaded) { return generate(*options, loaded); };
  return command;
}

}  // namespace hanlin::app
