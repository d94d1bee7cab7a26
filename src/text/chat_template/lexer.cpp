#include "text/chat_template/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "text/chat_template/runtime.h"
#include "text/chat_template/unicode.h"

namespace hanlin::jinja {
namespace {

constexpr size_t kNowhere = std::string_view::npos;

// Longest first, so that the first that fits is the right one.
constexpr std::array<std::string_view, 26> kOperators = {"**", "//", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                                         "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

bool is_digit_char(char c) { return c >= '0' && c <= '9'; }

// Decodes the escapes of Python's string literals; unknown ones stay as they are.
class StringDecoder {
 public:
  StringDecoder(std::string_view body, int line) : body_(body), line_(line) {}

  std::string run() {
    std::string out;
    while (pos_ < body_.size()) {
      const char c = body_[pos_++];
      if (c != '\\' || pos_ >= body_.size()) out.push_back(c);
      else escape(&out);
    }
    return out;
  }

 private:
  void escape(std::string* out) {
    const char c = body_[pos_++];
    switch (c) {
      case '\n': return;
      case '\\':
      case '\'':
      case '"': return out->push_back(c);
      case 'a': return out->push_back('\a');
      case 'b': return out->push_back('\b');
      case 'f': return out->push_back('\f');
      case 'n': return out->push_back('\n');
      case 'r': return out->push_back('\r');
      case 't': return out->push_back('\t');
      case 'v': return out->push_back('\v');
      case 'x': return append_code_point(hex(2), out);
      case 'u': return append_code_point(with_low_surrogate(hex(4)), out);
      case 'U': return append_code_point(hex(8), out);
      default: break;
    }
    if (c >= '0' && c <= '7') {
      uint32_t value = static_cast<uint32_t>(c - '0');
      for (int i = 0; i < 2 && pos_ < body_.size() && body_[pos_] >= '0' && body_[pos_] <= '7'; ++i) {
        value = value * 8 + static_cast<uint32_t>(body_[pos_++] - '0');
      }
      return append_code_point(value, out);
    }
    out->push_back('\\');
    out->push_back(c);
  }

  uint32_t hex(size_t n_digits) {
    uint32_t value = 0;
    const char* begin = body_.data() + pos_;
    const char* end = begin + std::min(n_digits, body_.size() - pos_);
    const auto result = std::from_chars(begin, end, value, 16);
    if (result.ptr != begin + n_digits) fail_syntax(line_, fmt::format("expected {} hexadecimal digits in a string escape", n_digits));
    pos_ += n_digits;
    return value;
  }

  uint32_t with_low_surrogate(uint32_t high) {
    if (high < 0xD800 || high > 0xDBFF || body_.substr(pos_, 2) != "\\u") return high;
    pos_ += 2;
    const uint32_t low = hex(4);
    if (low < 0xDC00 || low > 0xDFFF) return high;  // refused below
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
  }

  void append_code_point(uint32_t c, std::string* out) {
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) fail_syntax(line_, fmt::format("expected a character in a string escape, got U+{:X}", c));
    append_utf8(c, out);
  }

  std::string_view body_;
  int line_;
  size_t pos_ = 0;
};

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (pos_ < source_.size()) text_until_tag();
    push(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  bool at(std::string_view what) const { return source_.substr(pos_, what.size()) == what; }

  // Line of pos_; positions only move forward.
  int line() {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(line_pos_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(pos_), '\n'));
    line_pos_ = pos_;
    return line_;
  }

  void push(TokenKind kind, std::string text) { tokens_.push_back({kind, line(), std::move(text)}); }

  size_t skip_space(size_t pos) const { return source_.size() - strip_left(source_.substr(pos)).size(); }

  // The text in front of a tag, whose sign is `sign` ('-', '+' or 0). lstrip_blocks: white space between the start of
  // the line and a tag (not a print) goes away.
  void push_text(std::string_view text, char sign, bool is_print) {
    if (sign == '-') {
      text = strip_right(text);
    } else if (sign != '+' && !is_print) {
      const size_t line_start = text.rfind('\n') + 1;  // 0 if there is none
      const std::string_view last_line = text.substr(line_start);
      if ((line_start > 0 || at_line_start_) && strip(last_line).empty()) text = text.substr(0, line_start);
    }
    if (!text.empty()) push(TokenKind::kText, std::string(text));
  }

  void set_position(size_t pos) {
    at_line_start_ = pos > 0 && source_[pos - 1] == '\n';
    pos_ = pos;
  }

