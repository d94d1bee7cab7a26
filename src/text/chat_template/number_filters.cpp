#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "text/chat_template/call_args.h"
#include "text/chat_template/filters.h"
#include "text/chat_template/operators.h"
#include "text/chat_template/unicode.h"

namespace hanlin::jinja {
namespace {

// Single underscores between digits are allowed in Python's numbers.
std::optional<std::string> drop_underscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto alnum = [&](size_t k) { return k < text.size() && std::isalnum(static_cast<unsigned char>(text[k])) != 0; };
    if (text[i] != '_') out.push_back(text[i]);
    else if (i == 0 || !alnum(i - 1) || !alnum(i + 1)) return std::nullopt;
  }
  return out;
}

// float("…"); nullopt if it is no number.
std::optional<double> parse_float(Runtime& rt, std::string_view source) {
  rt.step_for_scan(source.size());
  std::optional<std::string> text = drop_underscores(strip(source));
  if (!text || text->empty()) return std::nullopt;
  std::string_view digits = *text;
  const bool is_negative = digits[0] == '-';
  if (digits[0] == '+' || digits[0] == '-') digits.remove_prefix(1);
  const std::string lower = to_lower(digits);
  double value = 0;
  if (lower == "inf" || lower == "infinity") {
    value = HUGE_VAL;
  } else if (lower == "nan") {
    value = NAN;
  } else {
    if (digits.empty() || !(std::isdigit(static_cast<unsigned char>(digits[0])) != 0 || digits[0] == '.')) return std::nullopt;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (result.ptr != digits.data() + digits.size() || result.ec == std::errc::invalid_argument) return std::nullopt;
    if (result.ec == std::errc::result_out_of_range) value = lower.find("e-") != std::string::npos ? 0.0 : HUGE_VAL;
  }
  return is_negative ? -value : value;
}

// int("…", base); nullopt if it is no integer.
std::optional<int64_t> parse_integer(Runtime& rt, std::string_view source, int64_t base) {
  if (base != 0 && (base < 2 || base > 36)) fail("int() base must be >= 2 and <= 36, or 0");
  rt.step_for_scan(source.size());
  std::string_view text = strip(source);
  const bool is_negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
  if (text.size() > 1 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    const int64_t prefix_base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (prefix_base != 0 && (base == 0 || base == prefix_base)) {
      base = prefix_base;
      text.remove_prefix(2);
      if (!text.empty() && text[0] == '_') text.remove_prefix(1);
    }
  }
  const std::optional<std::string> digits = drop_underscores(text);
  if (!digits || digits->empty() || (*digits)[0] == '-') return std::nullopt;
  const std::string signed_digits = (is_negative ? "-" : "") + *digits;
  int64_t value = 0;
  const auto result = std::from_chars(signed_digits.data(), signed_digits.data() + signed_digits.size(), value, base == 0 ? 10 : static_cast<int>(base));
  if (result.ptr != signed_digits.data() + signed_digits.size() || result.ec == std::errc::invalid_argument) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) fail("integer overflow: expected a number within 64 bits");
  return value;
}

Value truncated(double value) {
  if (!(std::fabs(value) < 9.2e18)) fail("integer overflow: expected a number within 64 bits");
  return Value::integer(static_cast<int64_t>(value));
}

Value to_int(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("int", args, {"default", "base"});
  if (input.is_undefined()) fail_undefined(input);
  const Value missing = p.has(0) ? p[0] : Value::integer(0);
  if (input.is_integral()) return Value::integer(input.as_int());
  double real = 0;
  if (input.is_string()) {
    if (const auto value = parse_integer(rt, input.str(), p.integer(1, 10))) return Value::integer(*value);
    const auto value = parse_float(rt, input.str());
    if (!value) return missing;
    real = *value;
  } else if (input.is(Kind::kFloat)) {
    real = input.as_real();
    if (std::isinf(real)) fail("cannot convert float infinity to integer");
  } else {
    return missing;
  }
  return std::isnan(real) || std::isinf(real) ? missing : truncated(real);
}

