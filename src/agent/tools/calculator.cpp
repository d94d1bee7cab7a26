// expression := term (('+' | '-') term)*          term := unary (('*' | '/' | '//' | '%' | 'of') unary)*
// unary := ('-' | '+') unary | power              power := postfix (('**' | '^') unary)?       (right-associative, above '-')
// postfix := atom ('!' | '%')*                    atom := number | name | name '(' list ')' | '(' expression ')'
// '%' before a number, a name other than "of" or '(' is the remainder, otherwise per cent.
#include "agent/tools/calculator.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "agent/tools/arguments.h"
#include "agent/tools/calculator_value.h"

namespace hanlin::agent {
namespace {

using calculator::Fraction;
using calculator::Integer;
using calculator::Value;

constexpr size_t kMaxExpressionBytes = 4000;
constexpr int kMaxDepth = 100;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// Signs people and models write instead of ASCII.
std::string to_ascii(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 14> kSigns{{
      {"×", "*"}, {"·", "*"}, {"÷", "/"}, {"−", "-"}, {"–", "-"}, {"（", "("}, {"）", ")"}, {"＋", "+"}, {"－", "-"}, {"＊", "*"},
      {"／", "/"}, {"，", ","}, {"％", "%"}, {"π", "pi"}}};
  std::string result;
  for (size_t i = 0; i < text.size();) {
    size_t used = 0;
    for (const auto& [from, to] : kSigns) {
      if (text.substr(i).starts_with(from)) {
        result += to, used = from.size();
        break;
      }
    }
    if (used == 0) result += text[i], used = 1;
    i += used;
  }
  return result;
}

class Parser {
 public:
  Parser(std::string_view text, const ToolContext& context) : text_(text), context_(context) {}

  Result<Value> whole() {
    HANLIN_ASSIGN(Value value, expression());
    skip_spaces();
    if (at_ < text_.size() && text_[at_] == ',') return mistake("no comma: write 1234, not 1,234");
    if (at_ < text_.size()) return mistake("an operator or the end");
    return value;
  }

 private:
  Error mistake(std::string_view expected) const {
    const std::string got = at_ < text_.size() ? fmt::format("\"{}\"", text_.substr(at_, 12)) : "the end";
    return {Code::kInvalidArgument, fmt::format("calculator: at position {}: expected {}, got {}", at_ + 1, expected, got)};
  }
  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
  }
  bool take(std::string_view sign) {
    skip_spaces();
    if (!text_.substr(at_).starts_with(sign)) return false;
    at_ += sign.size();
    return true;
  }
  bool at_of() const { return text_.substr(at_).starts_with("of") && (at_ + 2 >= text_.size() || !is_letter(text_[at_ + 2])); }
  // Is the '%' at the present position a remainder?
  bool remainder_follows() const {
    size_t next = at_ + 1;
    while (next < text_.size() && text_[next] == ' ') ++next;
    if (next >= text_.size()) return false;
    Parser rest(text_, context_);
    rest.at_ = next;
    return is_digit(text_[next]) || text_[next] == '.' || text_[next] == '(' || (is_letter(text_[next]) && !rest.at_of());
  }

  Result<Value> expression() {
    HANLIN_ASSIGN(Value left, term());
    bool left_percent = ends_in_percent_;
    while (true) {
      const char op = take("+") ? '+' : take("-") ? '-' : 0;
      if (op == 0) break;
      const size_t begin = at_;
      HANLIN_ASSIGN(const Value right, term());
      if (ends_in_percent_ && !left_percent && !(left.is_exact && left.exact == 1)) {  // 1 + 10% is 1.1 either way
        at_ = begin;
        return mistake("no bare percentage after + or -, which can mean two things: write x * (1 + 10%) or x + 0.1");
      }
      HANLIN_TRY(check_time(context_, "calculator"));
      HANLIN_ASSIGN(left, calculator::binary(op, left, right));
    }
    ends_in_percent_ = false;
    return left;
  }

  Result<Value> term() {
    HANLIN_ASSIGN(Value left, unary());
    while (true) {
      skip_spaces();
      char op = 0;
      if (take("//")) op = 'f';
      else if (take("/")) op = '/';
      else if (at_ < text_.size() && text_[at_] == '*' && !text_.substr(at_).starts_with("**") && take("*")) op = '*';
      else if (at_ < text_.size() && text_[at_] == '%' && remainder_follows() && take("%")) op = '%';
      else if (at_of() && take("of")) op = '*';
      if (op == 0) return left;
      HANLIN_ASSIGN(const Value right, unary());
      ends_in_percent_ = false;  // "3 * 10%" is a number like any other
      HANLIN_TRY(check_time(context_, "calculator"));
      HANLIN_ASSIGN(left, calculator::binary(op, left, right));
    }
  }

  Result<Value> unary() {
    if (++depth_ > kMaxDepth) return mistake("at most 100 levels of nesting");
    Result<Value> result = unary_inner();
    --depth_;
    return result;
  }
  Result<Value> unary_inner() {
    if (take("+")) return unary();
    if (take("-")) {
      HANLIN_ASSIGN(const Value value, unary());
      return calculator::binary('-', Value::of(0), value);
    }
    HANLIN_ASSIGN(const Value base, postfix());
    if (!take("**") && !take("^")) return base;
    HANLIN_ASSIGN(const Value exponent, unary());
    ends_in_percent_ = false;
    return calculator::power(base, exponent);
  }

