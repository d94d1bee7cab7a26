// A vocabulary as a trie over bytes: one walk tests every token, and whole subtrees fall away at the first bad byte.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/dfa.h"
#include "text/tokenizer.h"

namespace hanlin::grammar {

// A bit for each token id, in words of 32 bits.
using TokenBits = std::vector<uint32_t>;
inline size_t mask_words(int64_t vocab_size) { return static_cast<size_t>((vocab_size + 31) / 32); }
inline void set_bit(std::span<uint32_t> bits, int32_t id) { bits[static_cast<size_t>(id) / 32] |= 1u << (id % 32); }
inline bool has_bit(std::span<const uint32_t> bits, int32_t id) { return bits[static_cast<size_t>(id) / 32] >> (id % 32) & 1; }

// Tokens as paths of bytes or of code points. Nodes in depth-first order. Immutable.
class TokenTrie {
 public:
  struct Node {
    uint32_t unit : 24 = 0;  // byte or code point
    uint32_t depth : 8 = 0;  // of its parent; tokens longer than 255 units are left out
    int32_t token = -1;     // first of the tokens that end here
    int32_t after = 0;      // first node behind the subtree
  };
  // Tokens: (units, id); Text: std::string_view or std::u32string. Ids of equal texts share a node.
  template <typename Text>
  void build(std::vector<std::pair<Text, int32_t>> tokens, int64_t vocab_size);
  const std::vector<Node>& nodes() const { return nodes_; }
  // The child of the root for a byte (or code point below 256), or -1.
  int32_t root_child(uint8_t byte) const { return roots_[byte]; }
  int32_t max_depth() const { return max_depth_; }
  template <typename Fn>
  void for_each_token(const Node& node, const Fn& fn) const {
    for (int32_t id = node.token; id >= 0; id = same_[static_cast<size_t>(id)]) fn(id);
  }

 private:
  std::vector<Node> nodes_;
  std::vector<int32_t> same_;
  std::array<int32_t, 256> roots_ = {};
  int32_t max_depth_ = 0;
};

// What constrained decoding knows of a vocabulary. Immutable; any thread.
class TokenVocabulary {
 public:
  // `tokenizer` need not outlive the vocabulary. `vocab_size` may be larger than the tokenizer's (padded models).
  TokenVocabulary(const Tokenizer& tokenizer, int64_t vocab_size);

  int64_t size() const { return size_; }
  std::string_view bytes(int32_t id) const { return id >= 0 && static_cast<size_t>(id) < bytes_.size() ? bytes_[static_cast<size_t>(id)] : std::string_view(); }
  // Tokens that are text; control tokens are never allowed inside a grammar.
  bool is_text(int32_t id) const { return id >= 0 && static_cast<size_t>(id) < is_text_.size() && is_text_[static_cast<size_t>(id)]; }
  bool ends(int32_t id) const;
  const std::vector<int32_t>& end_tokens() const { return ends_; }
  // Tokens with a name that are no text, except end tokens.
  const std::vector<int32_t>& control_tokens() const { return controls_; }
  // The lengths of the text tokens that `text` begins with, and of the control tokens in `markers` (ascending ids).
  std::vector<size_t> token_lengths(std::string_view text, std::span<const int32_t> markers = {}) const;
  const TokenTrie& trie() const { return trie_; }
  // Tokens with a quote in them, which may end a JSON string.
  const TokenTrie& quote_trie() const { return quote_trie_; }
  // Tokens of whole characters that are content of a JSON string as they stand, by code points.
  const TokenTrie& plain_trie() const { return plain_trie_; }
  // All other text tokens: with quotes, escapes or parts of characters.
  const TokenTrie& odd_trie() const { return odd_trie_; }
  // Tokens that are content of a JSON string wherever any content is allowed.
  const TokenBits& content() const { return content_; }
  // The same without tokens of more than `n` characters (one that is not whole counts).
  TokenBits content_up_to(int64_t n) const;
  // Every byte has a token of its own among the printable ASCII characters, so that every text can be spelled.
  bool spells_ascii() const { return spells_ascii_; }
  // Every continuation byte of UTF-8, too: a token may leave a character half-written.
  bool completes_characters() const { return completes_characters_; }

 private:
  int64_t size_;
  std::vector<std::string> bytes_;
  std::vector<char> is_text_;
  std::vector<int32_t> ends_, controls_;
  TokenTrie trie_, quote_trie_, plain_trie_, odd_trie_;
  TokenBits content_;
  std::vector<std::pair<int32_t, int32_t>> content_lengths_;  // (characters, id) of content tokens, longest first
  bool spells_ascii_ = true, completes_characters_ = true;
};

// For each state of an automaton of a few texts, inside a JSON string: fewest tokens to an end. Nothing if it is not of
// that kind (single characters, no loops): then bytes are a fair bound.
std::optional<std::vector<int32_t>> literal_costs(const TokenVocabulary& vocabulary, const Dfa& dfa);

}  // namespace hanlin::grammar
