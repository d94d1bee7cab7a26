// Text to token ids and back: the one interface to every kind of tokeniser Hanlin knows.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hanlin {

struct TokenizerParts;  // text/tokenizer_parts.h: what loaders put together

struct EncodeOptions {
  bool add_special = true;    // BOS, EOS, [CLS] and the like, as the model wants them
  bool parse_special = true;  // special tokens' names in the text become those tokens; false: they are plain text
};

// A pair of texts for a cross-encoder; type_ids[i] tells which of the two ids[i] belongs to, for models that ask.
struct EncodedPair {
  std::vector<int32_t> ids;
  std::vector<int32_t> type_ids;
};

// A model's tokeniser. Immutable after load; safe from any thread.
class Tokenizer {
 public:
  explicit Tokenizer(TokenizerParts parts);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;

  // Never fails: invalid UTF-8 goes through as bytes where the model works on bytes and becomes U+FFFD elsewhere.
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const;
  // Both texts with the special tokens around them: [CLS] a [SEP] b [SEP], or <s> a </s></s> b </s>.
  EncodedPair encode_pair(std::string_view first, std::string_view second) const;
  // The text of the tokens, valid UTF-8: incomplete characters become U+FFFD; SentencePiece's dummy space at the start is
  // taken away. Ids outside the vocabulary are skipped. `skip_special` leaves out tokens for which is_special() holds.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

  // The bytes a token adds to a text (byte tokens resolved, SentencePiece's U+2581 as a space, a word of WordPiece with
  // the space before it); control tokens: their name. Empty for ids outside the vocabulary. Valid as long as the tokenizer.
  std::string_view token_bytes(int32_t id) const;
  std::string token_text(int32_t id) const;  // as the vocabulary writes it
  bool is_special(int32_t id) const;         // control tokens: skipped when decoding for users
  std::optional<int32_t> find_token(std::string_view text) const;  // by token_text
  int32_t vocab_size() const;

  std::optional<int32_t> bos() const;
  std::optional<int32_t> eos() const;
  std::optional<int32_t> pad() const;
  std::optional<int32_t> unk() const;
  std::optional<int32_t> cls() const;
  std::optional<int32_t> sep() const;
  std::optional<int32_t> mask() const;
  bool add_bos() const;  // encode() puts a token in front
  bool add_eos() const;  // and one behind
  // Tokens that end an answer: EOS, end of turn, end of message; ascending, without repetition.
  const std::vector<int32_t>& end_of_generation() const;

  int64_t max_length() const;                // tokens the model was made for, if the file tells; else 0
  const std::string& chat_template() const;  // Jinja source; empty if none
  // Whether decode() takes one space away at the start of a text (see StreamDecoder).
  bool strips_first_space() const;

 private:
  std::unique_ptr<const TokenizerParts> parts_;
};

// From a GGUF file or a Hugging Face directory (tokenizer.json, else tokenizer.model, else vocab.txt).
// Errors name the file: kNotFound, kCorrupt, kUnsupported (with what is not known).
Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::string& path);

}  // namespace hanlin
