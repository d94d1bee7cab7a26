// SentencePiece's compiled normalisation rules ("precompiled_charsmap"): a double-array trie over UTF-8 and the texts it
// points to. Format: sentencepiece's normalizer.cc and darts-clone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hanlin {

// Immutable; any thread.
class CharsMap {
 public:
  // `blob`: size of the trie in bytes (u32), the trie (u32 units), zero-terminated texts. kCorrupt if sizes do not fit.
  static Result<CharsMap> parse(std::string_view blob);

  // Each longest prefix the rules know is replaced, everything else is copied.
  std::string apply(std::string_view text) const;

 private:
  struct Match {
    size_t n_bytes = 0;
    uint32_t value = 0;  // offset into texts_
  };
  Match longest_match(std::string_view text) const;

  std::vector<uint32_t> units_;
  std::string texts_;
};

// Decodes standard base64 (the form in which tokenizer.json carries the rules). Errors: kCorrupt.
Result<std::string> decode_base64(std::string_view text);

}  // namespace hanlin
