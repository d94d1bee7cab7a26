// Search in texts on this machine: BM25 over passages, words of any script and pairs of Chinese characters.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace hanlin::agent {

struct SearchHit {
  std::string title, url, snippet;
};

// Immutable after it is loaded; any thread. Everything is kept in memory.
class SearchCorpus {
 public:
  // A folder (its .txt and .md files, folders below included; `url` is the path inside) or a file of JSON Lines, each with
  // "text" and perhaps "title" and "url". Errors: kNotFound, kIo, kCorrupt (with the line), kInvalidArgument (nothing in it),
  // kResourceExhausted (more than 256 MiB of text).
  static Result<std::shared_ptr<const SearchCorpus>> load(const std::string& path);
  // At most `n` documents, the best first, each with the passage of it that fits best. Only what shares a word with the query.
  std::vector<SearchHit> search(std::string_view query, size_t n) const;

 private:
  struct Document {
    std::string title, url, text;
  };
  struct Passage {
    uint32_t document_idx;
    size_t begin, end;   // in its text
    uint32_t n_terms = 0;
  };
  struct Posting {
    uint32_t passage_idx, count;
  };
  void add(Document document);
  Status add_folder(const std::string& path);
  Status add_lines(const std::string& path);
  Status check_size(const std::string& path) const;

  std::vector<Document> documents_;
  std::vector<Passage> passages_;
  std::unordered_map<std::string, std::vector<Posting>> index_;
  size_t n_bytes_ = 0;
  double mean_terms_ = 0;
};

// Lower-cased words of letters and digits, English plurals as singulars; of Chinese characters every pair of neighbours, and a single one where it stands alone.
std::vector<std::string> search_terms(std::string_view text);
// The part of `text` of at most `max_bytes` bytes with the most of `terms`, with "…" where something is left out; white space in it
// is single spaces.
std::string best_excerpt(std::string_view text, const std::vector<std::string>& terms, size_t max_bytes);

}  // namespace hanlin::agent
