#include "text/chat_template/interpreter.h"

#include <fmt/format.h>

#include "base/json.h"
#include "text/chat_template/filters.h"
#include "text/chat_template/loop.h"
#include "text/chat_template/printing.h"

namespace hanlin::jinja {
namespace {

constexpr int kMaxPrintedNamespaces = 8;  // inside each other
constexpr size_t kScopeBytes = 256;

struct Macro : Custom {
  Macro(Interpreter* i, const Stmt& d, Scope* s) : interpreter(i), definition(d), scope(s) {}
  const char* type_name() const override { return "Macro"; }
  bool is_callable() const override { return true; }
  Value call(Runtime&, const CallArgs& args) override { return interpreter->call_macro(definition, scope, args); }
  void print(Runtime&, TextBuffer& out) override { out.append(fmt::format("<Macro '{}'>", definition.macro->name)); }
  bool attribute(Runtime& rt, std::string_view name, Value* out) override {
    const MacroDef& macro = *definition.macro;
    if (name == "name") {
      *out = make_string(rt, macro.name);
    } else if (name == "arguments") {
      std::vector<Value> names;
      for (const MacroParam& param : macro.params) names.push_back(make_string(rt, param.name));
      *out = make_tuple(rt, std::move(names));
    } else if (name == "caller") {
      *out = Value::boolean(macro.takes_caller);
    } else if (name == "catch_kwargs") {
      *out = Value::boolean(macro.takes_kwargs);
    } else if (name == "catch_varargs") {
      *out = Value::boolean(macro.takes_varargs);
    } else {
      return false;
    }
    return true;
  }

  Interpreter* interpreter;
  const Stmt& definition;
  Scope* scope;  // where it was defined
};

}  // namespace

void Scope::set(int symbol, Value value) {
  for (auto& [name, old] : variables) {
    if (name == symbol) {
      old = std::move(value);
      return;
    }
  }
  variables.emplace_back(symbol, std::move(value));
}

bool Namespace::attribute(Runtime&, std::string_view name, Value* out) {
  for (const auto& [key, value] : attributes) {
    if (key == name) {
      *out = value;
      return true;
    }
  }
  return false;
}

void Namespace::set(Runtime& rt, std::string_view name, Value value) {
  rt.step(static_cast<int64_t>(attributes.size() / 16));
  for (auto& [key, old] : attributes) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  const size_t size = name.size() + 64;
  rt.memory().take(size);
  n_bytes += size;
  attributes.emplace_back(name, std::move(value));
}

void Namespace::print(Runtime& rt, TextBuffer& out) {
  out.append("<Namespace {");
  if (is_printing) {
    out.append("...");
  } else {
    struct Guard {
      bool& flag;
      int& n;
      Guard(bool& f, int& count) : flag(f), n(count) { flag = true; ++n; }
      ~Guard() { flag = false; --n; }
    } guard(is_printing, rt.n_printed_namespaces);
    if (rt.n_printed_namespaces > kMaxPrintedNamespaces) fail_limit("expected fewer namespaces inside each other to print");
    bool is_first = true;
    for (const auto& [key, value] : attributes) {
      if (!is_first) out.append(", ");
      is_first = false;
      append_string_repr(rt, key, out);
      out.append(": ");
      append_repr(rt, value, out);
    }
  }
  out.append("}>");
}

Interpreter::ScopeFrame::ScopeFrame(Interpreter* interpreter, Scope* parent)
    : interpreter_(interpreter), scope_(interpreter->new_scope(parent)) {}
Interpreter::ScopeFrame::~ScopeFrame() { interpreter_->release(scope_); }
void Interpreter::ScopeFrame::renew() {
  if (!scope_->is_captured) {
    scope_->variables.clear();
    return;
  }
  Scope* parent = scope_->parent;
  interpreter_->release(scope_);
  scope_ = interpreter_->new_scope(parent);
}

class Interpreter::CallFrame {
 public:
  explicit CallFrame(Interpreter* interpreter) : interpreter_(interpreter) {
    const int max_depth = interpreter->rt_.limits().max_depth;
    if (interpreter->n_calls_ >= max_depth) fail_limit(fmt::format("expected at most {} macro calls inside each other, got more", max_depth));
    ++interpreter->n_calls_;
  }
  ~CallFrame() { --interpreter_->n_calls_; }

