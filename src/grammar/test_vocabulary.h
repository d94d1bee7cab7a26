// A small real vocabulary for the library's tests, every byte and some longer tokens, and grammars over it.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "grammar/grammar.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

namespace hanlin::grammar {

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline const Tokenizer& tiny_tokenizer() {
  static const std::unique_ptr<const Tokenizer> tokenizer = [] {
    auto parts = parse_tokenizer_json(read_text(HANLIN_SOURCE_DIR "/tests/tokenizers/tiny-byte-level.json"));
    EXPECT_TRUE(parts.ok());
    parts->finish();
    return std::make_unique<const Tokenizer>(std::move(parts).value());
  }();
  return *tokenizer;
}

inline const GrammarCompiler& compiler() {
  static const GrammarCompiler instance(tiny_tokenizer(), tiny_tokenizer().vocab_size());
  return instance;
}

inline bool takes(const std::shared_ptr<const CompiledGrammar>& grammar, std::string_view text) {
  GrammarMatcher matcher(grammar);
  return matcher.accept_bytes(text) && matcher.can_end();
}

}  // namespace hanlin::grammar
