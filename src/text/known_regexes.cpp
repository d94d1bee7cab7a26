#include "text/known_regexes.h"

#include <array>
#include <cstdint>

#include "text/unicode.h"
#include "text/utf8.h"

namespace hanlin {
namespace {

enum CharBits : uint32_t {
  kLetter = 1, kNumber = 2, kSpace = 4, kMark = 8, kPunctuation = 16, kSymbol = 32,
  kUpperish = 64,  // Lu Lt Lm Lo M
  kLowerish = 128  // Ll Lm Lo M
};

constexpr std::array<uint8_t, 32> make_bits() {
  std::array<uint8_t, 32> bits{};
  const auto set = [&bits](Category first, Category last, uint32_t value) {
    for (int i = static_cast<int>(first); i <= static_cast<int>(last); ++i) bits[static_cast<size_t>(i)] |= static_cast<uint8_t>(value);
  };
  set(Category::kLu, Category::kLo, kLetter);
  set(Category::kMn, Category::kMe, kMark | kUpperish | kLowerish);
  set(Category::kNd, Category::kNo, kNumber);
  set(Category::kPc, Category::kPo, kPunctuation);
  set(Category::kSm, Category::kSo, kSymbol);
  set(Category::kLu, Category::kLu, kUpperish);
  set(Category::kLt, Category::kLt, kUpperish);
  set(Category::kLl, Category::kLl, kLowerish);
  set(Category::kLm, Category::kLo, kUpperish | kLowerish);
  return bits;
}
constexpr std::array<uint8_t, 32> kBitsOfCategory = make_bits();

struct Char {
  char32_t value = 0;
  uint32_t n_bytes = 0;
  uint32_t bits = 0;  // 0 also at the end of the text
  bool is(uint32_t mask) const { return (bits & mask) != 0; }
  bool end() const { return n_bytes == 0; }
};

inline Char char_at(std::string_view text, size_t pos) {
  if (pos >= text.size()) return {};
  const CodePoint cp = decode_utf8(text, pos);
  const uint8_t info = kCharInfo[cp.value];
  return {cp.value, cp.n_bytes, kBitsOfCategory[info & 0x1F] | ((info & 0x80) != 0 ? uint32_t{kSpace} : 0)};
}

// End of the run of characters that have (or, with `want` false, lack) a bit of `mask`.
inline size_t run_end(std::string_view text, size_t pos, uint32_t mask, bool want = true) {
  while (pos < text.size()) {
    const Char c = char_at(text, pos);
    if (c.is(mask) != want) break;
    pos += c.n_bytes;
  }
  return pos;
}

inline size_t newlines_end(std::string_view text, size_t pos, bool slash = false) {
  while (pos < text.size() && (text[pos] == '\r' || text[pos] == '\n' || (slash && text[pos] == '/'))) ++pos;
  return pos;
}

// 's 't 're 've 'm 'll 'd after an apostrophe at `pos`; bytes with the apostrophe, 0 for none. Case folding also equates
// 's' with U+017F (long s).
size_t contraction(std::string_view text, size_t pos, bool ignore_case) {
  if (text[pos] != '\'' || pos + 1 >= text.size()) return 0;
  const auto letter = [&](size_t i) -> char {
    if (i >= text.size()) return 0;
    const char c = text[i];
    return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  if (ignore_case && text.substr(pos + 1, 2) == "\xC5\xBF") return 3;
  const char a = letter(pos + 1), b = letter(pos + 2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
  return 0;
}

// \s*[\r\n]+ (if `newlines`) | \s+(?!\S) | \s+ at a white space.
size_t white_space(std::string_view text, size_t pos, bool newlines) {
  size_t end = pos, last_begin = pos, newline_end = 0;
  while (end < text.size()) {
    const Char c = char_at(text, end);
    if (!c.is(kSpace)) break;
    last_begin = end;
    end += c.n_bytes;
    if (c.value == '\r' || c.value == '\n') newline_end = end;
  }
  if (newlines && newline_end != 0) return newline_end - pos;
  if (end == text.size() || last_begin == pos) return end - pos;
  return last_begin - pos;
}

// [0-9][0-9][0-9]
size_t scan_three_digits(std::string_view text, size_t pos) {
  if (pos + 3 > text.size()) return 0;
  for (const char c : text.substr(pos, 3)) {
    if (c < '0' || c > '9') return 0;
  }
  return 3;
}

size_t scan_gpt2(std::string_view text, size_t pos) {
  if (const size_t n = contraction(text, pos, false)) return n;
  const Char first = char_at(text, pos);
  const size_t start = first.value == ' ' ? pos + 1 : pos;
  const Char c = start == pos ? first : char_at(text, start);
  if (!c.end() && !c.is(kSpace)) {
    if (c.is(kLetter)) return run_end(text, start + c.n_bytes, kLetter) - pos;
    if (c.is(kNumber)) return run_end(text, start + c.n_bytes, kNumber) - pos;
    return run_end(text, start + c.n_bytes, kSpace | kLetter | kNumber, false) - pos;
  }
  return white_space(text, pos, false);
}

// The part common to cl100k and its relatives, after the alternatives for words: digits, signs, white space.
template <int kMaxDigits, bool kSlash>
size_t digits_signs_spaces(std::string_view text, size_t pos, const Char& first) {
  if (first.is(kNumber)) {
    size_t end = pos + first.n_bytes;
    for (int n = 1; n < kMaxDigits; ++n) {
      const Char c = char_at(text, end);
      if (!c.is(kNumber)) break;
      end += c.n_bytes;
    }
    return end - pos;
  }
  const size_t start = first.value == ' ' ? pos + 1 : pos;
  const Char c = start == pos ? first : char_at(text, start);
  if (!c.end() && !c.is(kSpace | kLetter | kNumber)) {
    const size_t end = run_end(text, start + c.n_bytes, kSpace | kLetter | kNumber, false);
    return newlines_end(text, end, kSlash) - pos;
  }
  return first.is(kSpace) ? white_space(text, pos, true) : 0;
}

// cl100k as Llama 3 (three digits) and Qwen 2 (one digit) use it.
template <int kMaxDigits>
size_t scan_cl100k(std::string_view text, size_t pos) {
  if (const size_t n = contraction(text, pos, true)) return n;
  const Char first = char_at(text, pos);
  if (first.is(kLetter)) return run_end(text, pos + first.n_bytes, kLetter) - pos;
  if (!first.is(kNumber) && first.value != '\r' && first.value != '\n') {
    const Char next = char_at(text, pos + first.n_bytes);
    if (next.is(kLetter)) return run_end(text, pos + first.n_bytes + next.n_bytes, kLetter) - pos;
  }
  return digits_signs_spaces<kMaxDigits, false>(text, pos, first);
}

// upper* lower+, where letters without case and marks are both. Bytes matched, 0 for none.
size_t o200k_lower_word(std::string_view text, size_t pos) {
  const size_t upper_end = run_end(text, pos, kUpperish);
  const size_t lower_end = run_end(text, upper_end, kLowerish);
  if (lower_end > upper_end) return lower_end - pos;
  // Nothing lower-case follows: upper* gives back characters until one of them is lowerish too.
  size_t last_lowerish_end = pos;
  for (size_t i = pos; i < upper_end;) {
    const Char c = char_at(text, i);
    i += c.n_bytes;
    if (c.is(kLowerish)) last_lowerish_end = i;
  }
  return last_lowerish_end - pos;
}

// upper+ lower*. Bytes matched, 0 for none.
size_t o200k_upper_word(std::string_view text, size_t pos) {
  const size_t upper_end = run_end(text, pos, kUpperish);
  return upper_end == pos ? 0 : run_end(text, upper_end, kLowerish) - pos;
}

template <int kMaxDigits, bool kContractions>
size_t scan_o200k(std::string_view text, size_t pos) {
  const Char first = char_at(text, pos);
  // Both alternatives may start with one character that is neither letter, number nor line end; taking it is tried first.
  const bool lead = !first.is(kLetter | kNumber) && first.value != '\r' && first.value != '\n';
  for (const auto word : {o200k_lower_word, o200k_upper_word}) {
    size_t n_bytes = lead ? word(text, pos + first.n_bytes) : 0;
    if (n_bytes != 0) {
      n_bytes += first.n_bytes;
    } else {
      n_bytes = word(text, pos);
    }
    if (n_bytes == 0) continue;
    if (kContractions && pos + n_bytes < text.size()) n_bytes += contraction(text, pos + n_bytes, true);
    return n_bytes;
  }
  return digits_signs_spaces<kMaxDigits, true>(text, pos, first);
}

size_t scan_deepseek_v3(std::string_view text, size_t pos) {
  const auto ascii_letter = [&](size_t i) {
    return i < text.size() && ((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z'));
  };
  const Char first = char_at(text, pos);
  if (first.value < 128 && first.is(kPunctuation | kSymbol) && ascii_letter(pos + 1)) {
    size_t end = pos + 2;
    while (ascii_letter(end)) ++end;
    return end - pos;
  }
  if (!first.is(kLetter | kPunctuation | kSymbol) && first.value != '\r' && first.value != '\n') {
    const Char next = char_at(text, pos + first.n_bytes);
    if (next.is(kLetter | kMark)) return run_end(text, pos + first.n_bytes + next.n_bytes, kLetter | kMark) - pos;
  }
  if (first.is(kLetter | kMark)) return run_end(text, pos + first.n_bytes, kLetter | kMark) - pos;
  const size_t start = first.value == ' ' ? pos + 1 : pos;
  const Char c = start == pos ? first : char_at(text, start);
  if (c.is(kPunctuation | kSymbol)) {
    return newlines_end(text, run_end(text, start + c.n_bytes, kPunctuation | kSymbol)) - pos;
  }
  return first.is(kSpace) ? white_space(text, pos, true) : 0;
}

}  // namespace

const std::string_view kGpt2Regex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string_view kLlama3Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kQwen2Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kDeepseekV3Regex =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kO200kRegex =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kTekkenRegex =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

SplitScanner find_known_regex(std::string_view regex) {
  struct Known {
    std::string_view regex;
    SplitScanner scanner;
  };
  static const Known kKnown[] = {
      {kGpt2Regex, scan_gpt2},
      {"[0-9][0-9][0-9]", scan_three_digits},
      {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))", scan_gpt2},
      {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", scan_gpt2},
      {kLlama3Regex, scan_cl100k<3>},
      {R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       scan_cl100k<3>},
      {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
       scan_cl100k<3>},
      {kQwen2Regex, scan_cl100k<1>},
      {R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       scan_cl100k<1>},
      {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
       scan_cl100k<3>},
      {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
       scan_cl100k<1>},
      {kDeepseekV3Regex, scan_deepseek_v3},
      {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S))",
       scan_deepseek_v3},
      {kO200kRegex, (scan_o200k<3, true>)},
      {kTekkenRegex, (scan_o200k<1, false>)},
  };
  for (const Known& known : kKnown) {
    if (known.regex == regex) return known.scanner;
  }
  return nullptr;
}

}  // namespace hanlin
