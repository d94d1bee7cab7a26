// Tokens recognised in a text before anything else happens to it: special tokens and words added by hand.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/byte_trie.h"

namespace hanlin {

// As tokenizer.json describes it.
struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool special = false;
  bool lstrip = false, rstrip = false;  // swallows the white space on that side
  bool single_word = false;             // only where no word character touches it
};

// Immutable after build; any thread.
class AddedTokens {
 public:
  // Errors: kCorrupt for a content longer than kMaxBytes (the cost of the search at each position).
  static Result<AddedTokens> build(std::vector<AddedToken> tokens);
  static constexpr size_t kMaxBytes = 1024;

  bool empty() const { return tokens_.empty(); }

  struct Segment {
    size_t begin, end;
    int32_t id;  // -1: text
  };
  // Cuts `text` into tokens found (leftmost, then longest) and the stretches between them. `parse_special` false leaves
  // special tokens' names as text.
  void split(std::string_view text, bool parse_special, std::vector<Segment>& segments) const;

 private:
  std::vector<AddedToken> tokens_;
  ByteTrie all_, not_special_;  // values: indexes into tokens_
};

}  // namespace hanlin
