// WordPiece: each word is covered by the longest tokens from left to right; continuations are written "##x".
#pragma once

#include <memory>
#include <string>

#include "text/subword_model.h"
#include "text/vocabulary.h"

namespace hanlin {

struct WordPieceOptions {
  std::string continuation = "##";
  int32_t unk_id = -1;
  uint32_t max_chars = 100;  // longer words are unknown as a whole
};

std::unique_ptr<SubwordModel> make_wordpiece(const Vocabulary& vocabulary, const WordPieceOptions& options);

}  // namespace hanlin
