#include "text/chat_template/parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/chat_template/expression_parser.h"
#include "text/chat_template/unicode.h"

namespace hanlin::jinja {
namespace {

using Names = std::initializer_list<std::string_view>;

class Parser : ExpressionParser {
 public:
  explicit Parser(std::vector<Token> tokens) : ExpressionParser(std::move(tokens)) {
    for (const char* name : {"loop", "caller", "varargs", "kwargs"}) symbol_of(name);  // WellKnownSymbol
  }

  std::shared_ptr<const Template> run(std::string source) {
    auto result = std::make_shared<Template>();
    result->body = body({});
    result->symbols = std::move(symbols_);
    result->source = std::move(source);
    return result;
  }

 private:
  // Statements up to one of the tags in `ends`, whose name stays the current token; up to the end of the template if empty.
  Body body(Names ends) {
    const Level level(this);
    Body statements;
    while (true) {
      switch (current().kind) {
        case TokenKind::kEnd:
          if (ends.size() == 0) return statements;
          fail_here(fmt::format("'{{% {} %}}'", *(ends.end() - 1)));
        case TokenKind::kText: {
          Stmt statement = make(StmtKind::kText);
          statement.text = next().text;
          statements.push_back(std::move(statement));
          break;
        }
        case TokenKind::kPrintBegin: {
          next();
          Stmt statement = make(StmtKind::kPrint);
          statement.expr = tuple_or_expression();
          expect(TokenKind::kPrintEnd);
          statements.push_back(std::move(statement));
          break;
        }
        default:
          next();  // {%
          if (current().kind == TokenKind::kName && std::find(ends.begin(), ends.end(), current().text) != ends.end()) return statements;
          tag(&statements);
      }
    }
  }

  // The body of a tag: its "%}", statements, and the name of the tag that ends it (consumed and returned).
  std::string block(Names ends, Body* out) {
    skip_operator(":");
    expect(TokenKind::kTagEnd);
    *out = body(ends);
    return next().text;
  }

  Stmt make(StmtKind kind) const {
    Stmt statement{};
    statement.kind = kind;
    statement.line = current().line;
    return statement;
  }

  void tag(Body* out) {
    if (current().kind != TokenKind::kName) fail_here("the name of a tag");
    struct Entry {
      std::string_view name;
      Stmt (Parser::*parse)();
    };
    static constexpr Entry kTags[] = {
        {"if", &Parser::if_tag},           {"for", &Parser::for_tag},       {"set", &Parser::set_tag},
        {"macro", &Parser::macro_tag},     {"call", &Parser::call_tag},     {"filter", &Parser::filter_tag},
        {"with", &Parser::with_tag},       {"block", &Parser::block_tag},   {"generation", &Parser::generation_tag},
        {"break", &Parser::break_tag},     {"continue", &Parser::break_tag},
    };
    if (at_name("print")) {
      print_tag(out);
    } else {
      const auto* entry = std::find_if(std::begin(kTags), std::end(kTags), [this](const Entry& e) { return at_name(e.name); });
      if (entry == std::end(kTags)) refuse_tag();
      out->push_back((this->*entry->parse)());
    }
    expect(TokenKind::kTagEnd);
  }

  [[noreturn]] void refuse_tag() {
    const std::string name = current().text;
    for (std::string_view known : {"extends", "include", "import", "from", "autoescape"}) {
      if (name != known) continue;
      throw TemplateError{Code::kUnsupported,
                          fmt::format("chat template, line {}: the tag '{}' is not supported: a chat template is one file", current().line, name)};
    }
    fail_syntax(current().line, fmt::format("unknown tag '{}'", name));
  }

  void print_tag(Body* out) {
    next();
    while (current().kind != TokenKind::kTagEnd) {
      Stmt statement = make(StmtKind::kPrint);
      statement.expr = expression();
      out->push_back(std::move(statement));
      if (current().kind != TokenKind::kTagEnd) expect_operator(",");
    }
  }

  Stmt if_tag() {
    Stmt statement = make(StmtKind::kIf);
    next();
    while (true) {
      ExprPtr condition = tuple_or_expression(false);
      Body inner;
      const std::string end = block({"elif", "else", "endif"}, &inner);
      statement.branches.emplace_back(std::move(condition), std::move(inner));
      if (end == "elif") continue;
      if (end == "else") {
        Body rest;
        block({"endif"}, &rest);
        statement.branches.emplace_back(nullptr, std::move(rest));
      }
      return statement;
    }
  }

  Stmt for_tag() {
    Stmt statement = make(StmtKind::kFor);
    next();
    statement.target = target("in");
    expect_name("in");
    statement.expr = tuple_or_expression(false, false, "recursive");
    if (skip_name("if")) statement.condition = expression();
    statement.is_recursive = skip_name("recursive");
    ++n_loops_;
    const std::string end = block({"else", "endfor"}, &statement.body);
    --n_loops_;
    if (end == "else") block({"endfor"}, &statement.else_body);
    return statement;
  }

