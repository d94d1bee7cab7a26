// Unigram language model (Kudo, "Subword Regularization", 2018): the segmentation with the highest sum of scores.
#pragma once

#include <memory>
#include <vector>

#include "text/subword_model.h"
#include "text/vocabulary.h"

namespace hanlin {

// `scores` (log-probabilities) has one entry for each token; normal and user-defined tokens take part. A character
// without a token costs 10 more than the worst score and goes through `fallback`.
std::unique_ptr<SubwordModel> make_unigram(const Vocabulary& vocabulary, std::vector<float> scores, ByteFallback fallback);

}  // namespace hanlin
