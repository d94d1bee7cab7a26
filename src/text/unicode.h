// What the tokenisers need to know about characters: general category, white space, lower case, normal forms.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hanlin {

// General category, in the order of tools/gen_unicode_tables.py.
enum class Category : uint8_t {
  kCn, kCc, kCf, kCo, kCs, kLu, kLl, kLt, kLm, kLo, kMn, kMc, kMe, kNd, kNl, kNo,
  kPc, kPd, kPs, kPe, kPi, kPf, kPo, kSm, kSc, kSk, kSo, kZs, kZl, kZp
};

// One byte a code point: category in the low five bits, bit 6 if NFC may change it or its surroundings, bit 7 White_Space.
extern const uint8_t* const kCharInfo;  // [0x110000]

inline Category category(char32_t c) {
  return c < 0x110000 ? static_cast<Category>(kCharInfo[c] & 0x1F) : Category::kCn;
}
inline bool is_space(char32_t c) { return c < 0x110000 && (kCharInfo[c] & 0x80) != 0; }  // \s, White_Space

namespace unicode_detail {
inline bool between(char32_t c, Category first, Category last) {
  const Category g = category(c);
  return g >= first && g <= last;
}
}  // namespace unicode_detail
inline bool is_letter(char32_t c) { return unicode_detail::between(c, Category::kLu, Category::kLo); }       // \p{L}
inline bool is_mark(char32_t c) { return unicode_detail::between(c, Category::kMn, Category::kMe); }         // \p{M}
inline bool is_number(char32_t c) { return unicode_detail::between(c, Category::kNd, Category::kNo); }       // \p{N}
inline bool is_punctuation(char32_t c) { return unicode_detail::between(c, Category::kPc, Category::kPo); }  // \p{P}
inline bool is_symbol(char32_t c) { return unicode_detail::between(c, Category::kSm, Category::kSo); }       // \p{S}
inline bool is_separator(char32_t c) { return unicode_detail::between(c, Category::kZs, Category::kZp); }    // \p{Z}

// \w of regular expression engines that know Unicode (UTS #18, annex C).
bool is_word_char(char32_t c);

// Simple lower case of one code point (U+0130, whose lower case is two code points, is left to to_lower).
char32_t simple_lower(char32_t c);
// Lower case of each code point by itself (no final-sigma rule), as tokenisers do it. Invalid bytes become U+FFFD.
std::string to_lower(std::string_view text);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
// The text in a normal form (Unicode Standard Annex #15). Invalid bytes become U+FFFD. Time is linear in the text except
// for the ordering of marks, which is n log n within one run of marks.
std::string normalize(std::string_view text, NormalForm form);

}  // namespace hanlin
