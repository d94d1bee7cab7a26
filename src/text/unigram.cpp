#include "text/unigram.h"

#include <algorithm>
#include <limits>

#include "text/byte_trie.h"
#include "text/utf8.h"

namespace hanlin {
namespace {

constexpr double kUnknownPenalty = 10.0;  // sentencepiece's unigram_model.cc

class Unigram : public SubwordModel {
 public:
  Unigram(const Vocabulary& vocabulary, std::vector<float> scores, ByteFallback fallback)
      : scores_(std::move(scores)), fallback_(std::move(fallback)) {
    std::vector<std::pair<std::string_view, int32_t>> entries;
    double min_score = std::numeric_limits<double>::max(), max_score = std::numeric_limits<double>::lowest();
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      const TokenKind kind = vocabulary.kind(id);
      if (kind != TokenKind::kNormal && kind != TokenKind::kUserDefined) continue;
      if (vocabulary.text(id).empty()) continue;
      entries.emplace_back(vocabulary.text(id), id);
      float& score = scores_[static_cast<size_t>(id)];
      if (!(score > -1e30f && score < 1e30f)) score = -1e30f;  // NaN and infinities would spoil every sum
      if (kind == TokenKind::kNormal) {
        min_score = std::min(min_score, double{score});
        max_score = std::max(max_score, double{score});
      }
    }
    unknown_score_ = (entries.empty() ? 0.0 : min_score) - kUnknownPenalty;
    trie_ = ByteTrie::build(std::move(entries));
  }

  void encode(std::string_view piece, std::vector<int32_t>& ids) const override {
    struct Node {
      double score = std::numeric_limits<double>::lowest();  // of the best way to here
      size_t begin = 0;                                       // of its last token
      int32_t id = -1;                                        // -1: a character without a token
    };
    std::vector<Node> best(piece.size() + 1);
    best[0].score = 0;
    for (size_t pos = 0; pos < piece.size();) {
      const size_t n_char_bytes = decode_utf8(piece, pos).n_bytes;
      const double score_here = best[pos].score;
      bool char_has_token = false;
      trie_.for_each_prefix(piece.substr(pos), [&](size_t n_bytes, int32_t id) {
        Node& node = best[pos + n_bytes];
        const double score = score_here + double{scores_[static_cast<size_t>(id)]};
        if (score > node.score) node = {score, pos, id};
        char_has_token = char_has_token || n_bytes == n_char_bytes;
      });
      if (!char_has_token) {
        Node& node = best[pos + n_char_bytes];
        if (score_here + unknown_score_ > node.score) node = {score_here + unknown_score_, pos, -1};
      }
      pos += n_char_bytes;
    }
    std::vector<std::pair<size_t, size_t>> spans;  // from the end
    for (size_t end = piece.size(); end > 0; end = best[end].begin) spans.emplace_back(best[end].begin, end);
    bool unknown = false;
    for (auto it = spans.rbegin(); it != spans.rend(); ++it) {
      const int32_t id = best[it->second].id;
      if (id >= 0) {
        ids.push_back(id);
        unknown = false;
        continue;
      }
      const std::string_view bytes = piece.substr(it->first, it->second - it->first);
      fallback_.append(bytes, ids, unknown);
      unknown = !fallback_.has_all(bytes);
    }
  }

 private:
  std::vector<float> scores_;
  ByteFallback fallback_;
  ByteTrie trie_;
  double unknown_score_ = 0;
};

}  // namespace

std::unique_ptr<SubwordModel> make_unigram(const Vocabulary& vocabulary, std::vector<float> scores, ByteFallback fallback) {
  HANLIN_CHECK(static_cast<int32_t>(scores.size()) == vocabulary.size(), "make_unigram: one score for each token");
  return std::make_unique<Unigram>(vocabulary, std::move(scores), std::move(fallback));
}

}  // namespace hanlin