 private:
  Interpreter* interpreter_;
};

Interpreter::Interpreter(const Template& compiled, const TemplateLimits& limits, std::time_t now) : rt_(limits, now), template_(compiled) {}

Scope* Interpreter::new_scope(Scope* parent) {
  if (free_scopes_.empty()) {
    rt_.memory().take(kScopeBytes);
    scopes_.emplace_back();
    free_scopes_.push_back(&scopes_.back());
  }
  Scope* scope = free_scopes_.back();
  free_scopes_.pop_back();
  scope->parent = parent;
  return scope;
}

void Interpreter::release(Scope* scope) {
  if (scope->is_captured) return;
  scope->variables.clear();
  scope->parent = nullptr;
  free_scopes_.push_back(scope);
}

std::string Interpreter::run(const Json& context) {
  define_globals(from_json(rt_, context));
  TextBuffer out(rt_, rt_.limits().max_output_bytes);
  exec(template_.body, nullptr, out);
  return out.take();
}

void Interpreter::define_globals(const Value& context) {
  top_level_.resize(template_.symbols.size());
  for (size_t i = 0; i < top_level_.size(); ++i) {
    const std::string& name = template_.symbols[i];
    if (const Value* given = context.is(Kind::kDict) ? context.dict().find(name) : nullptr) {
      top_level_[i] = *given;
    } else if (name == "namespace") {
      top_level_[i] = make_function(rt_, name, [this](Runtime&, const CallArgs& args) { return new_namespace(args); });
    } else {
      top_level_[i] = make_global(rt_, name);
    }
  }
}

Value Interpreter::new_namespace(const CallArgs& args) {
  auto created = std::make_unique<Namespace>();
  created->charge(rt_, sizeof(Namespace) + 32);
  for (auto& [key, value] : dict_entries(rt_, "namespace", args)) created->set(rt_, key.is_string() ? std::string(key.str()) : to_str(rt_, key), value);
  namespaces_.push_back(std::move(created));
  // Points without owning (no control block): the interpreter owns.
  return Value::object(Kind::kObject, std::shared_ptr<Object>(std::shared_ptr<Object>(), namespaces_.back().get()));
}

void Interpreter::assign(const Target& target, Value value, Scope* scope) {
  if (target.is_tuple) {
    const std::vector<Value> items = to_vector(rt_, value);
    const size_t n = target.elements.size();
    if (items.size() > n) fail(fmt::format("too many values to unpack (expected {})", n));
    if (items.size() < n) fail(fmt::format("not enough values to unpack (expected {}, got {})", n, items.size()));
    for (size_t i = 0; i < n; ++i) assign(target.elements[i], items[i], scope);
  } else if (!target.attribute.empty()) {
    Value* holder = nullptr;
    for (Scope* s = scope; s != nullptr && holder == nullptr; s = s->parent) {
      for (auto& [symbol, variable] : s->variables) {
        if (symbol == target.symbol) holder = &variable;
      }
    }
    if (holder == nullptr) holder = &top_level_[static_cast<size_t>(target.symbol)];
    auto* space = holder->is(Kind::kObject) ? dynamic_cast<Namespace*>(&holder->custom()) : nullptr;
    if (space == nullptr) fail("cannot assign attribute on non-namespace object");
    space->set(rt_, target.attribute, std::move(value));
  } else if (scope != nullptr) {
    scope->set(target.symbol, std::move(value));
  } else {
    top_level_[static_cast<size_t>(target.symbol)] = std::move(value);
  }
}

Interpreter::Flow Interpreter::exec(const Body& body, Scope* scope, TextBuffer& out) {
  for (const Stmt& statement : body) {
    const Flow flow = exec(statement, scope, out);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::exec(const Stmt& statement, Scope* scope, TextBuffer& out) {
  rt_.step();
  line_ = statement.line;
  switch (statement.kind) {
    case StmtKind::kText: out.append(statement.text); return Flow::kNext;
    case StmtKind::kPrint: print(*statement.expr, scope, out); return Flow::kNext;
    case StmtKind::kSet: assign(statement.target, eval(*statement.expr, scope), scope); return Flow::kNext;
    case StmtKind::kBreak: return Flow::kBreak;
    case StmtKind::kContinue: return Flow::kContinue;
    default: break;
  }
  const DepthFrame frame(this);
  switch (statement.kind) {
    case StmtKind::kIf: return exec_if(statement, scope, out);
    case StmtKind::kFor: return exec_loop(statement, eval(*statement.expr, scope), scope, 0, out);
    case StmtKind::kSetBlock:
    case StmtKind::kFilterBlock: return exec_captured(statement, scope, out);
    case StmtKind::kMacro: {
      Target target;
      target.symbol = statement.symbol;
      assign(target, make_macro(statement, scope), scope);
      return Flow::kNext;
    }
    case StmtKind::kCallBlock: exec_call_block(statement, scope, out); return Flow::kNext;
    default: return exec_scoped(statement, scope, out);
  }
}

Interpreter::Flow Interpreter::exec_if(const Stmt& statement, Scope* scope, TextBuffer& out) {
  for (const auto& [condition, body] : statement.branches) {
    if (condition == nullptr || is_true(eval(*condition, scope))) return exec(body, scope, out);
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::exec_loop(const Stmt& statement, const Value& iterable, Scope* scope, int depth, TextBuffer& out) {
  const auto loop = std::make_shared<Loop>(this, statement, scope, iterable, depth);
  struct Finish {
    Loop* loop;
    ~Finish() { loop->finish(); }
  } finish{loop.get()};
  ScopeFrame frame(this, scope);
  bool is_empty = true;
  for (Value item; loop->advance(&item);) {
    is_empty = false;
    frame.renew();
    frame.get()->set(kSymbolLoop, Value::object(Kind::kObject, loop));
    assign(statement.target, std::move(item), frame.get());
    if (exec(statement.body, frame.get(), out) == Flow::kBreak) break;
  }
  if (!is_empty) return Flow::kNext;
  frame.renew();
  return exec(statement.else_body, frame.get(), out);  // break in there belongs to the loop around
}

Value Interpreter::call_recursive_loop(const Stmt& statement, Scope* outer, const Value& iterable, int depth) {
  const CallFrame call(this);
  const DepthFrame frame(this);
  TextBuffer out(rt_);
  exec_loop(statement, iterable, outer, depth, out);
  return make_string(rt_, out.take());
}

Interpreter::Flow Interpreter::exec_captured(const Stmt& statement, Scope* scope, TextBuffer& out) {
  TextBuffer text(rt_);
  ScopeFrame frame(this, scope);
  const Flow flow = exec(statement.body, frame.get(), text);
  if (flow != Flow::kNext) return flow;
  Value value = make_string(rt_, text.take());
  if (statement.expr != nullptr) value = eval_filter(*statement.expr, scope, &value);
  if (statement.kind == StmtKind::kFilterBlock) append_str(rt_, value, out);
  else assign(statement.target, std::move(value), scope);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::exec_scoped(const Stmt& statement, Scope* scope, TextBuffer& out) {
  // A block sees only the top level, as if it were a function beside it.
  ScopeFrame frame(this, statement.kind == StmtKind::kBlock ? nullptr : scope);
  for (const auto& [target, expr] : statement.assignments) assign(target, eval(*expr, scope), frame.get());
  return exec(statement.body, frame.get(), out);
}

Value Interpreter::make_macro(const Stmt& definition, Scope* scope) {
  for (Scope* s = scope; s != nullptr && !s->is_captured; s = s->parent) s->is_captured = true;
  auto macro = std::make_shared<Macro>(this, definition, scope);
  macro->charge(rt_, sizeof(Macro) + 32);
  return Value::object(Kind::kObject, std::move(macro));
}

void Interpreter::exec_call_block(const Stmt& statement, Scope* scope, TextBuffer& out) {
  const Value caller = make_macro(statement, scope);
  append_str(rt_, eval_call(*statement.expr, scope, &caller), out);
}

void Interpreter::bind_arguments(const Stmt& definition, const CallArgs& args, Scope* scope) {
  const MacroDef& macro = *definition.macro;
  std::vector<bool> used(args.named.size(), false);
  const auto named = [&](std::string_view name) -> const Value* {
    for (size_t i = 0; i < args.named.size(); ++i) {
      if (used[i] || args.named[i].first != name) continue;
      used[i] = true;
      return &args.named[i].second;
    }
    return nullptr;
  };
  for (size_t i = 0; i < macro.params.size(); ++i) {
    const MacroParam& param = macro.params[i];
    rt_.step(1 + static_cast<int64_t>(args.named.size()) / 8);
    if (i < args.positional.size()) {
      scope->set(param.symbol, args.positional[i]);
    } else if (const Value* given = named(param.name)) {
      scope->set(param.symbol, *given);
    } else if (param.fallback != nullptr) {
      scope->set(param.symbol, eval(*param.fallback, scope));
    } else {
      scope->set(param.symbol, make_undefined(rt_, Missing::Why::kHint, fmt::format("parameter '{}' was not provided", param.name)));
    }
  }
  if (macro.takes_caller) {
    const Value* caller = named("caller");
    scope->set(kSymbolCaller, caller != nullptr ? *caller : make_undefined(rt_, Missing::Why::kHint, "No caller defined"));
  }
  std::vector<Entry> rest;
  for (size_t i = 0; i < args.named.size(); ++i) {
    if (used[i]) continue;
    if (!macro.takes_kwargs) fail(fmt::format("macro '{}' takes no keyword argument '{}'", macro.name, args.named[i].first));
    rest.emplace_back(make_string(rt_, args.named[i].first), args.named[i].second);
  }
  if (macro.takes_kwargs) scope->set(kSymbolKwargs, make_dict(rt_, std::move(rest)));
  const size_t n = macro.params.size();
  if (macro.takes_varargs) {
    std::vector<Value> more;
    for (size_t i = n; i < args.positional.size(); ++i) more.push_back(args.positional[i]);
    scope->set(kSymbolVarargs, make_tuple(rt_, std::move(more)));
  } else if (args.positional.size() > n) {
    fail(fmt::format("macro '{}' takes not more than {} argument(s)", macro.name, n));
  }
}

Value Interpreter::call_macro(const Stmt& definition, Scope* outer, const CallArgs& args) {
  const CallFrame call(this);
  const DepthFrame depth(this);
  const int line = line_;
  ScopeFrame frame(this, outer);
  bind_arguments(definition, args, frame.get());
  TextBuffer out(rt_);
  exec(definition.body, frame.get(), out);
  line_ = line;
  return make_string(rt_, out.take());
}

}  // namespace hanlin::jinja
