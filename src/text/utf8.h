// UTF-8, one code point at a time. Text from users and files may be invalid: nothing here fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hanlin {

inline constexpr char32_t kReplacementChar = 0xFFFD;

// One code point of a text: value and length in bytes (1 to 4). An invalid sequence is kReplacementChar with the length
// of its maximal well-formed prefix (at least 1), so that a whole truncated character becomes one U+FFFD
// (The Unicode Standard, section 3.9, "U+FFFD Substitution of Maximal Subparts").
struct CodePoint {
  char32_t value;
  uint32_t n_bytes;
  bool valid;
};

CodePoint decode_multibyte(std::string_view text, size_t pos);

// The code point at byte `pos`, which must be below text.size().
inline CodePoint decode_utf8(std::string_view text, size_t pos) {
  const auto byte = static_cast<uint8_t>(text[pos]);
  if (byte < 0x80) return {byte, 1, true};
  return decode_multibyte(text, pos);
}

// Appends the UTF-8 form of `value` (a surrogate or a number above U+10FFFF becomes U+FFFD).
void append_utf8(std::string& out, char32_t value);

bool is_valid_utf8(std::string_view text);

// The text with every invalid sequence replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

// What the bytes at the end of `text` are: the number of bytes of a last character that is still incomplete but could
// become valid with more bytes (0 if the text ends with a whole or an invalid sequence).
size_t incomplete_suffix_bytes(std::string_view text);

}  // namespace hanlin
