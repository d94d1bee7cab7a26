#include "text/chat_template/expression_parser.h"

#include <fmt/format.h>

#include "text/chat_template/checks.h"
#include "text/chat_template/filters.h"

namespace hanlin::jinja {
namespace {

constexpr int kMaxLevels = 150;     // brackets and blocks inside each other
constexpr int kMaxTreeDepth = 600;  // operators in a chain: a + b + c …

std::vector<ExprPtr> operands(ExprPtr a, ExprPtr b = nullptr) {
  std::vector<ExprPtr> all;
  all.push_back(std::move(a));
  if (b != nullptr) all.push_back(std::move(b));
  return all;
}

}  // namespace

ExpressionParser::Level::Level(ExpressionParser* parser) : parser_(parser) {
  if (++parser_->level_ > kMaxLevels) {
    const int line = parser_->current().line;
    --parser_->level_;
    fail_syntax(line, fmt::format("expected at most {} levels of nesting, got more", kMaxLevels));
  }
}

bool ExpressionParser::skip_operator(std::string_view op) { return at_operator(op) ? next(), true : false; }
bool ExpressionParser::skip_name(std::string_view name) { return at_name(name) ? next(), true : false; }

void ExpressionParser::fail_here(const std::string& expected) const {
  fail_syntax(current().line, fmt::format("expected {}, got {}", expected, describe(current())));
}
void ExpressionParser::expect_operator(std::string_view op) {
  if (!skip_operator(op)) fail_here(fmt::format("'{}'", op));
}
void ExpressionParser::expect_name(std::string_view name) {
  if (!skip_name(name)) fail_here(fmt::format("'{}'", name));
}
std::string ExpressionParser::take_name() {
  if (current().kind != TokenKind::kName) fail_here("a name");
  return next().text;
}
void ExpressionParser::expect(TokenKind kind) {
  if (current().kind != kind) fail_here(kind == TokenKind::kTagEnd ? "'%}'" : "'}}'");
  next();
}

int ExpressionParser::symbol_of(const std::string& name) {
  const auto [it, is_new] = symbol_ids_.try_emplace(name, static_cast<int>(symbols_.size()));
  if (is_new) symbols_.push_back(name);
  return it->second;
}

ExprPtr ExpressionParser::make(ExprKind kind, int line) const {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = line;
  return node;
}

ExprPtr ExpressionParser::make(ExprKind kind, int line, std::vector<ExprPtr> operands) const {
  ExprPtr node = make(kind, line);
  for (const ExprPtr& child : operands) note_depth(node.get(), child);
  node->operands = std::move(operands);
  return node;
}

void ExpressionParser::note_depth(Expr* node, const ExprPtr& child) const {
  if (child == nullptr) return;
  node->depth = std::max(node->depth, child->depth + 1);
  if (node->depth > kMaxTreeDepth) fail_syntax(node->line, fmt::format("expected at most {} operations in a chain, got more", kMaxTreeDepth));
}

void ExpressionParser::note_depths(Expr* node) const {
  for (const ExprPtr& argument : node->arguments.positional) note_depth(node, argument);
  for (const auto& [name, argument] : node->arguments.named) note_depth(node, argument);
  note_depth(node, node->arguments.spread);
  note_depth(node, node->arguments.spread_named);
}

ExprPtr ExpressionParser::expression(bool with_condition) {
  const Level level(this);
  ExprPtr node = or_chain();
  while (with_condition && at_name("if")) {
    const int line = next().line;
    ExprPtr condition = or_chain();
    std::vector<ExprPtr> parts = operands(std::move(node), std::move(condition));
    parts.push_back(skip_name("else") ? expression() : nullptr);
    node = make(ExprKind::kConditional, line, std::move(parts));
  }
  return node;
}

ExprPtr ExpressionParser::or_chain() {
  ExprPtr node = and_chain();
  while (at_name("or")) {
    const int line = next().line;
    node = make(ExprKind::kOr, line, operands(std::move(node), and_chain()));
  }
  return node;
}

ExprPtr ExpressionParser::and_chain() {
  ExprPtr node = not_expression();
  while (at_name("and")) {
    const int line = next().line;
    node = make(ExprKind::kAnd, line, operands(std::move(node), not_expression()));
  }
  return node;
}

ExprPtr ExpressionParser::not_expression() {
  if (!at_name("not")) return comparison();
  const Level level(this);
  const int line = next().line;
  return make(ExprKind::kNot, line, operands(not_expression()));
}

ExprPtr ExpressionParser::comparison() {
  static constexpr std::pair<std::string_view, CompareOp> kOps[] = {
      {"==", CompareOp::kEqual}, {"!=", CompareOp::kNotEqual},     {"<", CompareOp::kLess},
      {"<=", CompareOp::kLessEqual}, {">", CompareOp::kGreater}, {">=", CompareOp::kGreaterEqual}};
  const int line = current().line;
  ExprPtr node = sum();
  std::vector<CompareOp> ops;
  std::vector<ExprPtr> all;
  while (true) {
    bool found = false;
    for (const auto& [text, op] : kOps) {
      if (!skip_operator(text)) continue;
      ops.push_back(op);
      found = true;
      break;
    }
    if (!found && skip_name("in")) {
      ops.push_back(CompareOp::kIn);
      found = true;
    } else if (!found && at_name("not") && ahead().kind == TokenKind::kName && ahead().text == "in") {
      next();
      next();
      ops.push_back(CompareOp::kNotIn);
      found = true;
    }
    if (!found) break;
    if (all.empty()) all.push_back(std::move(node));
    all.push_back(sum());
  }
  if (ops.empty()) return node;
  node = make(ExprKind::kCompare, line, std::move(all));
  node->compare_ops = std::move(ops);
  return node;
}

ExprPtr ExpressionParser::sum() {
  ExprPtr node = concatenation();
  while (at_operator("+") || at_operator("-")) {
    const Token op = next();
    node = make(ExprKind::kBinary, op.line, operands(std::move(node), concatenation()));
    node->op = op.text == "+" ? BinaryOp::kAdd : BinaryOp::kSubtract;
  }
  return node;
}

ExprPtr ExpressionParser::concatenation() {
  const int line = current().line;
  std::vector<ExprPtr> all = operands(product());
  while (skip_operator("~")) all.push_back(product());
  return all.size() == 1 ? std::move(all[0]) : make(ExprKind::kConcat, line, std::move(all));
}

ExprPtr ExpressionParser::product() {
  ExprPtr node = power();
  while (at_operator("*") || at_operator("/") || at_operator("//") || at_operator("%")) {
    const Token op = next();
    node = make(ExprKind::kBinary, op.line, operands(std::move(node), power()));
    node->op = op.text == "*"    ? BinaryOp::kMultiply
               : op.text == "/"  ? BinaryOp::kDivide
               : op.text == "//" ? BinaryOp::kFloorDivide
                                 : BinaryOp::kModulo;
  }
  return node;
}

ExprPtr ExpressionParser::power() {
  ExprPtr node = unary();
  while (at_operator("**")) {  // from left to right, as Jinja has it
    const int line = next().line;
    node = make(ExprKind::kBinary, line, operands(std::move(node), unary()));
    node->op = BinaryOp::kPower;
  }
  return node;
}

ExprPtr ExpressionParser::unary(bool with_filter) {
  const Level level(this);
  ExprPtr node;
  if (at_operator("-") || at_operator("+")) {
    const Token op = next();
    node = make(op.text == "-" ? ExprKind::kNegate : ExprKind::kPositive, op.line, operands(unary(false)));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filter ? filters_and_tests(std::move(node)) : std::move(node);
}

ExprPtr ExpressionParser::primary() {
  const int line = current().line;
  switch (current().kind) {
    case TokenKind::kName: return name_or_literal();
    case TokenKind::kString: {
      std::string text;
      while (current().kind == TokenKind::kString) text += next().text;
      ExprPtr node = make(ExprKind::kConstant, line);
      node->constant = make_constant_string(std::move(text));
      return node;
    }
    case TokenKind::kInteger:
    case TokenKind::kFloat: {
      ExprPtr node = make(ExprKind::kConstant, line);
      const Token token = next();
      node->constant = token.kind == TokenKind::kFloat ? Value::real(token.real) : Value::integer(token.integer);
      return node;
    }
    default: break;
  }
  if (skip_operator("(")) {
    ExprPtr node = tuple_or_expression(true, true);
    expect_operator(")");
    return node;
  }
  if (at_operator("[")) return list();
  if (at_operator("{")) return dict();
  fail_here("an expression");
}

ExprPtr ExpressionParser::name_or_literal() {
  const Token token = next();
  const std::string& name = token.text;
  const bool is_true_name = name == "true" || name == "True";
  if (is_true_name || name == "false" || name == "False") {
    ExprPtr node = make(ExprKind::kConstant, token.line);
    node->constant = Value::boolean(is_true_name);
    return node;
  }
  if (name == "none" || name == "None") {
    ExprPtr node = make(ExprKind::kConstant, token.line);
    node->constant = Value::none();
    return node;
  }
  ExprPtr node = make(ExprKind::kName, token.line);
  node->symbol = symbol_of(name);
  for (MacroDef* macro : open_macros_) {
    if (node->symbol == kSymbolCaller) macro->takes_caller = true;
    if (node->symbol == kSymbolVarargs) macro->takes_varargs = true;
    if (node->symbol == kSymbolKwargs) macro->takes_kwargs = true;
  }
  return node;
}

ExprPtr ExpressionParser::list() {
  const int line = next().line;
  std::vector<ExprPtr> items;
  while (!at_operator("]")) {
    if (!items.empty()) expect_operator(",");
    if (at_operator("]")) break;
    items.push_back(expression());
  }
  expect_operator("]");
  return make(ExprKind::kList, line, std::move(items));
}

ExprPtr ExpressionParser::dict() {
  const int line = next().line;
  std::vector<ExprPtr> items;
  while (!at_operator("}")) {
    if (!items.empty()) expect_operator(",");
    if (at_operator("}")) break;
    items.push_back(expression());
    expect_operator(":");
    items.push_back(expression());
  }
  expect_operator("}");
  return make(ExprKind::kDict, line, std::move(items));
}

bool ExpressionParser::at_tuple_end(std::string_view stop_name) const {
  return current().kind == TokenKind::kPrintEnd || current().kind == TokenKind::kTagEnd || at_operator(")") ||
         (!stop_name.empty() && at_name(stop_name));
}

ExprPtr ExpressionParser::tuple_or_expression(bool with_condition, bool in_parentheses, std::string_view stop_name) {
  const int line = current().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) expect_operator(",");
    if (at_tuple_end(stop_name)) break;
    items.push_back(expression(with_condition));
    if (!at_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return std::move(items[0]);
    if (!in_parentheses) fail_here("an expression");
  }
  return make(ExprKind::kTuple, line, std::move(items));
}

ExprPtr ExpressionParser::postfix(ExprPtr node) {
  while (true) {
    if (at_operator(".") || at_operator("[")) node = subscript(std::move(node));
    else if (at_operator("(")) node = call(std::move(node));
    else return node;
  }
}

ExprPtr ExpressionParser::filters_and_tests(ExprPtr node) {
  while (true) {
    if (at_operator("|")) node = filter_chain(std::move(node), false);
    else if (at_name("is")) node = test(std::move(node));
    else if (at_operator("(")) node = call(std::move(node));
    else return node;
  }
}

ExprPtr ExpressionParser::subscript(ExprPtr node) {
  const Token opening = next();
  if (opening.text == ".") {
    if (current().kind == TokenKind::kInteger) {
      ExprPtr key = make(ExprKind::kConstant, opening.line);
      key->constant = Value::integer(next().integer);
      return make(ExprKind::kItem, opening.line, operands(std::move(node), std::move(key)));
    }
    node = make(ExprKind::kAttribute, opening.line, operands(std::move(node)));
    node->text = take_name();
    return node;
  }
  const auto at_part_end = [this] { return at_operator("]") || at_operator(",") || at_operator(":"); };
  std::vector<ExprPtr> parts;  // of a slice
  bool is_slice = false;
  ExprPtr key;
  if (!at_operator(":")) key = tuple_or_expression(true, false, {});
  while (skip_operator(":")) {
    if (!is_slice) {
      parts.push_back(std::move(node));
      parts.push_back(std::move(key));
      is_slice = true;
    }
    if (parts.size() == 4) fail_here("']'");
    parts.push_back(at_part_end() ? nullptr : expression());
  }
  expect_operator("]");
  if (!is_slice) return make(ExprKind::kItem, opening.line, operands(std::move(node), std::move(key)));
  parts.resize(4);
  return make(ExprKind::kSlice, opening.line, std::move(parts));
}

ExprPtr ExpressionParser::filter_chain(ExprPtr input, bool starts_inline) {
  while (at_operator("|") || starts_inline) {
    const int line = current().line;
    if (!starts_inline) next();
    starts_inline = false;
    std::string name = take_name();
    while (skip_operator(".")) name.append(1, '.').append(take_name());
    ExprPtr node = make(ExprKind::kFilter, line);
    note_depth(node.get(), input);
    node->operands.push_back(std::move(input));
    node->filter = find_filter(name);
    node->text = std::move(name);
    if (at_operator("(")) node->arguments = call_arguments();
    note_depths(node.get());
    input = std::move(node);
  }
  return input;
}

ExprPtr ExpressionParser::test(ExprPtr node) {
  const int line = next().line;
  const bool is_negated = skip_name("not");
  std::string name = take_name();
  while (skip_operator(".")) name.append(1, '.').append(take_name());
  ExprPtr result = make(ExprKind::kTest, line, operands(std::move(node)));
  result->check = find_check(name);
  result->text = std::move(name);
  const TokenKind kind = current().kind;
  const bool starts_argument = kind == TokenKind::kName || kind == TokenKind::kString || kind == TokenKind::kInteger ||
                               kind == TokenKind::kFloat || at_operator("[") || at_operator("{");
  if (at_operator("(")) {
    result->arguments = call_arguments();
  } else if (starts_argument && !at_name("else") && !at_name("or") && !at_name("and")) {
    if (at_name("is")) fail_syntax(line, "tests with 'is' cannot be chained");
    const Level level(this);
    ExprPtr argument = postfix(primary());
    result->arguments.positional.push_back(std::move(argument));
  }
  note_depths(result.get());
  return is_negated ? make(ExprKind::kNot, line, operands(std::move(result))) : std::move(result);
}

ExprPtr ExpressionParser::call(ExprPtr node) {
  ExprPtr result = make(ExprKind::kCall, current().line, operands(std::move(node)));
  result->arguments = call_arguments();
  note_depths(result.get());
  return result;
}

Arguments ExpressionParser::call_arguments() {
  Arguments arguments;
  expect_operator("(");
  const auto check = [this](bool ok) {
    if (!ok) fail_syntax(current().line, "invalid order of arguments in a call");
  };
  bool is_first = true;
  while (!at_operator(")")) {
    if (!is_first) {
      expect_operator(",");
      if (at_operator(")")) break;
    }
    is_first = false;
    const bool is_named = current().kind == TokenKind::kName && ahead().kind == TokenKind::kOperator && ahead().text == "=";
    if (skip_operator("*")) {
      check(arguments.spread == nullptr && arguments.spread_named == nullptr);
      arguments.spread = expression();
    } else if (skip_operator("**")) {
      check(arguments.spread_named == nullptr);
      arguments.spread_named = expression();
    } else if (is_named) {
      check(arguments.spread_named == nullptr);
      std::string name = take_name();
      next();
      arguments.named.emplace_back(std::move(name), expression());
    } else {
      check(arguments.named.empty() && arguments.spread == nullptr && arguments.spread_named == nullptr);
      arguments.positional.push_back(expression());
    }
  }
  expect_operator(")");
  return arguments;
}

Target ExpressionParser::single_target(bool with_attributes) {
  const Level level(this);
  if (skip_operator("(")) {
    Target inner = target({}, with_attributes);
    expect_operator(")");
    return inner;
  }
  Target result;
  const std::string name = take_name();
  for (std::string_view literal : {"true", "false", "none", "True", "False", "None"}) {
    if (name == literal) fail_syntax(current().line, fmt::format("cannot assign to '{}'", name));
  }
  result.symbol = symbol_of(name);
  if (with_attributes && skip_operator(".")) result.attribute = take_name();
  return result;
}

Target ExpressionParser::target(std::string_view stop_name, bool with_attributes) {
  Target tuple;
  while (true) {
    if (!tuple.elements.empty()) expect_operator(",");
    if (!tuple.elements.empty() && (at_tuple_end(stop_name) || at_operator("="))) break;
    tuple.elements.push_back(single_target(with_attributes));
    if (!at_operator(",")) break;
    tuple.is_tuple = true;
  }
  if (tuple.is_tuple) return tuple;
  Target only = std::move(tuple.elements[0]);
  return only;
}

}  // namespace hanlin::jinja
