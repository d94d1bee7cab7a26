// Template source to tokens, with Jinja's rules for white space around tags.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hanlin::jinja {

enum class TokenKind : uint8_t {
  kText,           // what stands between tags, already trimmed
  kPrintBegin,     // {{
  kPrintEnd,       // }}
  kTagBegin,       // {%
  kTagEnd,         // %}
  kName,
  kString,         // text holds the decoded value
  kInteger,
  kFloat,
  kOperator,       // text holds the operator
  kEnd,
};

struct Token {
  TokenKind kind;
  int line;
  std::string text;
  int64_t integer = 0;
  double real = 0;
};

// The source as the lexer wants it: "\r\n" and "\r" become "\n", one newline at the very end is dropped.
std::string normalize_newlines(std::string_view source);

// Throws TemplateError (kCorrupt, with the line). The last token is kEnd.
std::vector<Token> tokenize(std::string_view source);

// How a token reads in an error message.
std::string describe(const Token& token);

[[noreturn]] void fail_syntax(int line, const std::string& what);

}  // namespace hanlin::jinja
