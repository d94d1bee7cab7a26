// The pre-tokenisers that GGUF files name in tokenizer.ggml.pre.
#pragma once

#include <string_view>
#include <vector>

namespace hanlin {

struct GgufPreTokenizer {
  std::vector<std::string_view> regexes;  // run in order, matches isolated
  bool nfc = false;                       // the model's own tokeniser normalises first
  bool ignore_merges = false;
  bool add_bos = false;                   // where the file does not say
  bool add_sep = false;
};

// Null for an unknown name.
const GgufPreTokenizer* find_gguf_pretokenizer(std::string_view name);

}  // namespace hanlin
