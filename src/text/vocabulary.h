// The tokens of a model: texts as the file writes them, kinds, and the bytes they stand for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hanlin {

enum class TokenKind : uint8_t {
  kNormal,
  kUnknown,      // <unk>
  kControl,      // <s>, <|im_end|>, [CLS]: part of the protocol, not of the text
  kUserDefined,  // added by hand, always recognised in texts
  kUnused,
  kByte,  // <0x0A>: one byte of a character that has no token
};

// Strings packed one after the other, found by index.
class StringPool {
 public:
  void add(std::string_view text) {
    bytes_.append(text);
    ends_.push_back(bytes_.size());
  }
  size_t size() const { return ends_.size(); }
  std::string_view operator[](size_t i) const {
    const size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(bytes_).substr(begin, ends_[i] - begin);
  }

 private:
  std::string bytes_;
  std::vector<size_t> ends_;
};

// An open-addressing table from the strings of a pool to their indexes.
class StringIndex {
 public:
  // Indexes pool[i] for which `wanted` says so; of equal strings the lowest index wins. `pool` must outlive the index
  // unchanged in content (it may move).
  template <typename Wanted>
  void build(const StringPool& pool, const Wanted& wanted) {
    reserve(pool.size());
    for (size_t i = 0; i < pool.size(); ++i) {
      if (!pool[i].empty() && wanted(i)) insert(pool, static_cast<int32_t>(i));
    }
  }
  int32_t find(const StringPool& pool, std::string_view text) const;  // -1 if absent

 private:
  void reserve(size_t n);
  void insert(const StringPool& pool, int32_t id);
  struct Slot {
    int32_t id = -1;
    uint32_t hash = 0;  // upper half: spares most comparisons of strings
  };
  std::vector<Slot> slots_;
};

// Immutable once built; any thread.
class Vocabulary {
 public:
  struct Token {
    std::string text;
    TokenKind kind = TokenKind::kNormal;
  };
  // Ids are positions. Tokens with empty text are holes.
  static Vocabulary build(const std::vector<Token>& tokens);

  int32_t size() const { return static_cast<int32_t>(kinds_.size()); }
  bool contains(int32_t id) const { return id >= 0 && id < size(); }
  std::string_view text(int32_t id) const { return texts_[static_cast<size_t>(id)]; }
  TokenKind kind(int32_t id) const { return kinds_[static_cast<size_t>(id)]; }
  int32_t find(std::string_view text) const { return by_text_.find(texts_, text); }  // any kind; -1 if absent

  // The bytes each token adds to a text; set once by the loader with set_bytes.
  std::string_view bytes(int32_t id) const { return bytes_[static_cast<size_t>(id)]; }
  // A normal token by its bytes; -1 if absent.
  int32_t find_bytes(std::string_view bytes) const { return by_bytes_.find(bytes_, bytes); }
  size_t max_bytes() const { return max_bytes_; }  // of normal and user-defined tokens
  void set_bytes(const std::vector<std::string>& bytes);

 private:
  StringPool texts_, bytes_;
  StringIndex by_text_, by_bytes_;
  std::vector<TokenKind> kinds_;
  size_t max_bytes_ = 0;
};

// How the vocabulary's texts spell bytes.
enum class Spelling {
  kByteLevel,   // GPT-2's alphabet: one printable character for each byte
  kMetaspace,   // SentencePiece: U+2581 is a space, <0xNN> a byte
  kWordPiece,   // ##x continues a word, anything else starts one (and brings a space)
};
// The bytes that token stands for. Added tokens (kControl, kUserDefined, kUnknown) stand for their own text.
std::string token_bytes_of(std::string_view text, TokenKind kind, Spelling spelling);

// The value of a byte token "<0x0A>"; empty if `text` is none.
std::optional<uint8_t> parse_byte_token(std::string_view text);

// Upper bound of ids a file may use; far above every model, small enough that no file can exhaust memory with it.
inline constexpr int64_t kMaxVocabulary = int64_t{1} << 23;

}  // namespace hanlin
