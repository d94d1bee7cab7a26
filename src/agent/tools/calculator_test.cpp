#include "agent/tools/calculator.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace hanlin::agent {
namespace {

std::string value(const std::string& expression) {
  const auto result = calculate(expression);
  return result.ok() ? *result : result.error().message;
}
Code code(const std::string& expression) {
  const auto result = calculate(expression);
  EXPECT_FALSE(result.ok()) << expression << " = " << (result.ok() ? *result : "");
  return result.ok() ? Code::kInternal : result.error().code;
}

TEST(Calculator, IsExact) {
  EXPECT_EQ(value("0.1 + 0.2"), "0.3");
  EXPECT_EQ(value("1/3*3"), "1");
  EXPECT_EQ(value("12.5e-1 + .25 - 007"), "-5.5");
  EXPECT_EQ(value("2**100"), "1267650600228229401496703205376");
  EXPECT_EQ(value("25!"), "15511210043330985984000000");
  EXPECT_EQ(value("1/8"), "0.125");
  EXPECT_EQ(value("1/3"), "≈ 0.333333333333333333333333333333 (exactly 1/3)");
  EXPECT_EQ(value("sqrt(2)"), "≈ 1.41421356237309504880168872421");
  EXPECT_EQ(value("sqrt(144) + sqrt(1/4)"), "12.5");
  EXPECT_EQ(value("99999999999999999999 * 99999999999999999999"), "9999999999999999999800000000000000000001");
}

TEST(Calculator, Precedence) {
  EXPECT_EQ(value("2 + 3 * 4"), "14");
  EXPECT_EQ(value("-2**2"), "-4");
  EXPECT_EQ(value("(-2)**2"), "4");
  EXPECT_EQ(value("2**3**2"), "512");
  EXPECT_EQ(value("2**-2"), "0.25");
  EXPECT_EQ(value("3!!"), "720");
  EXPECT_EQ(value("10 - 3 - 2"), "5");
  EXPECT_EQ(value("2^10"), "1024");
  EXPECT_EQ(value("（12 × 3）÷ 4"), "9");
}

TEST(Calculator, DivisionRoundsDown) {
  EXPECT_EQ(value("7 // 2"), "3");
  EXPECT_EQ(value("-7 // 2"), "-4");
  EXPECT_EQ(value("7 % 3"), "1");
  EXPECT_EQ(value("mod(-7, 3)"), "2");
  EXPECT_EQ(value("7.5 % 2"), "1.5");
  EXPECT_EQ(value("7 %(3)"), "1");
}

TEST(Calculator, Percentages) {
  EXPECT_EQ(value("15% of 80"), "12");
  EXPECT_EQ(value("200 * (1 + 10%)"), "220");
  EXPECT_EQ(value("5% + 10%"), "0.15");
  EXPECT_EQ(value("50%"), "0.5");
  EXPECT_EQ(value("100 + 3 * 10%"), "100.3");
  EXPECT_NE(value("200 + 10%").find("two things"), std::string::npos);
}

TEST(Calculator, Functions) {
  EXPECT_EQ(value("round(2.5) + round(-2.5)"), "0");
  EXPECT_EQ(value("round(3.14159, 2)"), "3.14");
  EXPECT_EQ(value("round(1234, -2)"), "1200");
  EXPECT_EQ(value("round(pi, 4)"), "3.1416");
  EXPECT_EQ(value("floor(-2.5)"), "-3");
  EXPECT_EQ(value("ceil(2.1)"), "3");
  EXPECT_EQ(value("abs(-3) + min(4, 2, 8) + max(1, 5)"), "10");
  EXPECT_EQ(value("gcd(12, 18)"), "6");
  EXPECT_EQ(value("lcm(4, 6, 10)"), "60");
  EXPECT_EQ(value("log(1000)"), "3");
  EXPECT_EQ(value("log(1024, 2)"), "10");
  EXPECT_EQ(value("log(0.001)"), "-3");
  EXPECT_EQ(value("ln(e)"), "≈ 1");
  EXPECT_EQ(value("exp(0) + sin(0) + cos(0) + tan(0)"), "2");
  EXPECT_EQ(value("sin(pi/6)"), "≈ 0.5");
  EXPECT_EQ(value("exp(1)"), "≈ 2.71828182845904523536028747135");
  EXPECT_EQ(value("factorial(5) + pow(2, 3)"), "128");
  EXPECT_EQ(value("16 ** 0.5"), "4");
}

TEST(Calculator, RefusesHugeWork) {
  for (const char* expression : {"9**9**9", "10**10001", "(1/7)**99999", "4000!", "3!!!!", "2**33220**2", "1e20000", "exp(1e9)", "1.5**1e9",
                                 "10**9999 * 10**9999", "(10**-9999) * (10**-9999)"}) {
    EXPECT_EQ(code(expression), Code::kResourceExhausted) << expression;
  }
  EXPECT_EQ(value("1**999999999999"), "1");
  EXPECT_EQ(value("(-1)**1000001"), "-1");
  EXPECT_EQ(calculate("3248!").value().size(), 9998u);
  EXPECT_EQ(code(std::string(5000, '1')), Code::kInvalidArgument);
  EXPECT_EQ(code(std::string(2000, '(') + "1"), Code::kInvalidArgument);
  EXPECT_EQ(code(std::string(2000, '-') + "1"), Code::kInvalidArgument);
  EXPECT_EQ(value("sin(1e30)").find("calculator: the angle"), 0u);
}

TEST(Calculator, SaysWhatIsWrong) {
  EXPECT_EQ(value("1/0"), "calculator: division by zero");
  EXPECT_EQ(value("5 % 0"), "calculator: division by zero");
  EXPECT_EQ(value("0**-1"), "calculator: 0 to a negative power");
  EXPECT_EQ(value("sqrt(-1)"), "calculator: sqrt of a negative number");
  EXPECT_EQ(value("ln(0)"), "calculator: a logarithm needs a number above 0");
  EXPECT_EQ(value("2 +"), "calculator: at position 4: expected a number, a function or \"(\", got the end");
  EXPECT_EQ(value("1,234 * 2"), "calculator: at position 2: expected no comma: write 1234, not 1,234, got \",234 * 2\"");
  EXPECT_EQ(value("__import__('os')"), "calculator: at position 12: expected a number, a function or \"(\", got \"'os')\"");
  EXPECT_EQ(value("x + 1"), "calculator: at position 1: expected a number, pi, e or a function with its arguments in parentheses, got \"x + 1\"");
  EXPECT_EQ(value("foo(1)").find("calculator: there is no function foo; expected sqrt"), 0u);
  EXPECT_EQ(value("sqrt(1, 2)"), "calculator: sqrt takes one argument, got 2 argument(s)");
  EXPECT_EQ(value("(1 + 2"), "calculator: at position 7: expected \")\", got the end");
  EXPECT_EQ(value("2.5!"), "calculator: ! needs an integer from 0");
  EXPECT_EQ(value(""), "calculator: at position 1: expected a number, a function or \"(\", got the end");
  EXPECT_EQ(value("1 2"), "calculator: at position 3: expected an operator or the end, got \"2\"");
}

TEST(Calculator, StopsWhenTheRunIsCancelled) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(calculate("1 + 1", {.stop = stop.get_token()}).error().code, Code::kCancelled);
  EXPECT_EQ(calculate("1 + 1", {.deadline = std::chrono::steady_clock::time_point::min()}).error().code, Code::kDeadlineExceeded);
}

TEST(Calculator, IsATool) {
  const auto tool = make_calculator();
  EXPECT_EQ(tool->tool().name, "calculator");
  EXPECT_EQ(tool->run(Json{{"expression", "6*7"}}, {}).value(), "42");
  EXPECT_EQ(tool->run(Json{{"expr", "6*7"}}, {}).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace hanlin::agent
