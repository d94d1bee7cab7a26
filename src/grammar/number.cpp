#include "grammar/number.h"

#include <algorithm>
#include <numeric>
#include <string>

namespace hanlin::grammar {
namespace {

constexpr int32_t kMaxIntegerDigits = 19;      // of bounded numbers
constexpr int32_t kDoubleDigits = 15;          // that a double keeps apart
constexpr int32_t kMaxFreeDigits = 60;         // before and after the point, of numbers without bounds
constexpr int32_t kMaxExponentDigits = 3, kMaxExponent = 239;  // no reader of doubles overflows
constexpr int32_t kMaxSearch = 20000;
const Int128 kHuge = [] {
  Int128 v = 1;
  for (int i = 0; i < 37; ++i) v *= 10;
  return v;
}();

Int128 pow10(int32_t n) {
  Int128 v = 1;
  for (int32_t i = 0; i < n; ++i) v *= 10;
  return v;
}
int32_t n_digits(Int128 v) {
  if (v < 0) v = -v;
  int32_t n = 0;
  for (; v > 0; v /= 10) ++n;
  return n;
}
Int128 floor_div(Int128 a, Int128 b) { return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0); }
Int128 ceil_div(Int128 a, Int128 b) { return -floor_div(-a, b); }
Int128 gcd(Int128 a, Int128 b) {
  while (b != 0) a = std::exchange(b, a % b);
  return a < 0 ? -a : a;
}
// kHuge if it would be larger.
Int128 lcm(Int128 a, Int128 b) {
  const Int128 part = a / gcd(a, b);
  return part >= kHuge / b ? kHuge : part * b;
}

// value x 10^scale as an integer, if it is one of moderate size.
std::optional<Int128> units(const Decimal& value, int32_t scale) {
  const int64_t e = static_cast<int64_t>(value.exponent) + scale;
  if (e < 0 || e + n_digits(value.mantissa) > 37) return std::nullopt;
  return value.mantissa * pow10(static_cast<int32_t>(e));
}

// value x 10^scale rounded down; clamped to +-kHuge.
Int128 floor_units(const Decimal& value, int32_t scale, bool& exact) {
  const int64_t e = static_cast<int64_t>(value.exponent) + scale;
  exact = true;
  if (value.mantissa == 0) return 0;
  if (e >= 0) {
    if (e + n_digits(value.mantissa) > 37) return value.mantissa < 0 ? -kHuge : kHuge;
    return value.mantissa * pow10(static_cast<int32_t>(e));
  }
  exact = false;
  if (-e > 37) return value.mantissa < 0 ? -1 : 0;
  return floor_div(value.mantissa, pow10(static_cast<int32_t>(-e)));
}

// A number of at most 15 digits that is not below the value, or, with `up` false, not above it.
Decimal round_to_double_digits(const Decimal& value, bool up) {
  const int32_t extra = n_digits(value.mantissa) - kDoubleDigits;
  if (extra <= 0) return value;
  const Int128 unit = pow10(extra);
  return make_decimal(up ? ceil_div(value.mantissa, unit) : floor_div(value.mantissa, unit), static_cast<int64_t>(value.exponent) + extra);
}

bool is_multiple(const Decimal& value, Int128 step, int32_t scale) {
  const int64_t e = static_cast<int64_t>(value.exponent) + scale;
  if (value.mantissa == 0) return true;
  if (e < 0) return false;  // the mantissa has no trailing zeros
  Int128 rest = value.mantissa % step;
  for (int64_t i = 0; i < e && rest != 0; ++i) rest = rest * 10 % step;
  return rest == 0;
}

}  // namespace

Decimal make_decimal(Int128 mantissa, int64_t exponent) {
  if (mantissa == 0) return {};
  while (mantissa % 10 == 0) {
    mantissa /= 10;
    ++exponent;
  }
  return {mantissa, static_cast<int32_t>(std::clamp<int64_t>(exponent, -100000, 100000))};
}