  void text_until_tag() {
    size_t begin = pos_;
    while (true) {
      begin = source_.find('{', begin);
      if (begin == kNowhere || begin + 1 >= source_.size()) {
        push(TokenKind::kText, std::string(source_.substr(pos_)));
        pos_ = source_.size();
        return;
      }
      const char c = source_[begin + 1];
      if (c == '{' || c == '%' || c == '#') break;
      ++begin;
    }
    const char type = source_[begin + 1];
    const char mark = begin + 2 < source_.size() ? source_[begin + 2] : '\0';
    const char sign = mark == '-' || mark == '+' ? mark : '\0';
    push_text(source_.substr(pos_, begin - pos_), sign, type == '{');
    pos_ = begin;
    const size_t inside = begin + (sign != 0 ? 3 : 2);
    if (type == '#') return comment(inside);
    if (type == '%') {
      if (const size_t end = end_of_raw_begin(inside); end != kNowhere) return raw(end);
    }
    push(type == '{' ? TokenKind::kPrintBegin : TokenKind::kTagBegin, "");
    set_position(inside);
    code(type == '{');
  }

  // Position behind "#}", "-#}" with the white space after it, or "+#}"; the same for "%}". trim_blocks: one newline
  // right behind the tag goes away. kNowhere if `pos` is not at such an end.
  size_t end_of_tag(size_t pos, std::string_view closing) const {
    const char sign = pos < source_.size() ? source_[pos] : '\0';
    if (sign == '-' && source_.substr(pos + 1, 2) == closing) return skip_space(pos + 3);
    if (sign == '+' && source_.substr(pos + 1, 2) == closing) return pos + 3;
    if (source_.substr(pos, 2) != closing) return kNowhere;
    pos += 2;
    return pos < source_.size() && source_[pos] == '\n' ? pos + 1 : pos;
  }

  void comment(size_t pos) {
    if (pos == source_.size()) return set_position(pos);  // as Jinja has it: an opening at the very end is nothing
    const size_t close = source_.find("#}", pos);
    if (close == kNowhere) fail_syntax(line(), "expected \"#}\" at the end of a comment, got the end of the template");
    const char before = close > pos ? source_[close - 1] : '\0';
    set_position(end_of_tag(before == '-' || before == '+' ? close - 1 : close, "#}"));
  }

  // `pos` stands behind "{%" and its sign. If "raw %}" follows: the position behind it.
  size_t end_of_raw_begin(size_t pos) const {
    pos = skip_space(pos);
    if (source_.substr(pos, 3) != "raw") return kNowhere;
    pos = skip_space(pos + 3);
    if (source_.substr(pos, 3) == "-%}") return skip_space(pos + 3);
    return source_.substr(pos, 2) == "%}" ? pos + 2 : kNowhere;
  }

  void raw(size_t body) {
    const int first_line = line();
    set_position(body);
    if (body == source_.size()) return;
    for (size_t begin = source_.find("{%", body); begin != kNowhere; begin = source_.find("{%", begin + 2)) {
      const char mark = begin + 2 < source_.size() ? source_[begin + 2] : '\0';
      const char sign = mark == '-' || mark == '+' ? mark : '\0';
      const size_t name = skip_space(begin + (sign != 0 ? 3 : 2));
      if (source_.substr(name, 6) != "endraw") continue;
      const size_t end = end_of_tag(skip_space(name + 6), "%}");
      if (end == kNowhere) continue;
      push_text(source_.substr(body, begin - body), sign, false);
      set_position(end);
      return;
    }
    fail_syntax(first_line, "expected {% endraw %}, got the end of the template");
  }

  // Tokens up to the end of the tag or print that starts here.
  void code(bool is_print) {
    const int first_line = line();
    std::string open;  // closing brackets still to come
    while (true) {
      set_position(skip_space(pos_));
      if (pos_ >= source_.size()) {
        fail_syntax(first_line, fmt::format("expected \"{}\", got the end of the template", is_print ? "}}" : "%}"));
      }
      if (open.empty() && end_of_code(is_print)) return;
      if (!number() && !name() && !string() && !symbol(&open)) {
        const size_t n = decode_at(source_, pos_).n_bytes;
        fail_syntax(line(), fmt::format("unexpected character '{}'", source_.substr(pos_, n)));
      }
    }
  }

  bool end_of_code(bool is_print) {
    size_t end = kNowhere;
    if (!is_print) end = end_of_tag(pos_, "%}");
    else if (at("-}}")) end = skip_space(pos_ + 3);
    else if (at("}}")) end = pos_ + 2;
    if (end == kNowhere) return false;
    push(is_print ? TokenKind::kPrintEnd : TokenKind::kTagEnd, "");
    set_position(end);
    return true;
  }

