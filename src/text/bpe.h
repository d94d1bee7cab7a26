// Byte-pair encoding, in its two families: merges in the order a file lists them (GPT-2 and successors, Hugging Face
// files) and merges by the score of the result (SentencePiece).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "text/subword_model.h"
#include "text/vocabulary.h"

namespace hanlin {

// Two tokens that join, and the token they become. Earlier merges go first.
struct Merge {
  int32_t left, right, result;
};

struct BpeOptions {
  bool byte_level = false;     // symbols start as bytes (find by Vocabulary::bytes), else as characters (by text)
  bool ignore_merges = false;  // a piece that is a token stays whole even if merges would not lead to it
  ByteFallback fallback;
};

// `vocabulary` must have its bytes set; its ids must cover the merges.
std::unique_ptr<SubwordModel> make_rank_bpe(std::shared_ptr<const Vocabulary> vocabulary, const std::vector<Merge>& merges,
                                            BpeOptions options);

// SentencePiece BPE: two neighbours join if their text together is a normal or user-defined token; higher scores first.
// `scores` has one entry for each token.
std::unique_ptr<SubwordModel> make_score_bpe(std::shared_ptr<const Vocabulary> vocabulary, std::vector<float> scores,
                                             ByteFallback fallback);

}  // namespace hanlin