std::optional<Decimal> parse_decimal(std::string_view text) {
  size_t i = 0;
  const bool negative = i < text.size() && text[i] == '-';
  if (negative) ++i;
  Int128 mantissa = 0;
  int64_t exponent = 0;
  int32_t n = 0;
  bool point = false;
  for (; i < text.size() && (text[i] == '.' || (text[i] >= '0' && text[i] <= '9')); ++i) {
    if (text[i] == '.') {
      point = true;
      continue;
    }
    if (point) --exponent;
    if (mantissa != 0 || text[i] != '0') ++n;
    if (n > 36) {
      if (text[i] != '0') return std::nullopt;
      ++exponent;
      continue;
    }
    mantissa = mantissa * 10 + (text[i] - '0');
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    const bool minus = i < text.size() && text[i] == '-';
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    int64_t e = 0;
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) e = std::min<int64_t>(1000000, e * 10 + (text[i] - '0'));
    exponent += minus ? -e : e;
  }
  if (i != text.size()) return std::nullopt;
  return make_decimal(negative ? -mantissa : mantissa, exponent);
}

int compare(const Decimal& a, const Decimal& b) {
  const int sign_a = a.mantissa < 0 ? -1 : a.mantissa > 0, sign_b = b.mantissa < 0 ? -1 : b.mantissa > 0;
  if (sign_a != sign_b) return sign_a < sign_b ? -1 : 1;
  if (sign_a == 0) return 0;
  const int64_t top_a = static_cast<int64_t>(a.exponent) + n_digits(a.mantissa), top_b = static_cast<int64_t>(b.exponent) + n_digits(b.mantissa);
  if (top_a != top_b) return (top_a < top_b ? -1 : 1) * sign_a;
  const int32_t low = std::min(a.exponent, b.exponent);  // same number of digits once aligned: at most 37
  const Int128 x = a.mantissa * pow10(a.exponent - low), y = b.mantissa * pow10(b.exponent - low);
  return x < y ? -1 : x > y;
}

Status NumberSet::finish() {
  scale = 0;
  for (const auto* list : {&multiples, &not_multiples}) {
    for (const Decimal& d : *list) scale = std::max(scale, -d.exponent);
  }
  const Error too_fine{Code::kUnsupported, "steps of this size cannot be enforced exactly"};
  if (scale > 15) return too_fine;
  step = 0;
  no_steps.clear();
  const Int128 most = pow10(17);
  for (const Decimal& d : multiples) {
    const std::optional<Int128> s = units(d, scale);
    if (!s || *s > most) return too_fine;
    step = step == 0 ? *s : lcm(step, *s);
    if (step > most) return too_fine;
  }
  for (const Decimal& d : not_multiples) {
    const std::optional<Int128> s = units(d, scale);
    if (!s || *s > most) return too_fine;
    if (std::find(no_steps.begin(), no_steps.end(), *s) == no_steps.end()) no_steps.push_back(*s);
  }
  if (no_steps.size() > 10) return too_fine;
  integer = step != 0 && step == pow10(scale);
  any = !low && !high && no_steps.empty() && (step == 0 || integer);
  digits = step != 0 ? std::max(scale, 1) : 17;
  // What is strictly within a bound must be so, too, where the bound is read as a double.
  if (low && low_open) low = round_to_double_digits(*low, true);
  if (high && high_open) high = round_to_double_digits(*high, false);
  significant = low && high && *low == *high ? std::max(kDoubleDigits, n_digits(low->mantissa)) : kDoubleDigits;
  bool exact = true;
  low_units = -kHuge;
  high_units = kHuge;
  if (low) {
    const Int128 v = floor_units(*low, digits, exact);
    low_units = exact && !low_open ? v : v + 1;
  }
  if (high) {
    const Int128 v = floor_units(*high, digits, exact);
    high_units = exact && high_open ? v - 1 : v;
  }
  return {};
}

bool NumberSet::contains(const Decimal& value) const {
  if (low) {
    const int c = compare(value, *low);
    if (c < 0 || (c == 0 && low_open)) return false;
  }
  if (high) {
    const int c = compare(value, *high);
    if (c > 0 || (c == 0 && high_open)) return false;
  }
  if (step != 0 && !is_multiple(value, step, scale)) return false;
  return std::none_of(no_steps.begin(), no_steps.end(), [&](Int128 s) { return is_multiple(value, s, scale); });
}

