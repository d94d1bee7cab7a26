#include <fmt/format.h>

#include <cstdio>

#include "app/commands.h"
#include "base/fields.h"
#include "hub/pull.h"
#include "model/convert/quantize.h"

namespace hanlin::app {
namespace {

struct Options {
  std::vector<std::string> words;  // source, output
  std::string type = "Q4_K_M";
  int64_t threads = 0;
  bool quiet = false;
};

Status run(const Options& options) {
  HANLIN_ASSIGN(const std::string source, hub::resolve_model(options.words[0]));
  QuantizeOptions quantize_options;
  quantize_options.target = options.type;
  quantize_options.n_threads = static_cast<int>(options.threads);
  const bool bar = !options.quiet && is_terminal(2);
  if (bar) {
    quantize_options.progress = [](const QuantizeProgress& progress) {
      const int percent = progress.n_bytes > 0 ? static_cast<int>(100 * progress.n_bytes_done / progress.n_bytes) : 100;
      fmt::print(stderr, "\r\033[K[{:<40}] {:>3} %  {}/{} {}", std::string(static_cast<size_t>(percent * 40 / 100), '#'), percent, progress.n_tensors_done,
                 progress.n_tensors, progress.tensor);
      std::fflush(stderr);
      return true;
    };
  }
  const auto report = quantize(source, options.words[1], quantize_options);
  if (bar) fmt::print(stderr, "\r\033[K");
  if (!report.ok()) return report.error();
  fmt::print("{}: {}, {} tensors, {} → {}\n", options.words[1], report->architecture, report->n_tensors, format_bytes(report->source_bytes), format_bytes(report->output_bytes));
  if (report->n_requantised > 0) fmt::print("note: {} tensors were quantised before; their errors add up\n", report->n_requantised);
  if (!report->has_tokenizer) fmt::print("note: the source has no tokenizer; the file computes but cannot read text\n");
  return {};
}

}  // namespace

Command quantize_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "quantize",
                  .summary = "Convert a model to GGUF or to another GGUF type",
                  .examples =
                      "  hanlin quantize ./hf-directory model.gguf --type Q4_K_M   # Hugging Face → GGUF\n"
                      "  hanlin quantize big.gguf small.gguf --type Q4_0           # between GGUF types"};
  command.options.add("type", &options->type, "F32, F16, BF16, Q8_0, Q4_0 …, or a mix such as Q4_K_M");
  command.options.add("threads", &options->threads, "Threads; 0: all cores").range(0, 4096);
  command.options.add("quiet", &options->quiet, "No progress bar");
  command.positionals.push_back({"path", "The model, then the file to write", &options->words, 2, 2});
  command.run = [options](LoadedConfig&) { return run(*options); };
  return command;
}

}  // namespace hanlin::app
