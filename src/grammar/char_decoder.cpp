#include "grammar/char_decoder.h"

#include <algorithm>

namespace hanlin::grammar {
namespace {

// kind << 28 | count << 24 | value.
enum : uint32_t { kUtf8 = 1, kEscape = 2, kHex = 3, kHigh = 4, kHighEscape = 5, kLowHex = 6 };
constexpr uint32_t pack(uint32_t kind, uint32_t count, uint32_t value) { return kind << 28 | count << 24 | value; }
constexpr uint32_t kind_of(CharState s) { return s >> 28; }
constexpr uint32_t count_of(CharState s) { return s >> 24 & 15; }
constexpr uint32_t value_of(CharState s) { return s & 0xFFFFFF; }

CharStep dead() { return {}; }
CharStep partial(CharState s) { return {CharStep::Kind::kPartial, s}; }
CharStep done(uint32_t cp) { return {CharStep::Kind::kCodePoint, cp}; }

int hex_value(uint8_t b) {
  if (b >= '0' && b <= '9') return b - '0';
  const int letter = b | 32;
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

// UTF-8: count = bytes left, value = bits so far, with the length in bits 21..22 to know overlong forms.
CharStep step_utf8(CharState s, uint8_t byte) {
  if ((byte & 0xC0) != 0x80) return dead();
  const uint32_t length = value_of(s) >> 21, left = count_of(s), bits = (value_of(s) & 0x1FFFFF) << 6 | (byte & 0x3F);
  const uint32_t lo = bits << (6 * (left - 1)), hi = ((bits + 1) << (6 * (left - 1))) - 1;
  const uint32_t least = length == 1 ? 0x80 : length == 2 ? 0x800 : 0x10000;
  if (hi < least || lo > 0x10FFFF || (lo >= 0xD800 && hi <= 0xDFFF)) return dead();
  return left == 1 ? done(bits) : partial(pack(kUtf8, left - 1, length << 21 | bits));
}

}  // namespace

CharStep step_char(CharState s, uint8_t byte, bool json) {
  if (s == 0) {
    if (byte < 0x80) {
      if (!json) return done(byte);
      if (byte == '\\') return partial(pack(kEscape, 0, 0));
      return byte < 0x20 || byte == '"' ? dead() : done(byte);
    }
    if (byte >= 0xC2 && byte <= 0xDF) return partial(pack(kUtf8, 1, 1u << 21 | (byte & 0x1F)));
    if (byte >= 0xE0 && byte <= 0xEF) return partial(pack(kUtf8, 2, 2u << 21 | (byte & 0x0F)));
    if (byte >= 0xF0 && byte <= 0xF4) return partial(pack(kUtf8, 3, 3u << 21 | (byte & 0x07)));
    return dead();
  }
  const uint32_t value = value_of(s), count = count_of(s);
  switch (kind_of(s)) {
    case kUtf8: return step_utf8(s, byte);
    case kEscape:
      switch (byte) {
        case '"': case '\\': case '/': return done(byte);
        case 'b': return done(8);
        case 'f': return done(12);
        case 'n': return done(10);
        case 'r': return done(13);
        case 't': return done(9);
        case 'u': return partial(pack(kHex, 0, 0));
        default: return dead();
      }
    case kHex: {
      const int digit = hex_value(byte);
      if (digit < 0) return dead();
      const uint32_t v = value << 4 | static_cast<uint32_t>(digit);
      if (count == 1 && v >= 0xDC && v <= 0xDF) return dead();                                 // half a pair
      if ((count == 2 && v >= 0x2 && v <= 0x6) || (count == 3 && v >= 0x20 && v <= 0x7E)) return dead();  // printable: as itself
      if (count < 3) return partial(pack(kHex, count + 1, v));
      return v >= 0xD800 && v <= 0xDBFF ? partial(pack(kHigh, 0, v)) : done(v);
    }
    case kHigh: return byte == '\\' ? partial(pack(kHighEscape, 0, value)) : dead();
    case kHighEscape: return byte == 'u' ? partial(pack(kLowHex, 0, value & 0x3FF)) : dead();
    case kLowHex: {  // value: low digits so far in bits 10.., high half in bits 0..9
      const int digit = hex_value(byte);
      if (digit < 0 || (count == 0 && digit != 0xD) || (count == 1 && digit < 0xC)) return dead();
      const uint32_t low = (value >> 10) << 4 | static_cast<uint32_t>(digit & (count == 0 ? 0 : count == 1 ? 3 : 15)), high = value & 0x3FF;
      return count < 3 ? partial(pack(kLowHex, count + 1, low << 10 | high)) : done(0x10000 + (high << 10) + low);
    }
    default: return dead();
  }
}

Completions completions(CharState s) {
  Completions out;
  const auto add = [&out](uint32_t lo, uint32_t hi, int32_t n) {
    if (lo <= hi) out.items[static_cast<size_t>(out.n++)] = {lo, hi, n};
  };
  const uint32_t value = value_of(s), count = count_of(s);
  switch (kind_of(s)) {
    case kUtf8: {
      const uint32_t length = value >> 21, bits = value & 0x1FFFFF;
      const uint32_t lo = std::max(bits << (6 * count), length == 1 ? 0x80u : length == 2 ? 0x800u : 0x10000u);
      const uint32_t hi = std::min(((bits + 1) << (6 * count)) - 1, 0x10FFFFu);
      if (lo <= 0xD7FF) add(lo, std::min(hi, 0xD7FFu), static_cast<int32_t>(count));
      add(std::max(lo, 0xE000u), hi, static_cast<int32_t>(count));
      break;
    }
    case kEscape:
      for (uint32_t c : {8u, 9u, 10u, 12u, 13u, uint32_t{'"'}, uint32_t{'/'}, uint32_t{'\\'}}) add(c, c, 1);
      add(0, 0x1F, 5);
      add(0x7F, 0xD7FF, 5);
      add(0xE000, 0xFFFF, 5);
      add(0x10000, 0x10FFFF, 11);
      break;
    case kHex: {
      const int32_t left = 4 - static_cast<int32_t>(count);
      const uint32_t lo = value << (4 * left), hi = ((value + 1) << (4 * left)) - 1;
      add(lo, std::min(hi, 0x1Fu), left);
      add(std::max(lo, 0x7Fu), std::min(hi, 0xD7FFu), left);
      add(std::max(lo, 0xE000u), hi, left);
      const uint32_t high_lo = std::max(lo, 0xD800u), high_hi = std::min(hi, 0xDBFFu);
      if (high_lo <= high_hi) add(0x10000 + ((high_lo - 0xD800) << 10), 0x10000 + ((high_hi - 0xD800) << 10) + 0x3FF, left + 6);
      break;
    }
    case kHigh: case kHighEscape: {
      const uint32_t lo = 0x10000 + ((value & 0x3FF) << 10);
      add(lo, lo + 0x3FF, kind_of(s) == kHigh ? 6 : 5);
      break;
    }
    case kLowHex: {
      const uint32_t low = value >> 10, high = value & 0x3FF;
      const int32_t left = 4 - static_cast<int32_t>(count);
      const uint32_t bits = count == 0 ? 10 : count == 1 ? 10 : static_cast<uint32_t>(4 * left);
      const uint32_t base = 0x10000 + (high << 10);
      if (bits == 10) add(base, base + 0x3FF, left);
      if (bits < 10) add(base + (low << bits), base + ((low + 1) << bits) - 1, left);
      break;
    }
    default: break;
  }
  return out;
}

}  // namespace hanlin::grammar