size_t NumberMachine::Hash::operator()(const NumberState& s) const {
  uint64_t h = static_cast<uint64_t>(s.digits) ^ (static_cast<uint64_t>(s.digits >> 64) * 0x9e3779b97f4a7c15ull);
  h = h * 31 + static_cast<uint64_t>(s.phase) * 64 + s.negative * 32u + s.free * 16u + s.free_exponent * 8u + s.negative_exponent * 4u;
  h = h * 131 + s.n_integer * 65536u + s.n_fraction * 256u + s.n_exponent * 16u + s.n_significant;
  return static_cast<size_t>((h * 31 + static_cast<uint64_t>(s.exponent)) * 0x9e3779b97f4a7c15ull >> 16);
}

NumberMachine::NumberMachine(const NumberSet* set) : set_(set) {
  NumberState first;
  first.free = set->any;
  first.free_exponent = set->any;
  intern(first);
}

int32_t NumberMachine::intern(const NumberState& s) {
  auto [it, is_new] = ids_.try_emplace(s, static_cast<int32_t>(states_.size()));
  if (is_new) {
    states_.push_back(s);
    const bool accepts = is_valid(s);
    accepts_.push_back(accepts);
    costs_.push_back(accepts ? 0 : cost_of(s));
    next_.emplace_back();
    next_.back().fill(-2);
  }
  return it->second;
}

int32_t NumberMachine::step(int32_t state, char c) {
  size_t column = 0;
  if (c >= '0' && c <= '9') {
    column = static_cast<size_t>(c - '0');
  } else {
    switch (c) {
      case '-': column = 10; break;
      case '+': column = 11; break;
      case '.': column = 12; break;
      case 'e': case 'E': column = 13; break;
      default: return -1;
    }
  }
  const int32_t known = next_[static_cast<size_t>(state)][column];
  if (known != -2) return known;
  int32_t next = -1;
  if (std::optional<NumberState> s = advance(states_[static_cast<size_t>(state)], c)) {
    simplify(*s);
    next = intern(*s);
    if (costs_[static_cast<size_t>(next)] >= kInfinite) next = -1;
  }
  next_[static_cast<size_t>(state)][column] = next;
  return next;
}

// Syntax and bounds of length only.
std::optional<NumberState> NumberMachine::advance(const NumberState& s, char c) const {
  using Phase = NumberState::Phase;
  NumberState n = s;
  const bool is_digit = c >= '0' && c <= '9';
  const bool unbounded = set_->any;
  if (!unbounded && s.phase <= Phase::kFraction && is_digit && (c != '0' || s.n_significant > 0)) ++n.n_significant;
  switch (s.phase) {
    case Phase::kStart:
      if (c == '-') {
        n.phase = Phase::kMinus;
        n.negative = true;
        return n;
      }
      [[fallthrough]];
    case Phase::kMinus:
      if (!is_digit) return std::nullopt;
      n.phase = c == '0' ? Phase::kZero : Phase::kInteger;
      n.n_integer = 1;
      n.digits = c - '0';
      return n;
    case Phase::kZero:
    case Phase::kInteger:
      if (c == '.') {
        if (s.n_significant >= set_->significant) return std::nullopt;  // no room for a digit
        n.phase = Phase::kPoint;
        return n;
      }
      if (is_digit) {
        if (s.phase == Phase::kZero || s.n_integer >= (unbounded ? kMaxFreeDigits : kMaxIntegerDigits)) return std::nullopt;
        ++n.n_integer;
        if (!unbounded) n.digits = n.digits * 10 + (c - '0');
        return n;
      }
      break;
    case Phase::kPoint:
    case Phase::kFraction: {
      if (is_digit) {
        const bool zeros_only = (unbounded || s.free) && set_->integer;
        const int32_t most = zeros_only ? 3 : unbounded ? kMaxFreeDigits : set_->digits;
        if (s.n_fraction >= most || (zeros_only && c != '0') || n.n_significant > set_->significant) return std::nullopt;
        n.phase = Phase::kFraction;
        ++n.n_fraction;
        if (!unbounded) n.digits = n.digits * 10 + (c - '0');
        return n;
      }
      if (s.phase == Phase::kPoint) return std::nullopt;
      break;
    }
    case Phase::kE:
      if (c == '-' || c == '+') {
        if (c == '-' && (unbounded || s.free) && set_->integer) return std::nullopt;
        n.phase = Phase::kSign;
        n.negative_exponent = c == '-';
        return n;
      }
      [[fallthrough]];
    case Phase::kSign:
    case Phase::kExponent:
      if (!is_digit || s.n_exponent >= kMaxExponentDigits) return std::nullopt;
      n.phase = Phase::kExponent;
      ++n.n_exponent;
      n.exponent = static_cast<int16_t>(s.exponent * 10 + (c - '0'));
      if (n.exponent > kMaxExponent) return std::nullopt;
      return n;
  }
  if (c != 'e' && c != 'E') return std::nullopt;
  if ((unbounded || s.free) && set_->integer && s.n_fraction > 0) return std::nullopt;
  if ((s.free && !s.free_exponent) || s.n_significant > set_->significant) return std::nullopt;
  n.phase = Phase::kE;
  return n;
}

