// The `loop` variable, and the walk over what a {% for %} iterates.
#pragma once

#include <deque>
#include <optional>

#include "text/chat_template/interpreter.h"

namespace hanlin::jinja {

class Loop : public Custom {
 public:
  Loop(Interpreter* interpreter, const Stmt& statement, Scope* scope, Value iterable, int depth);

  // Moves to the next item that fulfils the loop's condition; false at the end.
  bool advance(Value* item);
  // After the loop: lets go of every value. A template can keep `loop` itself, but no chain or circle of values with it.
  void finish();

  const char* type_name() const override { return "LoopContext"; }
  bool attribute(Runtime& rt, std::string_view name, Value* out) override;
  bool is_callable() const override { return true; }
  Value call(Runtime& rt, const CallArgs& args) override;
  void print(Runtime& rt, TextBuffer& out) override;

 private:
  bool fetch(Value* item);
  bool peek();
  int64_t item_count();
  Value changed(Runtime& rt, const CallArgs& args);
  Value cycle(const CallArgs& args) const;

  Interpreter* interpreter_;
  const Stmt& statement_;
  Scope* scope_;
  Value iterable_;
  std::optional<Cursor> cursor_;  // empty once the loop is over
  int depth_;
  int64_t idx_ = -1;
  std::optional<int64_t> length_;
  std::deque<Value> ahead_;  // items already taken from the cursor
  Value current_, previous_;
  std::optional<std::vector<Value>> last_changed_;
};

}  // namespace hanlin::jinja
