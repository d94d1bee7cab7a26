// Evaluation of expressions.
#include <fmt/format.h>

#include "text/chat_template/checks.h"
#include "text/chat_template/filters.h"
#include "text/chat_template/interpreter.h"
#include "text/chat_template/methods.h"
#include "text/chat_template/operators.h"
#include "text/chat_template/printing.h"

namespace hanlin::jinja {

Value Interpreter::eval(const Expr& expr, Scope* scope) {
  rt_.step();
  switch (expr.kind) {
    case ExprKind::kConstant: return expr.constant;
    case ExprKind::kName: return eval_name(expr, scope);
    default: break;
  }
  const DepthFrame frame(this);
  line_ = expr.line;
  switch (expr.kind) {
    case ExprKind::kList:
    case ExprKind::kTuple: return eval_items(expr, scope);
    case ExprKind::kDict: return eval_dict(expr, scope);
    case ExprKind::kAttribute: return get_attribute(rt_, eval(*expr.operands[0], scope), expr.text);
    case ExprKind::kItem: {
      const Value object = eval(*expr.operands[0], scope);
      return get_item(rt_, object, eval(*expr.operands[1], scope));
    }
    case ExprKind::kSlice: return eval_slice(expr, scope);
    case ExprKind::kCall: return eval_call(expr, scope);
    case ExprKind::kFilter: return eval_filter(expr, scope, nullptr);
    case ExprKind::kTest: return eval_test(expr, scope);
    case ExprKind::kNot: return Value::boolean(!is_true(eval(*expr.operands[0], scope)));
    case ExprKind::kNegate: return negate(eval(*expr.operands[0], scope));
    case ExprKind::kPositive: return positive(eval(*expr.operands[0], scope));
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      Value left = eval(*expr.operands[0], scope);
      return is_true(left) == (expr.kind == ExprKind::kOr) ? left : eval(*expr.operands[1], scope);
    }
    case ExprKind::kBinary: {
      const Value left = eval(*expr.operands[0], scope);
      return binary(rt_, expr.op, left, eval(*expr.operands[1], scope));
    }
    case ExprKind::kConcat: return eval_concat(expr, scope);
    case ExprKind::kCompare: return eval_compare(expr, scope);
    case ExprKind::kConditional: return eval_conditional(expr, scope);
    default: return Value();
  }
}

void Interpreter::print(const Expr& expr, Scope* scope, TextBuffer& out) {
  const Value value = eval(expr, scope);
  append_str(rt_, value, out);
}

Value Interpreter::eval_name(const Expr& expr, Scope* scope) {
  for (Scope* s = scope; s != nullptr; s = s->parent) {
    for (const auto& [symbol, value] : s->variables) {
      if (symbol == expr.symbol) return value;
    }
  }
  const Value& value = top_level_[static_cast<size_t>(expr.symbol)];
  if (!value.is_undefined() || value.missing() != nullptr) return value;
  return make_undefined(rt_, Missing::Why::kName, template_.symbols[static_cast<size_t>(expr.symbol)]);
}

Value Interpreter::eval_items(const Expr& expr, Scope* scope) {
  std::vector<Value> items;
  items.reserve(expr.operands.size());
  for (const ExprPtr& item : expr.operands) items.push_back(eval(*item, scope));
  return expr.kind == ExprKind::kList ? make_list(rt_, std::move(items)) : make_tuple(rt_, std::move(items));
}

Value Interpreter::eval_dict(const Expr& expr, Scope* scope) {
  std::vector<Entry> entries;
  for (size_t i = 0; i + 1 < expr.operands.size(); i += 2) {
    Value key = eval(*expr.operands[i], scope);
    put_entry(rt_, &entries, std::move(key), eval(*expr.operands[i + 1], scope));
  }
  return make_dict(rt_, std::move(entries));
}

Value Interpreter::eval_slice(const Expr& expr, Scope* scope) {
  const auto part = [&](size_t i) { return expr.operands[i] == nullptr ? Value::none() : eval(*expr.operands[i], scope); };
  const Value object = part(0), start = part(1), stop = part(2), step = part(3);
  return get_slice(rt_, object, start, stop, step);
}

