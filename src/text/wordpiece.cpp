#include "text/wordpiece.h"

#include "text/byte_trie.h"
#include "text/utf8.h"

namespace hanlin {
namespace {

class WordPiece : public SubwordModel {
 public:
  WordPiece(const Vocabulary& vocabulary, const WordPieceOptions& options)
      : unk_id_(options.unk_id), max_chars_(options.max_chars) {
    std::vector<std::pair<std::string_view, int32_t>> first, rest;
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      const std::string_view text = vocabulary.text(id);
      if (text.empty()) continue;
      first.emplace_back(text, id);
      const size_t n = options.continuation.size();
      if (text.size() > n && text.substr(0, n) == options.continuation) rest.emplace_back(text.substr(n), id);
    }
    first_ = ByteTrie::build(std::move(first));
    rest_ = ByteTrie::build(std::move(rest));
  }

  void encode(std::string_view piece, std::vector<int32_t>& ids) const override {
    const size_t n_before = ids.size();
    uint32_t n_chars = 0;
    for (size_t pos = 0; pos < piece.size() && n_chars <= max_chars_; ++n_chars) pos += decode_utf8(piece, pos).n_bytes;
    bool known = n_chars <= max_chars_;
    for (size_t pos = 0; known && pos < piece.size();) {
      const ByteTrie::Match match = (pos == 0 ? first_ : rest_).longest_prefix(piece.substr(pos));
      known = match.n_bytes > 0;
      if (known) ids.push_back(match.value);
      pos += match.n_bytes;
    }
    if (known) return;
    ids.resize(n_before);
    if (unk_id_ >= 0) ids.push_back(unk_id_);
  }

 private:
  ByteTrie first_, rest_;
  int32_t unk_id_;
  uint32_t max_chars_;
};

}  // namespace

std::unique_ptr<SubwordModel> make_wordpiece(const Vocabulary& vocabulary, const WordPieceOptions& options) {
  return std::make_unique<WordPiece>(vocabulary, options);
}

}  // namespace hanlin
