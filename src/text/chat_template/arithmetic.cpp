// Arithmetic of operators.h: Python's rules for int, float, str, list and tuple.
#include <fmt/format.h>

#include <cmath>

#include "text/chat_template/format_text.h"
#include "text/chat_template/operators.h"
#include "text/chat_template/printing.h"

namespace hanlin::jinja {
namespace {

constexpr const char* kSigns[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

[[noreturn]] void fail_operands(BinaryOp op, const Value& a, const Value& b) {
  fail(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", kSigns[static_cast<int>(op)], type_name(a), type_name(b)));
}
[[noreturn]] void fail_overflow() { fail("integer overflow: expected a result within 64 bits"); }
[[noreturn]] void fail_zero() { fail("division by zero"); }

int64_t floor_divide(int64_t a, int64_t b) {
  if (b == 0) fail_zero();
  if (a == INT64_MIN && b == -1) fail_overflow();
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t modulo(int64_t a, int64_t b) {
  if (b == 0) fail_zero();
  if (b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

double modulo(double a, double b) {
  if (b == 0) fail_zero();
  double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  if ((rest < 0) != (b < 0)) rest += b;
  return rest;
}

double floor_divide(double a, double b) {
  if (b == 0) fail_zero();
  const double quotient = (a - modulo(a, b)) / b;
  const double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

Value power(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral() && b.as_int() >= 0) {
    int64_t result = 1, base = a.as_int();
    // At most 64 squarings: beyond that only -1, 0 and 1 do not overflow.
    for (uint64_t n = static_cast<uint64_t>(b.as_int()); n > 0; n >>= 1) {
      if ((n & 1) && __builtin_mul_overflow(result, base, &result)) fail_overflow();
      if (n > 1 && __builtin_mul_overflow(base, base, &base)) fail_overflow();
    }
    return Value::integer(result);
  }
  if (a.as_real() == 0 && b.as_real() < 0) fail("0.0 cannot be raised to a negative power");
  const double result = std::pow(a.as_real(), b.as_real());
  if (std::isnan(result) && !std::isnan(a.as_real()) && !std::isnan(b.as_real())) fail("** of a negative number: expected a whole exponent");
  if (std::isinf(result) && std::isfinite(a.as_real()) && std::isfinite(b.as_real())) fail("** result too large");
  return Value::real(result);
}

Value integer_arithmetic(BinaryOp op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case BinaryOp::kAdd:
      if (__builtin_add_overflow(a, b, &result)) fail_overflow();
      break;
    case BinaryOp::kSubtract:
      if (__builtin_sub_overflow(a, b, &result)) fail_overflow();
      break;
    case BinaryOp::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) fail_overflow();
      break;
    case BinaryOp::kDivide:
      if (b == 0) fail_zero();
      return Value::real(static_cast<double>(a) / static_cast<double>(b));
    case BinaryOp::kFloorDivide: result = floor_divide(a, b); break;
    default: result = modulo(a, b); break;
  }
  return Value::integer(result);
}

Value real_arithmetic(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd: return Value::real(a + b);
    case BinaryOp::kSubtract: return Value::real(a - b);
    case BinaryOp::kMultiply: return Value::real(a * b);
    case BinaryOp::kDivide:
      if (b == 0) fail_zero();
      return Value::real(a / b);
    case BinaryOp::kFloorDivide: return Value::real(floor_divide(a, b));
    default: return Value::real(modulo(a, b));
  }
}

Value add_strings(Runtime& rt, const Text& a, const Text& b) {
  TextBuffer out(rt);
  const bool is_markup = a.is_markup || b.is_markup;
  out.append(is_markup && !a.is_markup ? escape_html(rt, a.bytes) : a.bytes);
  out.append(is_markup && !b.is_markup ? escape_html(rt, b.bytes) : b.bytes);
  return make_string(rt, out.take(), is_markup);
}

Value add_sequences(Runtime& rt, const Value& a, const Value& b) {
  rt.memory().take((a.items().size() + b.items().size()) * sizeof(Value));  // refused before it is allocated
  rt.memory().give_back((a.items().size() + b.items().size()) * sizeof(Value));
  std::vector<Value> items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return a.is(Kind::kList) ? make_list(rt, std::move(items)) : make_tuple(rt, std::move(items));
}

Value repeat(Runtime& rt, const Value& sequence, int64_t count) {
  const auto n = static_cast<size_t>(std::max<int64_t>(count, 0));
  const size_t n_each = sequence.is_string() ? sequence.str().size() : sequence.items().size() * sizeof(Value);
  size_t n_bytes = 0;
  if (__builtin_mul_overflow(n, n_each, &n_bytes)) n_bytes = SIZE_MAX;
  rt.memory().take(n_bytes);
  rt.memory().give_back(n_bytes);
  rt.step_for_copy(n_bytes);
  if (sequence.is_string()) {
    std::string text;
    text.reserve(n_bytes);
    if (n_each > 0) {
      for (size_t i = 0; i < n; ++i) text += sequence.str();
    }
    return make_string(rt, std::move(text), sequence.text().is_markup);
  }
  std::vector<Value> items;
  items.reserve(n * sequence.items().size());
  if (n_each > 0) {
    for (size_t i = 0; i < n; ++i) items.insert(items.end(), sequence.items().begin(), sequence.items().end());
  }
  return sequence.is(Kind::kList) ? make_list(rt, std::move(items)) : make_tuple(rt, std::move(items));
}

bool is_repeatable(const Value& value) { return value.is_string() || value.is_sequence(); }

Value add(Runtime& rt, const Value& a, const Value& b) {
  if (a.is_string() && b.is_string()) return add_strings(rt, a.text(), b.text());
  if (a.is_sequence() && a.kind() == b.kind()) return add_sequences(rt, a, b);
  if (a.is_string() || a.is_sequence()) {
    const char* name = a.is_string() ? "str" : type_name(a);
    fail(fmt::format("can only concatenate {} (not \"{}\") to {}", name, type_name(b), name));
  }
  fail_operands(BinaryOp::kAdd, a, b);
}

}  // namespace

Value binary(Runtime& rt, BinaryOp op, const Value& a, const Value& b) {
  if (op == BinaryOp::kModulo && a.is_string()) return format_percent(rt, a, b);
  if (a.is_undefined()) fail_undefined(a);
  if (b.is_undefined()) fail_undefined(b);
  if (a.is_number() && b.is_number()) {
    if (op == BinaryOp::kPower) return power(a, b);
    if (a.is_integral() && b.is_integral()) return integer_arithmetic(op, a.as_int(), b.as_int());
    return real_arithmetic(op, a.as_real(), b.as_real());
  }
  if (op == BinaryOp::kAdd) return add(rt, a, b);
  if (op == BinaryOp::kMultiply) {
    if (is_repeatable(a) && b.is_integral()) return repeat(rt, a, b.as_int());
    if (is_repeatable(b) && a.is_integral()) return repeat(rt, b, a.as_int());
  }
  fail_operands(op, a, b);
}

Value negate(const Value& value) {
  if (value.is_undefined()) fail_undefined(value);
  if (value.is(Kind::kFloat)) return Value::real(-value.as_real());
  if (!value.is_integral()) fail(fmt::format("bad operand type for unary -: '{}'", type_name(value)));
  if (value.as_int() == INT64_MIN) fail_overflow();
  return Value::integer(-value.as_int());
}

Value positive(const Value& value) {
  if (value.is_undefined()) fail_undefined(value);
  if (value.is(Kind::kFloat)) return value;
  if (!value.is_integral()) fail(fmt::format("bad operand type for unary +: '{}'", type_name(value)));
  return Value::integer(value.as_int());
}

}  // namespace hanlin::jinja