Value to_float(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("float", args, {"default"});
  if (input.is_undefined()) fail_undefined(input);
  if (input.is_number()) return Value::real(input.as_real());
  if (input.is_string()) {
    if (const auto value = parse_float(rt, input.str())) return Value::real(*value);
  }
  return p.has(0) ? p[0] : Value::real(0.0);
}

Value absolute(Runtime&, const Value& input, const CallArgs& args) {
  Params("abs", args, {});
  if (input.is_undefined()) fail_undefined(input);
  if (!input.is_number()) fail(fmt::format("bad operand type for abs(): '{}'", type_name(input)));
  if (input.is(Kind::kFloat)) return Value::real(std::fabs(input.as_real()));
  return input.as_int() < 0 ? negate(input) : Value::integer(input.as_int());
}

// round(x, n): to the nearest decimal, exact halves to the even one.
double round_decimals(double value, int64_t n) {
  if (!std::isfinite(value) || n > 300) return value;
  if (n < -300) return 0.0 * value;
  if (n >= 0) {
    const std::string text = fmt::format("{:.{}f}", value, n);  // correctly rounded
    double rounded = 0;
    std::from_chars(text.data(), text.data() + text.size(), rounded);
    return rounded;
  }
  const double scale = std::pow(10.0, static_cast<double>(-n));
  return std::nearbyint(value / scale) * scale;
}

int64_t round_tens(int64_t value, int64_t n) {
  if (n < -18) return 0;
  int64_t scale = 1;
  for (int64_t i = 0; i < -n; ++i) scale *= 10;
  int64_t rest = value % scale, down = value - rest;
  if (rest < 0) {
    rest += scale;
    if (__builtin_sub_overflow(down, scale, &down)) fail("integer overflow: expected a result within 64 bits");
  }
  const bool up = rest > scale - rest || (rest == scale - rest && (down / scale) % 2 != 0);
  if (up && __builtin_add_overflow(down, scale, &down)) fail("integer overflow: expected a result within 64 bits");
  return down;
}

Value round(Runtime&, const Value& input, const CallArgs& args) {
  const Params p("round", args, {"precision", "method"});
  const int64_t n = p.integer(0, 0);
  const std::string_view method = p.string(1, "common");
  if (method != "common" && method != "ceil" && method != "floor") fail("method must be common, ceil or floor");
  if (input.is_undefined()) fail_undefined(input);
  if (!input.is_number()) fail(fmt::format("type {} doesn't define __round__ method", type_name(input)));
  if (method == "common") {
    if (input.is(Kind::kFloat)) return Value::real(round_decimals(input.as_real(), n));
    return Value::integer(n >= 0 ? input.as_int() : round_tens(input.as_int(), n));
  }
  const double scale = std::pow(10.0, static_cast<double>(n));
  const double scaled = input.as_real() * scale;
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Value file_size(Runtime& rt, const Value& input, const CallArgs& args) {
  const Params p("filesizeformat", args, {"binary"});
  const bool binary = p.boolean(0, false);
  const Value number = to_float(rt, input, {{Value::none()}, {}});
  if (number.is_none()) fail(fmt::format("filesizeformat: expected a number, got {}", type_name(input)));
  const double bytes = number.as_real(), base = binary ? 1024 : 1000;
  if (bytes == 1) return make_string(rt, "1 Byte");
  if (bytes < base) return make_string(rt, fmt::format("{} Bytes", truncated(bytes).as_int()));
  static constexpr std::array<const char*, 8> kDecimal = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
  static constexpr std::array<const char*, 8> kBinary = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
  size_t i = 0;
  double unit = base * base;
  while (i + 1 < kDecimal.size() && bytes >= unit) {
    unit *= base;
    ++i;
  }
  return make_string(rt, fmt::format("{:.1f} {}", base * bytes / unit, (binary ? kBinary : kDecimal)[i]));
}

constexpr Filter kNumberFilters[] = {
    {"abs", absolute}, {"filesizeformat", file_size}, {"float", to_float}, {"int", to_int}, {"round", round},
};

}  // namespace

std::span<const Filter> number_filters() { return kNumberFilters; }

}  // namespace hanlin::jinja