// When every continuation is in the set the value need not be kept.
void NumberMachine::simplify(NumberState& s) const {
  using Phase = NumberState::Phase;
  if (set_->any) s.digits = 0;
  if (s.free || set_->any || s.phase < Phase::kZero || s.phase > Phase::kFraction) {
    if (s.free) s.digits = 0;
    return;
  }
  if (set_->step != 0 && !set_->integer) return;
  if (!set_->no_steps.empty()) return;
  if (set_->integer && s.phase >= Phase::kPoint) return;
  Int128 low = s.digits, high = s.digits + 1;
  if (s.phase <= Phase::kInteger) {
    low *= pow10(set_->digits);
    high = s.phase == Phase::kZero ? pow10(set_->digits) : high * pow10(kMaxIntegerDigits - s.n_integer) * pow10(set_->digits);
  } else {
    const Int128 unit = pow10(set_->digits - s.n_fraction);
    low *= unit;
    high *= unit;
  }
  if (s.negative) {
    std::swap(low, high);
    low = -low;
    high = -high;
  }
  if (low < set_->low_units || high > set_->high_units) return;
  const bool same_sign = s.negative ? !set_->low && (!set_->high || set_->high->mantissa > 0 || (set_->high->mantissa == 0 && !set_->high_open))
                                    : !set_->high && (!set_->low || set_->low->mantissa < 0 || (set_->low->mantissa == 0 && !set_->low_open));
  s.free = true;
  s.free_exponent = same_sign;
  s.digits = 0;
}

bool NumberMachine::is_valid(const NumberState& s) const {
  using Phase = NumberState::Phase;
  if (s.phase != Phase::kZero && s.phase != Phase::kInteger && s.phase != Phase::kFraction && s.phase != Phase::kExponent) return false;
  if (s.free) return true;
  const int64_t e = (s.negative_exponent ? -s.exponent : s.exponent) - static_cast<int64_t>(s.n_fraction);
  return set_->contains(make_decimal(s.negative ? -s.digits : s.digits, e));
}

