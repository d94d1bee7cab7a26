// The token stream and the grammar of expressions; parser.cpp adds the statements.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_template/ast.h"
#include "text/chat_template/lexer.h"

namespace hanlin::jinja {

class ExpressionParser {
 protected:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  // Token stream.
  const Token& current() const { return tokens_[pos_]; }
  const Token& ahead() const { return tokens_[std::min(pos_ + 1, tokens_.size() - 1)]; }
  Token next() { return pos_ + 1 < tokens_.size() ? tokens_[pos_++] : tokens_[pos_]; }
  bool at_operator(std::string_view op) const { return current().kind == TokenKind::kOperator && current().text == op; }
  bool at_name(std::string_view name) const { return current().kind == TokenKind::kName && current().text == name; }
  bool skip_operator(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_operator(std::string_view op);
  void expect_name(std::string_view name);
  std::string take_name();
  void expect(TokenKind kind);
  [[noreturn]] void fail_here(const std::string& expected) const;

  int symbol_of(const std::string& name);

  // Expressions. `with_condition`: a trailing "x if y" belongs to the expression.
  ExprPtr expression(bool with_condition = true);
  // One expression, or a tuple without parentheses. `stop_name` ends it (for … recursive).
  ExprPtr tuple_or_expression(bool with_condition = true, bool in_parentheses = false, std::string_view stop_name = {});
  // The filters behind `input`; `starts_inline`: the first comes without "|", as in {% filter upper %}.
  ExprPtr filter_chain(ExprPtr input, bool starts_inline);
  Target target(std::string_view stop_name = {}, bool with_attributes = false);

  // Guards each level of recursion.
  class Level {
   public:
    explicit Level(ExpressionParser* parser);
    ~Level() { --parser_->level_; }

   private:
    ExpressionParser* parser_;
  };

  std::vector<std::string> symbols_;
  std::vector<MacroDef*> open_macros_;

 private:
  ExprPtr or_chain();
  ExprPtr and_chain();
  ExprPtr not_expression();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concatenation();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filter = true);
  ExprPtr primary();
  ExprPtr name_or_literal();
  ExprPtr list();
  ExprPtr dict();
  ExprPtr postfix(ExprPtr node);
  ExprPtr filters_and_tests(ExprPtr node);
  ExprPtr subscript(ExprPtr node);
  ExprPtr test(ExprPtr node);
  ExprPtr call(ExprPtr node);
  Arguments call_arguments();
  Target single_target(bool with_attributes);
  bool at_tuple_end(std::string_view stop_name) const;

  ExprPtr make(ExprKind kind, int line) const;
  // Takes over the operands and checks the depth.
  ExprPtr make(ExprKind kind, int line, std::vector<ExprPtr> operands) const;
  void note_depth(Expr* node, const ExprPtr& child) const;
  void note_depths(Expr* node) const;  // of its arguments

  std::vector<Token> tokens_;
  size_t pos_ = 0;
  int level_ = 0;
  std::map<std::string, int, std::less<>> symbol_ids_;
};

}  // namespace hanlin::jinja