  // Digits with single underscores between them, from `pos`; returns the end.
  size_t digits(size_t pos) const {
    while (pos < source_.size() &&
           (is_digit_char(source_[pos]) ||
            (source_[pos] == '_' && pos + 1 < source_.size() && is_digit_char(source_[pos + 1]) && is_digit_char(source_[pos - 1])))) {
      ++pos;
    }
    return pos;
  }

  bool number() {
    if (!is_digit_char(source_[pos_])) return false;
    const bool after_dot = pos_ > 0 && source_[pos_ - 1] == '.';
    size_t end = digits(pos_);
    bool is_float = false;
    const auto digit_at = [&](size_t pos) { return pos < source_.size() && is_digit_char(source_[pos]); };
    if (!after_dot) {
      if (end < source_.size() && source_[end] == '.' && digit_at(end + 1)) {
        is_float = true;
        end = digits(end + 1);
      }
      if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
        size_t exponent = end + 1;
        if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) ++exponent;
        if (digit_at(exponent)) {
          is_float = true;
          end = digits(exponent);
        }
      }
    }
    return is_float ? push_float(end) : push_integer(end);
  }

  std::string without_underscores(size_t from, size_t to) const {
    std::string text(source_.substr(from, to - from));
    std::erase(text, '_');
    return text;
  }

  bool push_float(size_t end) {
    const std::string text = without_underscores(pos_, end);
    double value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec == std::errc::result_out_of_range) value = text.find("e-") != std::string::npos || text.find("E-") != std::string::npos ? 0.0 : HUGE_VAL;
    push(TokenKind::kFloat, text);
    tokens_.back().real = value;
    set_position(end);
    return true;
  }

  bool push_integer(size_t end) {
    int base = 10;
    size_t from = pos_;
    if (source_[pos_] == '0' && pos_ + 1 < source_.size()) {
      const char c = static_cast<char>(source_[pos_ + 1] | 0x20);
      base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;
      if (base != 10) {
        from = end = pos_ + 2;
        while (end < source_.size() && (std::isxdigit(static_cast<unsigned char>(source_[end])) != 0 || source_[end] == '_')) ++end;
      }
    }
    const std::string text = without_underscores(from, end);
    int64_t value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (text.empty() || result.ec != std::errc() || result.ptr != text.data() + text.size()) {
      fail_syntax(line(), fmt::format("expected an integer of at most 64 bits, got '{}'", source_.substr(pos_, end - pos_)));
    }
    push(TokenKind::kInteger, text);
    tokens_.back().integer = value;
    set_position(end);
    return true;
  }

  bool name() {
    size_t end = pos_;
    while (end < source_.size()) {
      const CodePoint p = decode_at(source_, end);
      if (p.value != '_' && !is_alphanumeric(p.value)) break;
      end += p.n_bytes;
    }
    if (end == pos_) return false;
    push(TokenKind::kName, std::string(source_.substr(pos_, end - pos_)));
    set_position(end);
    return true;
  }

  bool string() {
    const char quote = source_[pos_];
    if (quote != '\'' && quote != '"') return false;
    size_t end = pos_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail_syntax(line(), "expected the closing quote of a string, got the end of the template");
    push(TokenKind::kString, StringDecoder(source_.substr(pos_ + 1, end - pos_ - 1), line()).run());
    set_position(end + 1);
    return true;
  }

  bool symbol(std::string* open) {
    for (std::string_view op : kOperators) {
      if (!at(op)) continue;
      const char c = op[0];
      if (c == '{') open->push_back('}');
      else if (c == '(') open->push_back(')');
      else if (c == '[') open->push_back(']');
      else if (c == '}' || c == ')' || c == ']') {
        if (open->empty()) fail_syntax(line(), fmt::format("unexpected '{}'", c));
        if (open->back() != c) fail_syntax(line(), fmt::format("unexpected '{}', expected '{}'", c, open->back()));
        open->pop_back();
      }
      push(TokenKind::kOperator, std::string(op));
      set_position(pos_ + op.size());
      return true;
    }
    return false;
  }

  std::string_view source_;
  size_t pos_ = 0;
  bool at_line_start_ = true;  // the last token ended with a newline
  size_t line_pos_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

void fail_syntax(int line, const std::string& what) {
  throw TemplateError{Code::kCorrupt, fmt::format("chat template, line {}: {}", line, what)};
}

std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out.push_back(source[i]);
    } else {
      out.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kText: return "text";
    case TokenKind::kPrintBegin: return "'{{'";
    case TokenKind::kPrintEnd: return "'}}'";
    case TokenKind::kTagBegin: return "'{%'";
    case TokenKind::kTagEnd: return "'%}'";
    case TokenKind::kString: return "a string";
    case TokenKind::kEnd: return "the end of the template";
    default: return fmt::format("'{}'", token.text);
  }
}

}  // namespace hanlin::jinja