CallArgs Interpreter::eval_arguments(const Arguments& arguments, Scope* scope) {
  CallArgs args;
  args.positional.reserve(arguments.positional.size());
  for (const ExprPtr& argument : arguments.positional) args.positional.push_back(eval(*argument, scope));
  for (const auto& [name, argument] : arguments.named) args.named.emplace_back(name, eval(*argument, scope));
  if (arguments.spread != nullptr) {
    for (Value& item : to_vector(rt_, eval(*arguments.spread, scope))) args.positional.push_back(std::move(item));
  }
  if (arguments.spread_named != nullptr) {
    const Value more = eval(*arguments.spread_named, scope);
    if (!more.is(Kind::kDict)) fail(fmt::format("argument after ** must be a mapping, not {}", type_name(more)));
    for (const auto& [key, value] : more.dict().entries) {
      if (!key.is_string()) fail("keywords must be strings");
      rt_.step(1 + static_cast<int64_t>(args.named.size()) / 8);
      for (const auto& [name, given] : args.named) {
        if (name == key.str()) fail(fmt::format("got multiple values for keyword argument '{}'", name));
      }
      args.named.emplace_back(std::string(key.str()), value);
    }
  }
  return args;
}

Value Interpreter::eval_call(const Expr& expr, Scope* scope, const Value* caller) {
  const Expr& callee = *expr.operands[0];
  Value function;
  if (callee.kind == ExprKind::kAttribute) {
    // The common text.strip() needs no bound method in between.
    const Value object = eval(*callee.operands[0], scope);
    const Method* method = object.is(Kind::kObject) ? nullptr : find_method(object.kind(), callee.text);
    if (method != nullptr && !method->is_unsafe && caller == nullptr) {
      const CallArgs args = eval_arguments(expr.arguments, scope);
      line_ = expr.line;
      return method->call(rt_, object, args);
    }
    function = get_attribute(rt_, object, callee.text);
  } else {
    function = eval(callee, scope);
  }
  if (function.is_undefined()) fail_undefined(function);
  if (!function.is(Kind::kObject) || !function.custom().is_callable()) {
    fail(fmt::format("'{}' object is not callable", type_name(function)));
  }
  CallArgs args = eval_arguments(expr.arguments, scope);
  if (caller != nullptr) args.named.emplace_back("caller", *caller);
  line_ = expr.line;
  return function.custom().call(rt_, args);
}

// `body`: the text of a filter or set block, where the chain has no input of its own.
Value Interpreter::eval_filter(const Expr& expr, Scope* scope, const Value* body) {
  Value input;
  if (expr.operands[0] == nullptr) input = *body;
  else if (body != nullptr) input = eval_filter(*expr.operands[0], scope, body);
  else input = eval(*expr.operands[0], scope);
  const CallArgs args = eval_arguments(expr.arguments, scope);
  line_ = expr.line;
  if (expr.filter == nullptr) fail(fmt::format("No filter named '{}' found.", expr.text));
  return expr.filter->apply(rt_, input, args);
}

Value Interpreter::eval_test(const Expr& expr, Scope* scope) {
  const Value value = eval(*expr.operands[0], scope);
  const CallArgs args = eval_arguments(expr.arguments, scope);
  line_ = expr.line;
  if (expr.check == nullptr) fail(fmt::format("No test named '{}' found.", expr.text));
  return Value::boolean(expr.check->holds(rt_, value, args));
}

Value Interpreter::eval_concat(const Expr& expr, Scope* scope) {
  TextBuffer out(rt_);
  for (const ExprPtr& part : expr.operands) append_str(rt_, eval(*part, scope), out);
  return make_string(rt_, out.take());
}

Value Interpreter::eval_compare(const Expr& expr, Scope* scope) {
  Value left = eval(*expr.operands[0], scope);
  for (size_t i = 0; i < expr.compare_ops.size(); ++i) {
    Value right = eval(*expr.operands[i + 1], scope);
    if (!compare(rt_, expr.compare_ops[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::eval_conditional(const Expr& expr, Scope* scope) {
  if (is_true(eval(*expr.operands[1], scope))) return eval(*expr.operands[0], scope);
  if (expr.operands[2] != nullptr) return eval(*expr.operands[2], scope);
  return make_undefined(rt_, Missing::Why::kHint, "the inline if-expression evaluated to false and no else section was defined.");
}

}  // namespace hanlin::jinja