  Result<Value> postfix() {
    HANLIN_ASSIGN(Value value, atom());
    ends_in_percent_ = false;
    while (true) {
      skip_spaces();
      HANLIN_TRY(check_time(context_, "calculator"));
      if (take("!")) {
        HANLIN_ASSIGN(value, calculator::factorial(value));
        ends_in_percent_ = false;
      } else if (at_ < text_.size() && text_[at_] == '%' && !remainder_follows()) {
        ++at_;
        HANLIN_ASSIGN(value, calculator::binary('/', value, Value::of(100)));
        ends_in_percent_ = true;
      } else {
        return value;
      }
    }
  }

  Result<Value> atom() {
    skip_spaces();
    if (take("(")) {
      HANLIN_ASSIGN(Value value, expression());
      if (!take(")")) return mistake("\")\"");
      return value;
    }
    if (at_ < text_.size() && (is_digit(text_[at_]) || text_[at_] == '.')) return number();
    if (at_ < text_.size() && is_letter(text_[at_])) return name();
    return mistake("a number, a function or \"(\"");
  }

  Result<Value> name() {
    const size_t begin = at_;
    while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
    const std::string_view word = text_.substr(begin, at_ - begin);
    Value value;
    if (calculator::constant(word, &value)) return value;
    if (!take("(")) {
      at_ = begin;
      return mistake("a number, pi, e or a function with its arguments in parentheses");
    }
    std::vector<Value> arguments;
    while (!take(")")) {
      if (!arguments.empty() && !take(",")) return mistake("\",\" or \")\"");
      HANLIN_ASSIGN(Value argument, expression());
      arguments.push_back(std::move(argument));
    }
    return calculator::apply(word, arguments);
  }

  // Digits with a point and an exponent: 12, .5, 1.25e-3.
  Result<Value> number() {
    std::string digits;
    int n_fraction = 0;
    while (at_ < text_.size() && is_digit(text_[at_])) digits += text_[at_++];
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      for (; at_ < text_.size() && is_digit(text_[at_]); ++n_fraction) digits += text_[at_++];
    }
    if (digits.empty()) return mistake("a digit");
    int exponent = 0;
    size_t next = at_ + 1;
    const bool has_e = at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E');
    const bool negative = has_e && next < text_.size() && text_[next] == '-';
    if (has_e && next < text_.size() && (text_[next] == '-' || text_[next] == '+')) ++next;
    if (has_e && next < text_.size() && is_digit(text_[next])) {
      for (at_ = next; at_ < text_.size() && is_digit(text_[at_]); ++at_) {
        exponent = std::min(exponent * 10 + (text_[at_] - '0'), 1000000);
      }
      if (negative) exponent = -exponent;
    }
    exponent -= n_fraction;
    if (std::abs(exponent) > calculator::kMaxDigits) {
      return Error{Code::kResourceExhausted, fmt::format("calculator: a number of more than {} digits", calculator::kMaxDigits)};
    }
    const size_t first = std::min(digits.find_first_not_of('0'), digits.size() - 1);  // a leading 0 would mean octal
    const Integer mantissa(digits.substr(first)), scale = pow(Integer(10), static_cast<unsigned>(std::abs(exponent)));
    return calculator::bounded(Value::of(exponent >= 0 ? Fraction(mantissa * scale) : Fraction(mantissa, scale)));
  }

  const std::string_view text_;
  const ToolContext& context_;
  size_t at_ = 0;
  int depth_ = 0;
  bool ends_in_percent_ = false;  // the term read last is a bare percentage
};

struct CalculatorArgs {
  std::string expression;
  void fields(ArgumentList& list) { list.add("expression", &expression, "For example (12.5 + 3) * 2**10, 15% of 80, sqrt(2), 100!").required(); }
};

class Calculator final : public TypedTool<CalculatorArgs> {
 public:
  Calculator()
      : TypedTool("calculator",
                  "Computes an arithmetic expression exactly. Operators + - * / // % ** ! and percentages; functions sqrt, abs, "
                  "round(x, places), floor, ceil, min, max, gcd, lcm, mod, log (base 10, or log(x, base)), ln, exp, sin, cos, tan "
                  "(radians); constants pi, e. Write numbers without thousands separators.") {}

 protected:
  Result<std::string> call(const CalculatorArgs& args, const ToolContext& context) override { return calculate(args.expression, context); }
};

}  // namespace

Result<std::string> calculate(std::string_view expression, const ToolContext& context) {
  if (expression.size() > kMaxExpressionBytes) {
    return Error{Code::kInvalidArgument, fmt::format("calculator: expected at most {} bytes, got {}", kMaxExpressionBytes, expression.size())};
  }
  const std::string text = to_ascii(expression);
  HANLIN_ASSIGN(const Value value, Parser(text, context).whole());
  return calculator::text_of(value);
}

std::shared_ptr<RunnableTool> make_calculator() { return std::make_shared<Calculator>(); }

}  // namespace hanlin::agent
