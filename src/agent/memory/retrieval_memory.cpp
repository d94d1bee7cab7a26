#include <algorithm>
#include <cmath>
#include <map>

#include "agent/memory/memory.h"
#include "agent/memory/turns.h"

namespace hanlin::agent {
namespace {

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double dot = 0, a2 = 0, b2 = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    a2 += static_cast<double>(a[i]) * a[i];
    b2 += static_cast<double>(b[i]) * b[i];
  }
  return a2 > 0 && b2 > 0 ? dot / std::sqrt(a2 * b2) : 0;
}

class RetrievalMemory final : public Memory {
 public:
  explicit RetrievalMemory(RetrievalMemoryOptions options) : options_(std::move(options)) {}

  Result<std::vector<api::Message>> select(const std::vector<api::Message>& messages) override {
    const Turns turns = split_turns(messages);
    const size_t n_recent = std::min(turns.turns.size(), static_cast<size_t>(std::max(options_.n_recent_turns, 1)));
    const size_t first = turns.turns.size() - n_recent;
    if (first == 0) return messages;
    const std::string question = last_question(messages, turns);
    std::vector<std::string> earlier;
    for (size_t i = 0; i < first; ++i) earlier.push_back(turn_text(messages, turns.turns[i]));
    HANLIN_TRY(embed(earlier, question));

    std::vector<std::pair<double, size_t>> found;  // similarity, turn
    for (size_t i = 0; i < earlier.size(); ++i) {
      const double similarity = earlier[i].empty() || question.empty() ? -1 : cosine(vectors_.at(earlier[i]), vectors_.at(question));
      if (similarity >= options_.min_similarity) found.emplace_back(similarity, i);
    }
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    if (found.size() > static_cast<size_t>(std::max(options_.n_recalled, 0))) found.resize(static_cast<size_t>(std::max(options_.n_recalled, 0)));
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    std::string note;
    for (const auto& [similarity, turn] : found) note += (note.empty() ? "From earlier in this conversation:\n" : "\n---\n") + earlier[turn];
    return compose(messages, turns, first, note);
  }

 private:
  static std::string last_question(const std::vector<api::Message>& messages, const Turns& turns) {
    const api::Message& begin = messages[turns.turns.back().begin];
    return begin.content;
  }

  // Makes the vectors that are missing.
  Status embed(const std::vector<std::string>& earlier, const std::string& question) {
    std::vector<std::string> missing;
    const auto add = [&](const std::string& text) {
      if (!text.empty() && !vectors_.contains(text) && std::find(missing.begin(), missing.end(), text) == missing.end()) missing.push_back(text);
    };
    for (const std::string& text : earlier) add(text);
    add(question);
    if (missing.empty()) return {};
    api::EmbedRequest request;
    request.inputs.assign(missing.begin(), missing.end());
    request.truncate = true;
    Result<api::EmbedResult> result = options_.embedder->embed(request);
    if (!result.ok()) return std::move(result).error().with_context("memory of the conversation");
    for (size_t i = 0; i < missing.size(); ++i) vectors_[missing[i]] = std::move(result->vectors.at(i));
    return {};
  }

  const RetrievalMemoryOptions options_;
  std::map<std::string, std::vector<float>> vectors_;  // by text
};

}  // namespace

std::unique_ptr<Memory> make_retrieval_memory(RetrievalMemoryOptions options) { return std::make_unique<RetrievalMemory>(std::move(options)); }

}  // namespace hanlin::agent
