#include "text/utf8.h"

namespace hanlin {
namespace {

// Length of the sequence a lead byte announces and the range its second byte must lie in (Unicode table 3-7).
struct Lead {
  uint32_t n_bytes;
  uint8_t low, high;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

CodePoint decode_multibyte(std::string_view text, size_t pos) {
  const auto first = static_cast<uint8_t>(text[pos]);
  const Lead lead = lead_of(first);
  if (lead.n_bytes < 2) return {lead.n_bytes == 1 ? char32_t{first} : kReplacementChar, 1, lead.n_bytes == 1};
  char32_t value = first & (0xFF >> (lead.n_bytes + 1));
  for (uint32_t i = 1; i < lead.n_bytes; ++i) {
    const uint8_t byte = pos + i < text.size() ? static_cast<uint8_t>(text[pos + i]) : 0;
    const uint8_t low = i == 1 ? lead.low : 0x80, high = i == 1 ? lead.high : 0xBF;
    if (byte < low || byte > high) return {kReplacementChar, i, false};
    value = (value << 6) | (byte & 0x3F);
  }
  return {value, lead.n_bytes, true};
}

void append_utf8(std::string& out, char32_t value) {
  if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) value = kReplacementChar;
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (value < 0x80) {
    put(value);
  } else if (value < 0x800) {
    put(0xC0 | (value >> 6));
    put(0x80 | (value & 0x3F));
  } else if (value < 0x10000) {
    put(0xE0 | (value >> 12));
    put(0x80 | ((value >> 6) & 0x3F));
    put(0x80 | (value & 0x3F));
  } else {
    put(0xF0 | (value >> 18));
    put(0x80 | ((value >> 12) & 0x3F));
    put(0x80 | ((value >> 6) & 0x3F));
    put(0x80 | (value & 0x3F));
  }
}

bool is_valid_utf8(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint cp = decode_utf8(text, pos);
    if (!cp.valid) return false;
    pos += cp.n_bytes;
  }
  return true;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint cp = decode_utf8(text, pos);
    if (cp.valid) {
      out.append(text.substr(pos, cp.n_bytes));
    } else {
      append_utf8(out, kReplacementChar);
    }
    pos += cp.n_bytes;
  }
  return out;
}

size_t incomplete_suffix_bytes(std::string_view text) {
  const size_t longest = text.size() < 3 ? text.size() : 3;
  for (size_t n = 1; n <= longest; ++n) {
    const size_t pos = text.size() - n;
    const Lead lead = lead_of(static_cast<uint8_t>(text[pos]));
    if (lead.n_bytes == 0) continue;  // continuation or invalid byte: look for the lead before it
    if (lead.n_bytes <= n) return 0;
    const CodePoint cp = decode_utf8(text, pos);
    return !cp.valid && cp.n_bytes == n ? n : 0;
  }
  return 0;
}

}  // namespace hanlin
