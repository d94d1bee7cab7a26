// Characters byte by byte: UTF-8 and the escapes of JSON strings, with what a half-read character can still become.
#pragma once

#include <array>
#include <cstdint>

namespace hanlin::grammar {

// State between two bytes: 0 between characters, else what was read of one. Packed so that equal states compare equal.
using CharState = uint32_t;

struct CharStep {
  enum class Kind : uint8_t { kDead, kPartial, kCodePoint };
  Kind kind = Kind::kDead;
  uint32_t value = 0;  // CharState or code point
};

// One more byte. json: escapes are understood, control characters and an unescaped quote are not characters. Escapes of
// half a surrogate pair are refused, and \u00XX of printable ASCII characters, which have a plain spelling.
CharStep step_char(CharState state, uint8_t byte, bool json);

// What a half-read character can become: code points [lo, hi] at the price of so many more bytes.
struct Completion {
  uint32_t lo, hi;
  int32_t n_bytes;
};
struct Completions {
  std::array<Completion, 12> items;
  int n = 0;
  const Completion* begin() const { return items.data(); }
  const Completion* end() const { return items.data() + n; }
};
Completions completions(CharState state);

}  // namespace hanlin::grammar
