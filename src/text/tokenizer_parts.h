// What a loader fills in; Tokenizer runs it. Private to this library.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/added_tokens.h"
#include "text/normalizer.h"
#include "text/pretokenizer.h"
#include "text/subword_model.h"
#include "text/vocabulary.h"

namespace hanlin {

// One entry of the pattern put around texts: a token, or one of the two texts.
struct TemplatePiece {
  static constexpr int32_t kFirstText = -1, kSecondText = -2;
  int32_t id = kFirstText;
  int32_t type_id = 0;
};

struct TokenizerParts {
  std::shared_ptr<const Vocabulary> vocabulary;
  // The way of a text: added tokens, normaliser, added tokens that look at normalised text, pre-tokeniser, model.
  AddedTokens added;
  Normalizer normalizer;
  AddedTokens added_normalized;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<SubwordModel> model;
  bool takes_bytes = false;  // invalid UTF-8 reaches the model as it is
  // The patterns around one text and around two.
  std::vector<TemplatePiece> single{{}};
  std::vector<TemplatePiece> pair{{}, {TemplatePiece::kSecondText, 0}};
  // Decoding.
  bool strip_first_space = false;
  bool space_before_control = false;  // WordPiece: names of control tokens are words

  std::optional<int32_t> bos, eos, pad, unk, cls, sep, mask;
  std::vector<int32_t> end_of_generation;  // finish() sorts and completes it
  int64_t max_length = 0;
  std::string chat_template;

  // Adds well-known end tokens found among control and user-defined tokens, and eos.
  void finish();
};

// Names under which models end an answer.
bool is_end_of_generation_name(std::string_view text);

// The loaders. `path` is used in messages.
class GgufFile;
Result<TokenizerParts> load_gguf_tokenizer(const GgufFile& file);
Result<TokenizerParts> parse_tokenizer_json(std::string_view json);           // tokenizer.json
// tokenizer.model, and the tokens that were added to it afterwards (see read_added_token_files).
Result<TokenizerParts> parse_sentencepiece_model(std::string_view protobuf, const std::vector<AddedToken>& more = {});
Result<TokenizerParts> parse_wordpiece_vocab(std::string_view text, bool lower_case);  // vocab.txt
// tokenizer_config.json and its companions, for the special tokens, the chat template and the length.
Status apply_tokenizer_config(const std::string& directory, TokenizerParts& parts);

}  // namespace hanlin
