// What a model gets to see of a long conversation.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "api/embed.h"
#include "api/generate.h"

namespace hanlin::agent {

// A strategy for one conversation. It keeps what it has worked out of earlier turns, so each conversation has its own; calls
// come one after the other.
//
// All strategies keep the system messages at the beginning and the last turn. A turn is a user's message with everything up
// to the next one: calls and their results are never parted. What is remembered of other turns stands as a note in the
// system message.
class Memory {
 public:
  virtual ~Memory() = default;
  // The messages to send instead of `messages`, which is everything said so far, the newest last. May call models and then
  // blocks. Errors: those of the models.
  virtual Result<std::vector<api::Message>> select(const std::vector<api::Message>& messages) = 0;
};

// The last `n_turns` turns, at least 1; the others are forgotten.
std::unique_ptr<Memory> make_window_memory(int n_turns);

struct SummaryMemoryOptions {
  std::shared_ptr<api::TextGenerator> generator;  // counts tokens and writes the summary
  int64_t budget_tokens = 4096;   // for everything that is sent; more only where the last turn alone is longer
  int64_t summary_tokens = 512;   // of these, for the summary
  std::chrono::milliseconds timeout{120'000};     // for writing one
};
// As many of the last turns as the budget holds; the turns before them are summarised by the model, each once: a new summary
// is made of the old one and of the turns that have left since. Tokens are counted by the generator's tokenizer, or as a
// quarter of the bytes where it has none.
std::unique_ptr<Memory> make_summary_memory(SummaryMemoryOptions options);

struct RetrievalMemoryOptions {
  std::shared_ptr<api::Embedder> embedder;
  int n_recent_turns = 4;       // kept as they are, at least 1
  int n_recalled = 4;           // earlier turns that are recalled, at most
  double min_similarity = 0.2;  // cosine between a turn and the last user's message, below which it is not recalled
};
// The last turns, and of the earlier ones those most similar to what the user says now, in the order in which they were said.
// Each turn is embedded once.
std::unique_ptr<Memory> make_retrieval_memory(RetrievalMemoryOptions options);

}  // namespace hanlin::agent
