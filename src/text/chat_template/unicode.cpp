#include "text/chat_template/unicode.h"

#include <algorithm>

#include "text/chat_template/unicode_tables.h"
#include "text/unicode.h"

namespace hanlin::jinja {
namespace {

constexpr uint32_t kReplacement = 0xFFFD;
constexpr uint32_t kSigma = 0x3A3, kSmallSigma = 0x3C3, kFinalSigma = 0x3C2;

bool contains(std::span<const CodeRange> ranges, uint32_t c) {
  const auto it = std::upper_bound(ranges.begin(), ranges.end(), c, [](uint32_t v, const CodeRange& r) { return v < r.first; });
  return it != ranges.begin() && c <= (it - 1)->last;
}

void append_mapped(const CaseTable& table, uint32_t c, std::string* out) {
  const auto run = std::upper_bound(table.runs.begin(), table.runs.end(), c,
                                    [](uint32_t v, const CaseRun& r) { return v < r.first; });
  if (run != table.runs.begin()) {
    const CaseRun& r = *(run - 1);
    if (c <= r.last && (c - r.first) % r.stride == 0) {
      append_utf8(static_cast<uint32_t>(static_cast<int64_t>(c) + r.delta), out);
      return;
    }
  }
  const auto several = std::lower_bound(table.expansions.begin(), table.expansions.end(), c,
                                        [](const CaseExpansion& e, uint32_t v) { return e.from < v; });
  if (several != table.expansions.end() && several->from == c) {
    for (uint32_t to : several->to) {
      if (to != 0) append_utf8(to, out);
    }
    return;
  }
  append_utf8(c, out);
}

// Unicode's Final_Sigma: a cased letter before it and none after it, case-ignorable characters skipped on both sides.
bool is_final_sigma(std::string_view text, size_t pos, size_t n_bytes) {
  bool cased_before = false;
  for (size_t end = pos; end > 0;) {
    end = previous_start(text, end);
    const uint32_t c = decode_at(text, end).value;
    if (contains(kCaseIgnorableRanges, c)) continue;
    cased_before = is_cased(c);
    break;
  }
  if (!cased_before) return false;
  for (size_t next = pos + n_bytes; next < text.size();) {
    const CodePoint p = decode_at(text, next);
    if (!contains(kCaseIgnorableRanges, p.value)) return !is_cased(p.value);
    next += p.n_bytes;
  }
  return true;
}

void append_lower(std::string_view text, size_t pos, const CodePoint& p, std::string* out) {
  if (p.value < 0x80) {
    out->push_back(static_cast<char>(p.value >= 'A' && p.value <= 'Z' ? p.value + 32 : p.value));
  } else if (p.value == kSigma) {
    append_utf8(is_final_sigma(text, pos, p.n_bytes) ? kFinalSigma : kSmallSigma, out);
  } else {
    append_mapped(kLowerTable, p.value, out);
  }
}

void append_upper(const CodePoint& p, std::string* out) {
  if (p.value < 0x80) out->push_back(static_cast<char>(p.value >= 'a' && p.value <= 'z' ? p.value - 32 : p.value));
  else append_mapped(kUpperTable, p.value, out);
}

// Calls fn(position, code point) for each valid character; broken bytes are copied.
template <typename Fn>
std::string map_characters(std::string_view text, const Fn& fn) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint p = decode_at(text, pos);
    if (p.value == kReplacement && p.n_bytes == 1) out.push_back(text[pos]);
    else fn(pos, p, &out);
    pos += p.n_bytes;
  }
  return out;
}

}  // namespace

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

CodePoint decode_at(std::string_view text, size_t pos) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[pos + i])); };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t n = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || pos + n > text.size()) return {kReplacement, 1};
  uint32_t value = lead & (0x7Fu >> n);
  for (size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {kReplacement, 1};
    value = value << 6 | (byte(i) & 0x3F);
  }
  const bool overlong = (n == 3 && value < 0x800) || (n == 4 && value < 0x10000);
  if (overlong || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return {kReplacement, 1};
  return {value, n};
}

