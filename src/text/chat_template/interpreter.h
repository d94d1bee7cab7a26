// Runs a parsed template once.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/chat_template/ast.h"
#include "text/chat_template/runtime.h"
#include "text/chat_template/value.h"

namespace hanlin::jinja {

// Variables of one block. The top level is not a Scope: Interpreter keeps it in a table by symbol.
struct Scope {
  Scope* parent = nullptr;
  bool is_captured = false;  // a macro may still look into it: kept until the rendering ends
  std::vector<std::pair<int, Value>> variables;

  void set(int symbol, Value value);
};

// What {% set ns.x = … %} changes. Belongs to the interpreter; values point to it without owning, so that namespaces
// that hold each other cannot leak.
struct Namespace : Custom {
  const char* type_name() const override { return "Namespace"; }
  bool attribute(Runtime&, std::string_view name, Value* out) override;
  void print(Runtime& rt, TextBuffer& out) override;
  void set(Runtime& rt, std::string_view name, Value value);

  std::vector<std::pair<std::string, Value>> attributes;
  bool is_printing = false;
};

class Interpreter {
 public:
  Interpreter(const Template& compiled, const TemplateLimits& limits, std::time_t now);
  Interpreter(const Interpreter&) = delete;

  // Throws TemplateError; line() then tells where. Call once.
  std::string run(const Json& context);
  int line() const { return line_; }

  // For macros and loops.
  Value call_macro(const Stmt& definition, Scope* outer, const CallArgs& args);
  Value call_recursive_loop(const Stmt& statement, Scope* outer, const Value& iterable, int depth);
  Value eval(const Expr& expr, Scope* scope);
  void assign(const Target& target, Value value, Scope* scope);
  Runtime& runtime() { return rt_; }
  Value new_namespace(const CallArgs& args);

  // A scope for the time of a block.
  class ScopeFrame {
   public:
    ScopeFrame(Interpreter* interpreter, Scope* parent);
    ~ScopeFrame();
    ScopeFrame(const ScopeFrame&) = delete;
    Scope* get() const { return scope_; }
    void renew();  // empty again, for the next iteration

   private:
    Interpreter* interpreter_;
    Scope* scope_;
  };

 private:
  static constexpr int kMaxFrames = 3000;
  enum class Flow { kNext, kBreak, kContinue };
  // Counts nested evaluations of all kinds together: what bounds the machine's stack.
  class DepthFrame {
   public:
    explicit DepthFrame(Interpreter* interpreter) : interpreter_(interpreter) {
      if (interpreter->n_frames_ >= kMaxFrames) fail_limit("expected fewer blocks, calls and operations inside each other");
      ++interpreter->n_frames_;
    }
    ~DepthFrame() { --interpreter_->n_frames_; }
    DepthFrame(const DepthFrame&) = delete;

   private:
    Interpreter* interpreter_;
  };
  class CallFrame;

  // Statements: interpreter.cpp
  void define_globals(const Value& context);
  Flow exec(const Body& body, Scope* scope, TextBuffer& out);
  Flow exec(const Stmt& statement, Scope* scope, TextBuffer& out);
  Flow exec_if(const Stmt& statement, Scope* scope, TextBuffer& out);
  Flow exec_loop(const Stmt& statement, const Value& iterable, Scope* scope, int depth, TextBuffer& out);
  Flow exec_captured(const Stmt& statement, Scope* scope, TextBuffer& out);  // set block, filter block
  Flow exec_scoped(const Stmt& statement, Scope* scope, TextBuffer& out);    // with, generation, block
  void exec_call_block(const Stmt& statement, Scope* scope, TextBuffer& out);
  Value make_macro(const Stmt& definition, Scope* scope);
  void bind_arguments(const Stmt& definition, const CallArgs& args, Scope* scope);

  // Expressions: expressions.cpp
  Value eval_name(const Expr& expr, Scope* scope);
  Value eval_items(const Expr& expr, Scope* scope);
  Value eval_dict(const Expr& expr, Scope* scope);
  Value eval_slice(const Expr& expr, Scope* scope);
  Value eval_call(const Expr& expr, Scope* scope, const Value* caller = nullptr);
  Value eval_filter(const Expr& expr, Scope* scope, const Value* body);
  Value eval_test(const Expr& expr, Scope* scope);
  Value eval_concat(const Expr& expr, Scope* scope);
  Value eval_compare(const Expr& expr, Scope* scope);
  Value eval_conditional(const Expr& expr, Scope* scope);
  CallArgs eval_arguments(const Arguments& arguments, Scope* scope);
  void print(const Expr& expr, Scope* scope, TextBuffer& out);

  Scope* new_scope(Scope* parent);
  void release(Scope* scope);

  // Order matters: everything below rt_ gives memory back to it.
  Runtime rt_;
  const Template& template_;
  std::vector<Value> top_level_;  // by symbol
  std::deque<Scope> scopes_;
  std::vector<Scope*> free_scopes_;
  std::vector<std::unique_ptr<Namespace>> namespaces_;
  int n_frames_ = 0;  // nested eval and exec
  int n_calls_ = 0;   // nested macro calls and recursive loops
  int line_ = 0;
};

// The functions every template can call: range, dict, cycler, joiner, strftime_now, raise_exception (globals.cpp).
// Undefined if there is none of that name.
Value make_global(Runtime& rt, std::string_view name);
// dict(…): a mapping or pairs, then named arguments.
std::vector<Entry> dict_entries(Runtime& rt, std::string_view function, const CallArgs& args);

}  // namespace hanlin::jinja
