// The parsed template. Immutable once built; shared by all renderings.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/chat_template/operators.h"
#include "text/chat_template/value.h"

namespace hanlin::jinja {

struct Filter;
struct Check;
struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

enum class ExprKind : uint8_t {
  kConstant,
  kName,         // symbol
  kList,         // operands
  kTuple,
  kDict,         // operands: key, value, key, value, …
  kAttribute,    // operands[0].text
  kItem,         // operands[0][operands[1]]
  kSlice,        // operands[0][operands[1]:operands[2]:operands[3]], null for what was left out
  kCall,         // operands[0](arguments)
  kFilter,       // operands[0] | text(arguments); operands[0] null: applies to the body of a filter block
  kTest,         // operands[0] is text(arguments)
  kNot,
  kNegate,
  kPositive,
  kAnd,
  kOr,
  kBinary,       // op
  kConcat,       // all operands as text
  kCompare,      // operands[0] compare_ops[0] operands[1] compare_ops[1] …
  kConditional,  // operands[0] if operands[1] else operands[2] (may be null)
};

struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr spread;        // *args
  ExprPtr spread_named;  // **kwargs
};

struct Expr {
  ExprKind kind;
  int line;
  int depth = 1;  // of the tree below: bounds the recursion over it
  Value constant;
  std::string text;
  int symbol = -1;
  BinaryOp op = BinaryOp::kAdd;
  std::vector<CompareOp> compare_ops;
  std::vector<ExprPtr> operands;
  Arguments arguments;
  const Filter* filter = nullptr;  // null: no filter of that name, an error when it is applied
  const Check* check = nullptr;
};

// What {% set %} and {% for %} assign to: a name, namespace.attribute, or a tuple of targets.
struct Target {
  int symbol = -1;
  std::string attribute;         // not empty: symbol is a namespace
  bool is_tuple = false;
  std::vector<Target> elements;  // of the tuple
};

struct Stmt;
using Body = std::vector<Stmt>;

struct MacroParam {
  int symbol;
  std::string name;
  ExprPtr fallback;  // may be null
};

struct MacroDef {
  std::string name;
  std::vector<MacroParam> params;
  bool takes_varargs = false;  // the body mentions varargs, kwargs, caller
  bool takes_kwargs = false;
  bool takes_caller = false;
};

enum class StmtKind : uint8_t {
  kText,         // text
  kPrint,        // expr
  kIf,           // branches: (condition or null for else, body)
  kFor,          // target in expr if condition: body, else_body
  kSet,          // target = expr
  kSetBlock,     // target = body through the filter chain expr (may be null)
  kMacro,        // symbol = macro
  kCallBlock,    // expr (a call) with macro as caller
  kFilterBlock,  // body through the filter chain expr
  kWith,         // assignments, body
  kScope,        // body in a scope of its own (generation)
  kBlock,        // body that sees only the top level's variables
  kBreak,
  kContinue,
};

struct Stmt {
  StmtKind kind;
  int line;
  std::string text;
  ExprPtr expr;
  ExprPtr condition;
  Target target;
  int symbol = -1;
  bool is_recursive = false;
  std::unique_ptr<MacroDef> macro;
  std::vector<std::pair<ExprPtr, Body>> branches;
  std::vector<std::pair<Target, ExprPtr>> assignments;
  Body body;
  Body else_body;
};

// Names that the interpreter itself looks up; the first entries of every symbol table.
enum WellKnownSymbol : int { kSymbolLoop, kSymbolCaller, kSymbolVarargs, kSymbolKwargs };

struct Template {
  std::string source;
  std::vector<std::string> symbols;
  Body body;
};

}  // namespace hanlin::jinja
