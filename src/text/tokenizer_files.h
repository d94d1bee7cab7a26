// The files that the older, "slow" tokenisers of Hugging Face leave in a directory, for loading and for converting.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "text/added_tokens.h"

namespace hanlin {

// Tokens that stand beside the vocabulary file: added_tokens_decoder of tokenizer_config.json or, where that is absent,
// added_tokens.json; in ascending order of ids. Empty if there are none. Errors: kCorrupt with the file's name.
Result<std::vector<AddedToken>> read_added_token_files(const std::string& directory);

// vocab.json and merges.txt (byte-level BPE) as the tokenizer.json that `transformers` makes of them: the class named in
// tokenizer_config.json, or the model_type of config.json, says how texts are split.
// Errors: kNotFound when one of the two is missing, kCorrupt, kUnsupported for a class whose rules are not known.
Result<std::string> bpe_files_as_tokenizer_json(const std::string& directory);

}  // namespace hanlin
