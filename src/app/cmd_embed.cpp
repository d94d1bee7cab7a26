#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "app/commands.h"
#include "app/generation.h"
#include "app/wire.h"
#include "base/json.h"

namespace hanlin::app {
namespace {

struct Options {
  std::vector<std::string> texts;
  int64_t dimensions = 0;
  bool truncate = false, json = false;
};

// The arguments, or the lines of standard input.
Result<std::vector<std::string>> texts_or_lines(const std::vector<std::string>& texts) {
  if (!texts.empty()) return texts;
  HANLIN_ASSIGN(const std::string input, read_stdin());
  std::vector<std::string> lines;
  std::istringstream stream(input);
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  if (lines.empty()) return Error{Code::kInvalidArgument, "expected texts as arguments or as lines on standard input, got none"};
  return lines;
}

Status embed(const Options& options, LoadedConfig& loaded) {
  HANLIN_ASSIGN(const std::vector<std::string> texts, texts_or_lines(options.texts));
  HANLIN_ASSIGN(RunningModels running, start_one(loaded.values, kDefaultModels[1]));
  const api::ServedModel* model = running.set->first_embedder();
  if (model == nullptr) return Error{Code::kInvalidArgument, fmt::format("'{}' is not an embedding model", running.set->models[0].name)};
  api::EmbedRequest request;
  request.inputs.assign(texts.begin(), texts.end());
  request.dimensions = options.dimensions;
  request.truncate = options.truncate;
  HANLIN_ASSIGN(const api::EmbedResult result, model->embedder->embed(request));
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::vector<float>& vector = result.vectors[i];
    if (options.json) {
      fmt::print("{}\n", dump_json({{"text", texts[i]}, {"embedding", vector}}));
      continue;
    }
    std::string numbers;
    for (size_t k = 0; k < std::min<size_t>(4, vector.size()); ++k) numbers += fmt::format("{:9.5f}", vector[k]);
    fmt::print("[{} …] {} values  {}\n", numbers, vector.size(), texts[i]);
  }
  return {};
}

struct RerankOptions {
  std::vector<std::string> texts;  // query, then documents
  int64_t top = 0;
  bool json = false;
};

Status rerank(const RerankOptions& options, LoadedConfig& loaded) {
  api::RerankRequest request;
  request.query = options.texts[0];
  HANLIN_ASSIGN(request.documents, texts_or_lines({options.texts.begin() + 1, options.texts.end()}));
  HANLIN_ASSIGN(RunningModels running, start_one(loaded.values, kDefaultModels[1]));
  const api::ServedModel* model = running.set->first_reranker();
  if (model == nullptr) return Error{Code::kInvalidArgument, fmt::format("'{}' cannot rank documents", running.set->models[0].name)};
  HANLIN_ASSIGN(const api::RerankResult result, model->reranker->rerank(request));
  std::vector<size_t> order(request.documents.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return result.scores[a] > result.scores[b]; });
  if (options.top > 0 && order.size() > static_cast<size_t>(options.top)) order.resize(static_cast<size_t>(options.top));
  for (const size_t i : order) {
    if (options.json) fmt::print("{}\n", dump_json({{"index", i}, {"relevance_score", result.scores[i]}, {"document", request.documents[i]}}));
    else fmt::print("{:8.4f}  {}\n", result.scores[i], request.documents[i]);
  }
  return {};
}

}  // namespace

Command embed_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "embed",
                  .summary = "Turn texts into vectors",
                  .examples =
                      "  hanlin embed 'first text' 'second text'           # a line for each\n"
                      "  hanlin embed --json < lines.txt > vectors.jsonl   # one JSON object a line"};
  command.options.add("dimensions", &options->dimensions, "Only the first values, normalised again; 0: all").range(0, 1 << 20);
  command.options.add("truncate", &options->truncate, "Cut texts that are too long instead of failing");
  command.options.add("json", &options->json, "Print {\"text\", \"embedding\"} lines");
  command.positionals.push_back({"text", "Texts; the lines of standard input if left out", &options->texts, 0, -1});
  command.config_flags = true;
  command.run = [options](LoadedConfig& loaded) { return embed(*options, loaded); };
  return command;
}

Command rerank_command() {
  auto options = std::make_shared<RerankOptions>();
  Command command{.name = "rerank",
                  .summary = "Order documents by how well they answer a query",
                  .examples =
                      "  hanlin rerank 'capital of France' 'Paris is …' 'Berlin is …'   # best first\n"
                      "  hanlin rerank --top 5 'heat pumps' < documents.txt             # documents as lines"};
  command.options.add("top", &options->top, "Only the best N; 0: all").range(0, 1 << 24);
  command.options.add("json", &options->json, "Print JSON lines");
  command.positionals.push_back({"text", "The query, then documents; documents come from standard input if left out", &options->texts, 1, -1});
  command.config_flags = true;
  command.run = [options](LoadedConfig& loaded) { return rerank(*options, loaded); };
  return command;
}

}  // namespace hanlin::app
