#include "agent/tools/calculator_value.h"

#include <fmt/format.h>

#include <boost/math/constants/constants.hpp>

namespace hanlin::agent::calculator {
namespace {

Error domain(std::string message) { return {Code::kInvalidArgument, "calculator: " + std::move(message)}; }

Error too_large(const char* what) {
  return {Code::kResourceExhausted, fmt::format("calculator: {} would have more than {} digits; ask for less, or for its logarithm", what, kMaxDigits)};
}

unsigned bits(const Integer& value) { return value == 0 ? 0 : static_cast<unsigned>(msb(abs(value))) + 1; }

Integer floor_of(const Fraction& value) {
  Integer quotient, remainder;
  divide_qr(numerator(value), denominator(value), quotient, remainder);
  if (remainder < 0) --quotient;
  return quotient;
}

// Half away from zero, as people round.
Fraction round_to(const Fraction& value, int digits) {
  const Fraction scale = digits >= 0 ? Fraction(pow(Integer(10), static_cast<unsigned>(digits)))
                                     : Fraction(1, pow(Integer(10), static_cast<unsigned>(-digits)));
  const Fraction scaled = abs(value) * scale + Fraction(1, 2);
  const Fraction rounded = Fraction(floor_of(scaled)) / scale;
  return value < 0 ? Fraction(-rounded) : rounded;
}

// A Fraction with the same value: a Decimal is mantissa · 10^exponent.
Result<Fraction> exact_of(const Value& value) {
  if (value.is_exact) return value.exact;
  if (abs(value.approximate) > Decimal("1e60")) return too_large("the rounded number");
  const Decimal scaled = value.approximate * Decimal("1e40");
  return Fraction(scaled.convert_to<Integer>(), pow(Integer(10), 40u));
}

Result<int> small_integer(const Value& value, const char* what, int limit) {
  if (!value.is_integer() || abs(numerator(value.exact)) > limit) return domain(fmt::format("{} has to be an integer from {} to {}", what, -limit, limit));
  return numerator(value.exact).convert_to<int>();
}

Result<Value> square_root(const Value& x) {
  if (x.decimal() < 0) return domain("sqrt of a negative number");
  if (x.is_exact) {
    const Integer top = sqrt(numerator(x.exact)), bottom = sqrt(denominator(x.exact));
    if (top * top == numerator(x.exact) && bottom * bottom == denominator(x.exact)) return Value::of(Fraction(top, bottom));
  }
  return Value::about(sqrt(x.decimal()));
}

Result<Value> logarithm(const Value& x, const Value* base) {
  if (x.decimal() <= 0) return domain("a logarithm needs a number above 0");
  if (base == nullptr) return Value::about(log(x.decimal()));
  if (base->decimal() <= 0 || base->decimal() == 1) return domain("the base of a logarithm has to be above 0 and not 1");
  const Decimal result = log(x.decimal()) / log(base->decimal());
  const Decimal nearest = round(result);
  // log(1000) is exactly 3: checked with exact numbers.
  if (x.is_exact && base->is_exact && abs(result - nearest) < Decimal("1e-40") && abs(nearest) < 100000) {
    const auto check = power(*base, Value::of(Fraction(nearest.convert_to<Integer>())));
    if (check.ok() && check->is_exact && check->exact == x.exact) return Value::of(Fraction(nearest.convert_to<Integer>()));
  }
  return Value::about(result);
}

Result<Value> trigonometric(std::string_view name, const Value& x) {
  if (x.is_zero()) return Value::of(name == "cos" ? 1 : 0);
  const Decimal angle = x.decimal();
  if (abs(angle) > Decimal("1e20")) return domain(fmt::format("the angle of {} is too large; it is in radians", name));
  if (name == "sin") return Value::about(sin(angle));
  if (name == "cos") return Value::about(cos(angle));
  return Value::about(tan(angle));
}

Result<Value> rounded(std::string_view name, const std::vector<Value>& args) {
  HANLIN_ASSIGN(const Fraction x, exact_of(args[0]));
  if (name == "floor") return Value::of(floor_of(x));
  if (name == "ceil") return Value::of(-floor_of(-x));
  if (args.size() == 1) return Value::of(round_to(x, 0));
  HANLIN_ASSIGN(const int digits, small_integer(args[1], "the number of digits of round", 1000));
  return Value::of(round_to(x, digits));
}

Result<Value> whole_numbers(std::string_view name, const std::vector<Value>& args) {
  Integer result = name == "gcd" ? 0 : 1;
  for (const Value& arg : args) {
    if (!arg.is_integer()) return domain(fmt::format("{} needs integers", name));
    const Integer number = abs(numerator(arg.exact));
    result = name == "gcd" ? Integer(gcd(result, number)) : Integer(lcm(result, number));
    HANLIN_TRY(bounded(Value::of(result)));
  }
  return Value::of(result);
}

const Value& extreme(bool largest, const std::vector<Value>& args) {
  const Value* best = &args[0];
  for (const Value& arg : args) {
    const bool both_exact = arg.is_exact && best->is_exact;
    const bool less = both_exact ? arg.exact < best->exact : arg.decimal() < best->decimal();
    const bool more = both_exact ? arg.exact > best->exact : arg.decimal() > best->decimal();
    if (largest ? more : less) best = &arg;
  }
  return *best;
}

// Decimal digits of a fraction whose denominator is 2^a·5^b; false for any other or too long a one.
bool finite_decimal(const Fraction& value, std::string* text) {
  Integer rest = denominator(value);
  unsigned twos = 0, fives = 0;
  while (rest % 2 == 0) rest /= 2, ++twos;
  while (rest % 5 == 0) rest /= 5, ++fives;
  const unsigned digits = std::max(twos, fives);
  if (rest != 1 || digits > 2000) return false;
  const Integer scaled = abs(numerator(value)) * pow(Integer(10), digits) / denominator(value);
  std::string all = scaled.str();
  if (all.size() <= digits) all.insert(0, digits + 1 - all.size(), '0');
  if (digits > 0) all.insert(all.size() - digits, ".");
  *text = (value < 0 ? "-" : "") + all;
  return true;
}

}  // namespace

Decimal Value::decimal() const { return is_exact ? Decimal(numerator(exact)) / Decimal(denominator(exact)) : approximate; }

Result<Value> bounded(Value value) {
  if (!value.is_exact) {
    if (!(boost::multiprecision::isfinite)(value.approximate)) return domain("the result is too large or no number");
    return value;
  }
  if (bits(numerator(value.exact)) > kMaxBits || bits(denominator(value.exact)) > kMaxBits) return too_large("the result");
  return value;
}

Result<Value> binary(char op, const Value& a, const Value& b) {
  const bool divides = op == '/' || op == '%' || op == 'f';
  if (divides && b.is_zero()) return domain("division by zero");
  if (op == '%' || op == 'f') {
    // As in Python: the quotient is rounded down, the remainder has the sign of the divisor.
    HANLIN_ASSIGN(const Fraction x, exact_of(a));
    HANLIN_ASSIGN(const Fraction y, exact_of(b));
    if (y == 0) return domain("division by (nearly) zero");
    const Integer quotient = floor_of(x / y);
    Fraction result = op == 'f' ? Fraction(quotient) : Fraction(x - y * quotient);
    if (a.is_exact && b.is_exact) return bounded(Value::of(std::move(result)));
    return bounded(Value::about(Value::of(std::move(result)).decimal()));
  }
  if (a.is_exact && b.is_exact) {
    switch (op) {
      case '+': return bounded(Value::of(a.exact + b.exact));
      case '-': return bounded(Value::of(a.exact - b.exact));
      case '*': return bounded(Value::of(a.exact * b.exact));
      default: return bounded(Value::of(a.exact / b.exact));
    }
  }
  const Decimal x = a.decimal(), y = b.decimal();
  switch (op) {
    case '+': return bounded(Value::about(x + y));
    case '-': return bounded(Value::about(x - y));
    case '*': return bounded(Value::about(x * y));
    default: return bounded(Value::about(x / y));
  }
}

Result<Value> power(const Value& base, const Value& exponent) {
  if (base.is_zero() && exponent.decimal() < 0) return domain("0 to a negative power");
  if (base.is_exact && exponent.is_integer()) {
    const Integer n = numerator(exponent.exact), size = abs(n);
    const Integer top = numerator(base.exact), bottom = denominator(base.exact);
    if (abs(top) <= 1 && bottom == 1) {  // 0, 1, -1 to any power
      return Value::of(n == 0 ? Fraction(1) : top < 0 && n % 2 == 0 ? Fraction(1) : Fraction(top));
    }
    // b bits mean a number of at least 2^(b-1), so the power has at least (b-1)·n bits.
    const unsigned n_bits = std::max(bits(top), bits(bottom));
    if (size > kMaxBits || Integer(std::max(1u, n_bits - 1)) * size > kMaxBits) return too_large("the power");
    const unsigned count = size.convert_to<unsigned>();
    const Fraction result(pow(top, count), pow(bottom, count));
    return bounded(Value::of(n < 0 ? Fraction(1) / result : result));
  }
  if (exponent.is_exact && exponent.exact == Fraction(1, 2)) return square_root(base);
  if (base.decimal() < 0) return domain("a negative number to a power that is no integer");
  if (base.is_zero()) return Value::of(0);
  const Decimal size = exponent.decimal() * log(base.decimal());
  if (abs(size) > 100000) return too_large("the power");
  return bounded(Value::about(exp(size)));
}

Result<Value> factorial(const Value& value) {
  if (!value.is_integer() || value.exact < 0) return domain("! needs an integer from 0");
  if (value.exact > 3248) return too_large("the factorial");  // 3249! is the first of more than 10,000 digits
  const unsigned n = numerator(value.exact).convert_to<unsigned>();
  Integer result = 1;
  for (unsigned i = 2; i <= n; ++i) result *= i;
  return Value::of(result);
}

Result<Value> apply(std::string_view name, const std::vector<Value>& args) {
  const auto needs = [&](size_t min, size_t max) { return args.size() >= min && args.size() <= max; };
  const auto wrong_count = [&](const char* expected) {
    return domain(fmt::format("{} takes {}, got {} argument(s)", name, expected, args.size()));
  };
  const bool unary = name == "sqrt" || name == "abs" || name == "ln" || name == "exp" || name == "sin" || name == "cos" ||
                     name == "tan" || name == "floor" || name == "ceil" || name == "factorial";
  if (unary && !needs(1, 1)) return wrong_count("one argument");
  if (name == "sqrt") return square_root(args[0]);
  if (name == "abs") return args[0].is_exact ? Value::of(abs(args[0].exact)) : Value::about(abs(args[0].approximate));
  if (name == "factorial") return factorial(args[0]);
  if (name == "ln") return args[0].is_exact && args[0].exact == 1 ? Value::of(0) : logarithm(args[0], nullptr);
  if (name == "exp") {
    if (args[0].is_zero()) return Value::of(1);
    if (abs(args[0].decimal()) > 100000) return too_large("exp");
    return bounded(Value::about(exp(args[0].decimal())));
  }
  if (name == "sin" || name == "cos" || name == "tan") return trigonometric(name, args[0]);
  if (name == "log") {
    if (!needs(1, 2)) return wrong_count("a number and perhaps a base (10 if there is none)");
    const Value ten = Value::of(10);
    return logarithm(args[0], args.size() == 2 ? &args[1] : &ten);
  }
  if (name == "round" && !needs(1, 2)) return wrong_count("a number and perhaps how many decimal places");
  if (name == "round" || name == "floor" || name == "ceil") return rounded(name, args);
  if (name == "mod") return needs(2, 2) ? binary('%', args[0], args[1]) : wrong_count("two arguments");
  if (name == "pow") return needs(2, 2) ? power(args[0], args[1]) : wrong_count("two arguments");
  const bool variadic = name == "min" || name == "max" || name == "gcd" || name == "lcm";
  if (variadic && args.empty()) return wrong_count("at least one argument");
  if (name == "min" || name == "max") return extreme(name == "max", args);
  if (name == "gcd" || name == "lcm") return whole_numbers(name, args);
  return domain(fmt::format("there is no function {}; expected sqrt, abs, round, floor, ceil, min, max, gcd, lcm, mod, pow, factorial, "
                            "log, ln, exp, sin, cos or tan", name));
}

bool constant(std::string_view name, Value* value) {
  if (name == "pi" || name == "π") *value = Value::about(boost::math::constants::pi<Decimal>());
  else if (name == "e") *value = Value::about(boost::math::constants::e<Decimal>());
  else return false;
  return true;
}

std::string text_of(const Value& value) {
  if (!value.is_exact) return "≈ " + value.approximate.str(30);
  std::string text;
  if (finite_decimal(value.exact, &text)) return text;
  const std::string exact = value.exact.str();
  text = "≈ " + value.decimal().str(30);
  return exact.size() <= 200 ? text + " (exactly " + exact + ")" : text;
}

}  // namespace hanlin::agent::calculator