// Whether some number with this many more digits before the point and exactly so many behind it is in the set.
bool NumberMachine::has_value(const NumberState& s, int32_t more_integer, int32_t n_fraction) const {
  using Phase = NumberState::Phase;
  Int128 low = s.digits, high = s.digits;  // with all digits typed, in units of 10^-digits
  if (s.phase <= Phase::kInteger) {
    const Int128 p = pow10(more_integer);
    low *= p;
    high = high * p + (p - 1);
    if (s.phase <= Phase::kMinus && more_integer > 1) low = p / 10;  // no leading zero
    const Int128 f = pow10(set_->digits);
    low *= f;
    high = high * f + (f - 1);
  } else {
    const Int128 f = pow10(set_->digits - s.n_fraction);
    low *= f;
    high = high * f + (f - 1);
  }
  if (s.negative) {
    std::swap(low, high);
    low = -low;
    high = -high;
  }
  low = std::max(low, set_->low_units);
  high = std::min(high, set_->high_units);
  if (n_fraction > 0 && set_->significant + set_->digits - n_fraction <= 37) {
    const Int128 most = (pow10(set_->significant) - 1) * pow10(set_->digits - n_fraction);
    low = std::max(low, -most);
    high = std::min(high, most);
  }
  if (low > high) return false;
  Int128 grid = pow10(set_->digits - n_fraction);
  const Int128 to_units = pow10(set_->digits - set_->scale);
  if (set_->step != 0) grid = lcm(grid, set_->step * to_units);
  for (Int128 step : set_->no_steps) {
    if (grid % (step * to_units) == 0) return false;
  }
  Int128 n = ceil_div(low, grid) * grid;
  for (int32_t i = 0; n <= high && i < kMaxSearch; ++i, n += grid) {
    const bool bad = std::any_of(set_->no_steps.begin(), set_->no_steps.end(), [&](Int128 step) { return n % (step * to_units) == 0; });
    if (!bad) return true;
    if (grid >= kHuge) return false;
  }
  return false;
}

int32_t NumberMachine::cost_of(const NumberState& s) const {
  using Phase = NumberState::Phase;
  if (s.phase >= Phase::kE) return exponent_cost(s);
  if (s.free) return s.phase <= Phase::kMinus || s.phase == Phase::kPoint ? 1 : 0;
  int32_t best = kInfinite;
  if (s.phase >= Phase::kPoint) {
    for (int32_t f = std::max<int32_t>(1, s.n_fraction); f <= set_->digits; ++f) {
      if (has_value(s, 0, f)) return f - s.n_fraction;
    }
    return best;
  }
  const int32_t first = s.phase <= Phase::kMinus ? 1 : 0;
  const int32_t last = s.phase == Phase::kZero ? 0 : kMaxIntegerDigits - s.n_integer;
  const int32_t sign = s.phase == Phase::kStart ? 1 : 0;
  for (int negative = s.negative; negative <= (sign ? 1 : static_cast<int>(s.negative)); ++negative) {
    NumberState signed_state = s;
    signed_state.negative = negative != 0;
    const int32_t extra = sign && negative ? 1 : 0;
    for (int32_t j = first; j <= last && j + extra < best; ++j) {
      for (int32_t f = 0; f <= set_->digits && extra + j + (f > 0 ? f + 1 : 0) < best; ++f) {
        if (has_value(signed_state, j, f)) best = extra + j + (f > 0 ? f + 1 : 0);
      }
    }
  }
  return best;
}

// Tries every exponent that the digits so far can become.
int32_t NumberMachine::exponent_cost(const NumberState& s) const {
  using Phase = NumberState::Phase;
  if (s.free || s.free_exponent) return s.phase == Phase::kExponent ? 0 : 1;
  int32_t best = kInfinite;
  Int128 power = 1;
  for (int32_t more = 0; more + s.n_exponent <= kMaxExponentDigits; ++more, power *= 10) {
    if (s.n_exponent + more == 0) continue;
    for (Int128 i = 0; i < power; ++i) {
      for (int sign = s.negative_exponent; sign <= (s.phase == Phase::kE ? 1 : static_cast<int>(s.negative_exponent)); ++sign) {
        NumberState done = s;
        done.phase = Phase::kExponent;
        if (s.exponent * power + i > kMaxExponent) continue;
        done.exponent = static_cast<int16_t>(s.exponent * power + i);
        done.negative_exponent = sign != 0;
        if (is_valid(done)) best = std::min(best, more + (s.phase == Phase::kE && sign ? 1 : 0));
      }
      if (best <= more) return best;
    }
  }
  return best;
}

}  // namespace hanlin::grammar
