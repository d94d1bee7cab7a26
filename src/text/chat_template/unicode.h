// UTF-8 text seen as Python sees it: a sequence of code points with properties and case mappings.
// Bytes that are not UTF-8 count as one character each (U+FFFD) and are copied as they are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hanlin::jinja {

bool is_ascii(std::string_view text);
bool is_valid_utf8(std::string_view text);

struct CodePoint {
  uint32_t value;
  size_t n_bytes;
};
// The code point that starts at `pos` < text.size().
CodePoint decode_at(std::string_view text, size_t pos);
// Start of the character that ends just before `end` > 0.
size_t previous_start(std::string_view text, size_t end);
void append_utf8(uint32_t code_point, std::string* out);
size_t count_code_points(std::string_view text);
// Byte position of code point number `n` (text.size() if there are fewer).
size_t byte_offset(std::string_view text, size_t n);

bool is_space(uint32_t c);  // str.isspace, what strip() and split() go by
bool is_line_break(uint32_t c);  // str.splitlines
bool is_printable(uint32_t c);
bool is_alphabetic(uint32_t c);
bool is_decimal(uint32_t c);
bool is_digit(uint32_t c);
bool is_numeric(uint32_t c);
bool is_lower(uint32_t c);
bool is_upper(uint32_t c);
bool is_titlecase(uint32_t c);
inline bool is_cased(uint32_t c) { return is_lower(c) || is_upper(c) || is_titlecase(c); }
inline bool is_alphanumeric(uint32_t c) { return is_alphabetic(c) || is_numeric(c) || is_digit(c) || is_decimal(c); }

std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);
std::string to_casefold(std::string_view text);
std::string to_capitalized(std::string_view text);  // str.capitalize
std::string to_title(std::string_view text);        // str.title
std::string swap_case(std::string_view text);

std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
inline std::string_view strip(std::string_view text) { return strip_left(strip_right(text)); }

}  // namespace hanlin::jinja