  Stmt set_tag() {
    Stmt statement = make(StmtKind::kSet);
    next();
    statement.target = target({}, true);
    if (skip_operator("=")) {
      statement.expr = tuple_or_expression();
      return statement;
    }
    statement.kind = StmtKind::kSetBlock;
    statement.expr = filter_chain(nullptr, false);
    block({"endset"}, &statement.body);
    return statement;
  }

  void signature(MacroDef* macro) {
    expect_operator("(");
    bool has_fallback = false;
    while (!at_operator(")")) {
      if (!macro->params.empty()) expect_operator(",");
      MacroParam param;
      param.name = take_name();
      param.symbol = symbol_of(param.name);
      if (skip_operator("=")) {
        param.fallback = expression();
        has_fallback = true;
      } else if (has_fallback) {
        fail_syntax(current().line, "non-default argument follows default argument");
      }
      if (param.symbol == kSymbolCaller && param.fallback == nullptr) {
        fail_syntax(current().line, "expected a default for the parameter 'caller'");
      }
      macro->params.push_back(std::move(param));
    }
    expect_operator(")");
  }

  void macro_body(Stmt* statement, std::string_view end) {
    MacroDef* macro = statement->macro.get();
    open_macros_.push_back(macro);
    const int n_loops = std::exchange(n_loops_, 0);  // break does not leave a macro
    block({end}, &statement->body);
    n_loops_ = n_loops;
    open_macros_.pop_back();
    for (const MacroParam& param : macro->params) {  // a parameter of that name is an ordinary one
      if (param.symbol == kSymbolCaller) macro->takes_caller = false;
      if (param.symbol == kSymbolVarargs) macro->takes_varargs = false;
      if (param.symbol == kSymbolKwargs) macro->takes_kwargs = false;
    }
  }

  Stmt macro_tag() {
    Stmt statement = make(StmtKind::kMacro);
    next();
    statement.macro = std::make_unique<MacroDef>();
    statement.macro->name = take_name();
    statement.symbol = symbol_of(statement.macro->name);
    signature(statement.macro.get());
    macro_body(&statement, "endmacro");
    return statement;
  }

  Stmt call_tag() {
    Stmt statement = make(StmtKind::kCallBlock);
    next();
    statement.macro = std::make_unique<MacroDef>();
    statement.macro->name = "caller";
    if (at_operator("(")) signature(statement.macro.get());
    statement.expr = expression();
    if (statement.expr->kind != ExprKind::kCall) fail_syntax(statement.line, "expected a call in {% call %}");
    macro_body(&statement, "endcall");
    return statement;
  }

  Stmt filter_tag() {
    Stmt statement = make(StmtKind::kFilterBlock);
    next();
    statement.expr = filter_chain(nullptr, true);
    block({"endfilter"}, &statement.body);
    return statement;
  }

  Stmt with_tag() {
    Stmt statement = make(StmtKind::kWith);
    next();
    while (current().kind != TokenKind::kTagEnd && !at_operator(":")) {
      if (!statement.assignments.empty()) expect_operator(",");
      Target to = target();
      expect_operator("=");
      statement.assignments.emplace_back(std::move(to), expression());
    }
    block({"endwith"}, &statement.body);
    return statement;
  }

  Stmt block_tag() {
    Stmt statement = make(StmtKind::kBlock);
    next();
    const std::string name = take_name();
    skip_name("scoped");
    skip_name("required");
    const int n_loops = std::exchange(n_loops_, 0);
    block({"endblock"}, &statement.body);
    n_loops_ = n_loops;
    skip_name(name);
    return statement;
  }

  // What the model itself said; only training looks at the marks. A scope of its own, as in transformers.
  Stmt generation_tag() {
    Stmt statement = make(StmtKind::kScope);
    next();
    const int n_loops = std::exchange(n_loops_, 0);
    block({"endgeneration"}, &statement.body);
    n_loops_ = n_loops;
    return statement;
  }

  Stmt break_tag() {
    Stmt statement = make(at_name("break") ? StmtKind::kBreak : StmtKind::kContinue);
    if (n_loops_ == 0) fail_syntax(statement.line, fmt::format("'{}' outside of a loop", current().text));
    next();
    return statement;
  }

  int n_loops_ = 0;
};

}  // namespace

std::shared_ptr<const Template> parse(std::string source) {
  if (!is_valid_utf8(source)) throw TemplateError{Code::kCorrupt, "chat template: expected valid UTF-8"};
  const std::string text = normalize_newlines(source);
  return Parser(tokenize(text)).run(std::move(source));
}

}  // namespace hanlin::jinja
