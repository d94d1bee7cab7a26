// Numbers of a JSON text, digit by digit: exact decimal arithmetic, never floating point.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "grammar/dfa.h"

namespace hanlin::grammar {

__extension__ typedef __int128 Int128;

// mantissa x 10^exponent, without trailing zeros in the mantissa (zero: 0 x 10^0).
struct Decimal {
  Int128 mantissa = 0;
  int32_t exponent = 0;
  bool operator==(const Decimal&) const = default;
};
// JSON syntax, at most 34 significant digits; nothing otherwise.
std::optional<Decimal> parse_decimal(std::string_view text);
Decimal make_decimal(Int128 mantissa, int64_t exponent);
// Sign of a - b.
int compare(const Decimal& a, const Decimal& b);

// A set of numbers: an interval, multiples of something, no multiples of other things.
struct NumberSet {
  std::optional<Decimal> low, high;
  bool low_open = false, high_open = false;
  std::vector<Decimal> multiples, not_multiples;  // as the schema says them

  // Set by finish(): all of the above as integers in units of 10^-scale.
  int32_t scale = 0;
  Int128 step = 0;              // 0: no grid
  std::vector<Int128> no_steps;
  int32_t digits = 17;          // after the point, in texts
  // Digits from the first that is not 0 on, in texts with a point or an exponent: so few that readers which compare in
  // doubles come to the same answers as exact arithmetic (a double keeps any 15 digits apart).
  int32_t significant = 15;
  Int128 low_units = 0, high_units = 0;  // in units of 10^-digits, both included
  bool any = false;             // no bounds and no not_multiples; at most `integer`
  bool integer = false;         // the grid is that of the integers

  // Errors: kUnsupported for steps too fine or too large for exact arithmetic here.
  Status finish();
  bool contains(const Decimal& value) const;
};

// How far a number has been read. A value type: equal states behave equally.
struct NumberState {
  enum class Phase : uint8_t { kStart, kMinus, kZero, kInteger, kPoint, kFraction, kE, kSign, kExponent };
  Phase phase = Phase::kStart;
  bool negative = false;
  bool free = false;  // any digits may follow: the value is not kept
  bool free_exponent = false;
  bool negative_exponent = false;
  uint8_t n_integer = 0, n_fraction = 0, n_exponent = 0, n_significant = 0;
  int16_t exponent = 0;
  Int128 digits = 0;  // as one integer
  bool operator==(const NumberState&) const = default;
};

// The lazily built automaton of one NumberSet. Not safe to share between threads.
class NumberMachine {
 public:
  explicit NumberMachine(const NumberSet* set);
  int32_t start() const { return 0; }
  // The state after one more character, or -1.
  int32_t step(int32_t state, char c);
  bool accepts(int32_t state) const { return accepts_[static_cast<size_t>(state)] != 0; }
  // Fewest characters to the end of a number of the set.
  int32_t cost(int32_t state) const { return costs_[static_cast<size_t>(state)]; }
  size_t size() const { return states_.size(); }

 private:
  std::optional<NumberState> advance(const NumberState& s, char c) const;
  void simplify(NumberState& s) const;
  bool is_valid(const NumberState& s) const;
  int32_t cost_of(const NumberState& s) const;
  int32_t exponent_cost(const NumberState& s) const;
  bool has_value(const NumberState& s, int32_t more_integer, int32_t n_fraction) const;
  int32_t intern(const NumberState& s);

  struct Hash {
    size_t operator()(const NumberState& s) const;
  };
  const NumberSet* set_;
  std::vector<NumberState> states_;
  std::vector<char> accepts_;
  std::vector<int32_t> costs_;
  std::vector<std::array<int32_t, 16>> next_;  // -2: not known yet
  std::unordered_map<NumberState, int32_t, Hash> ids_;
};

}  // namespace hanlin::grammar