size_t previous_start(std::string_view text, size_t end) {
  for (size_t n = 1; n <= 4 && n <= end; ++n) {
    if ((static_cast<unsigned char>(text[end - n]) & 0xC0) != 0x80) {
      return decode_at(text, end - n).n_bytes == n ? end - n : end - 1;
    }
  }
  return end - 1;
}

void append_utf8(uint32_t c, std::string* out) {
  const auto push = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    push(c);
  } else if (c < 0x800) {
    push(0xC0 | c >> 6);
    push(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    push(0xE0 | c >> 12);
    push(0x80 | (c >> 6 & 0x3F));
    push(0x80 | (c & 0x3F));
  } else {
    push(0xF0 | c >> 18);
    push(0x80 | (c >> 12 & 0x3F));
    push(0x80 | (c >> 6 & 0x3F));
    push(0x80 | (c & 0x3F));
  }
}

bool is_valid_utf8(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint p = decode_at(text, pos);
    if (p.value == kReplacement && p.n_bytes == 1) return false;
    pos += p.n_bytes;
  }
  return true;
}

size_t count_code_points(std::string_view text) {
  size_t n = 0;
  for (size_t pos = 0; pos < text.size(); pos += decode_at(text, pos).n_bytes) ++n;
  return n;
}

size_t byte_offset(std::string_view text, size_t n) {
  size_t pos = 0;
  while (n-- > 0 && pos < text.size()) pos += decode_at(text, pos).n_bytes;
  return pos;
}

bool is_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}
bool is_line_break(uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}
bool is_printable(uint32_t c) {
  const Category g = category(c);
  const bool other = g == Category::kCn || g == Category::kCc || g == Category::kCf || g == Category::kCo || g == Category::kCs;
  return c == ' ' || (!other && !is_separator(c));
}
bool is_alphabetic(uint32_t c) { return is_letter(c); }
bool is_decimal(uint32_t c) { return category(c) == Category::kNd; }
bool is_digit(uint32_t c) { return contains(kDigitRanges, c); }
bool is_numeric(uint32_t c) { return contains(kNumericRanges, c); }
bool is_lower(uint32_t c) { return contains(kLowercaseRanges, c); }
bool is_upper(uint32_t c) { return contains(kUppercaseRanges, c); }
bool is_titlecase(uint32_t c) { return category(c) == Category::kLt; }

std::string to_lower(std::string_view text) {
  return map_characters(text, [&](size_t pos, const CodePoint& p, std::string* out) { append_lower(text, pos, p, out); });
}
std::string to_upper(std::string_view text) {
  return map_characters(text, [](size_t, const CodePoint& p, std::string* out) { append_upper(p, out); });
}
std::string to_casefold(std::string_view text) {
  return map_characters(text, [](size_t, const CodePoint& p, std::string* out) { append_mapped(kCasefoldTable, p.value, out); });
}
std::string to_capitalized(std::string_view text) {
  return map_characters(text, [&](size_t pos, const CodePoint& p, std::string* out) {
    if (pos == 0) append_mapped(kTitleTable, p.value, out);
    else append_lower(text, pos, p, out);
  });
}
std::string to_title(std::string_view text) {
  bool in_word = false;
  return map_characters(text, [&](size_t pos, const CodePoint& p, std::string* out) {
    if (in_word) append_lower(text, pos, p, out);
    else append_mapped(kTitleTable, p.value, out);
    in_word = is_cased(p.value);
  });
}
std::string swap_case(std::string_view text) {
  return map_characters(text, [&](size_t pos, const CodePoint& p, std::string* out) {
    if (is_upper(p.value)) append_lower(text, pos, p, out);
    else if (is_lower(p.value)) append_upper(p, out);
    else append_utf8(p.value, out);
  });
}

std::string_view strip_left(std::string_view text) {
  size_t pos = 0;
  while (pos < text.size()) {
    const CodePoint p = decode_at(text, pos);
    if (!is_space(p.value)) break;
    pos += p.n_bytes;
  }
  return text.substr(pos);
}
std::string_view strip_right(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    const size_t start = previous_start(text, end);
    if (!is_space(decode_at(text, start).value)) break;
    end = start;
  }
  return text.substr(0, end);
}

}  // namespace hanlin::jinja
