// Embedding and reranking as everything above the engine sees them.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "api/generate.h"
#include "base/result.h"

namespace hanlin::api {

struct EmbedRequest {
  std::vector<std::variant<std::string, std::vector<int32_t>>> inputs;  // texts or token ids
  int64_t dimensions = 0;  // 0: all; else the first `dimensions` values, normalised again (Matryoshka)
  bool truncate = false;   // false: an input that does not fit is an error that says by how many tokens
};
struct EmbedResult {
  std::vector<std::vector<float>> vectors;  // one per input, of info().dimensions or request.dimensions values
  int64_t prompt_tokens = 0;
};

struct EmbedderInfo {
  ModelInfo model;
  int64_t dimensions = 0;
  int64_t max_tokens = 0;  // of one input, special tokens included
};

// Thread-safe; calls block until the vectors are there. Callers on an I/O thread use the task pool.
class Embedder {
 public:
  virtual ~Embedder() = default;
  virtual const EmbedderInfo& embedder_info() const = 0;
  virtual Result<EmbedResult> embed(const EmbedRequest& request) = 0;
  virtual Result<std::vector<int32_t>> tokenize(const std::string& text, bool add_special, bool parse_special) const = 0;
  virtual Result<std::string> detokenize(const std::vector<int32_t>& ids) const = 0;
  virtual int64_t memory_bytes() const = 0;
};

struct RerankRequest {
  std::string query;
  std::vector<std::string> documents;
  bool truncate = true;
};
struct RerankResult {
  std::vector<float> scores;  // one per document: relevance in [0, 1] for cross-encoders (sigmoid), cosine otherwise
  int64_t prompt_tokens = 0;
};

class Reranker {
 public:
  virtual ~Reranker() = default;
  virtual const ModelInfo& reranker_info() const = 0;
  virtual Result<RerankResult> rerank(const RerankRequest& request) = 0;
  virtual int64_t memory_bytes() const = 0;
};

}  // namespace hanlin::api
