// Numbers of the calculator: exact fractions as long as possible, 50 decimal digits afterwards. Private to the calculator.
#pragma once

#include <boost/multiprecision/cpp_dec_float.hpp>
#include <boost/multiprecision/cpp_int.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hanlin::agent::calculator {

using Integer = boost::multiprecision::cpp_int;
using Fraction = boost::multiprecision::cpp_rational;
using Decimal = boost::multiprecision::cpp_dec_float_50;

constexpr unsigned kMaxBits = 33220;  // 10,000 decimal digits
constexpr int kMaxDigits = 10000;

struct Value {
  Fraction exact = 0;
  Decimal approximate = 0;  // used if !is_exact
  bool is_exact = true;

  static Value of(Fraction fraction) { return {std::move(fraction), 0, true}; }
  static Value about(Decimal decimal) { return {0, std::move(decimal), false}; }
  bool is_integer() const { return is_exact && denominator(exact) == 1; }
  bool is_zero() const { return is_exact ? exact == 0 : approximate == 0; }
  Decimal decimal() const;
};

// The value itself, or kResourceExhausted when it has too many digits, kInvalidArgument when it is not finite.
Result<Value> bounded(Value value);
// `op` is one of + - * / % and 'f' (floor division). kInvalidArgument for a division by zero.
Result<Value> binary(char op, const Value& a, const Value& b);
Result<Value> power(const Value& base, const Value& exponent);
Result<Value> factorial(const Value& value);
// Function `name` of `arguments`; kInvalidArgument for an unknown one, a wrong number of arguments, a value out of its domain.
Result<Value> apply(std::string_view name, const std::vector<Value>& arguments);
// A constant (pi, e); false if there is none of this name.
bool constant(std::string_view name, Value* value);
// As the model reads it.
std::string text_of(const Value& value);

}  // namespace hanlin::agent::calculator
