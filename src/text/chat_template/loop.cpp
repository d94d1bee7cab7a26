#include "text/chat_template/loop.h"

#include <fmt/format.h>

#include "text/chat_template/call_args.h"

namespace hanlin::jinja {

Loop::Loop(Interpreter* interpreter, const Stmt& statement, Scope* scope, Value iterable, int depth)
    : interpreter_(interpreter),
      statement_(statement),
      scope_(scope),
      iterable_(std::move(iterable)),
      cursor_(std::in_place, interpreter->runtime(), iterable_),
      depth_(depth) {
  charge(interpreter->runtime(), sizeof(Loop) + 256);
}

bool Loop::fetch(Value* item) {
  while (cursor_ && cursor_->next(item)) {
    if (statement_.condition == nullptr) return true;
    Interpreter::ScopeFrame frame(interpreter_, scope_);
    interpreter_->assign(statement_.target, *item, frame.get());
    if (is_true(interpreter_->eval(*statement_.condition, frame.get()))) return true;
  }
  return false;
}

bool Loop::peek() {
  if (!ahead_.empty()) return true;
  Value item;
  if (!fetch(&item)) return false;
  ahead_.push_back(std::move(item));
  return true;
}

bool Loop::advance(Value* item) {
  if (!peek()) return false;
  previous_ = std::move(current_);
  current_ = std::move(ahead_.front());
  ahead_.pop_front();
  ++idx_;
  *item = current_;
  return true;
}

void Loop::finish() {
  cursor_.reset();
  iterable_ = current_ = previous_ = Value();
  ahead_.clear();
  last_changed_.reset();
}

int64_t Loop::item_count() {
  if (!length_ && cursor_ && statement_.condition == nullptr) {
    const int64_t n = length_or_negative(interpreter_->runtime(), iterable_);
    if (n >= 0) length_ = n;
  }
  if (!length_) {
    for (Value item; fetch(&item);) {
      interpreter_->runtime().memory().take(sizeof(Value));  // given back with this object
      n_bytes += sizeof(Value);
      ahead_.push_back(std::move(item));
    }
    length_ = idx_ + 1 + static_cast<int64_t>(ahead_.size());
  }
  return *length_;
}

Value Loop::changed(Runtime& rt, const CallArgs& args) {
  bool is_same = last_changed_ && last_changed_->size() == args.positional.size();
  for (size_t i = 0; is_same && i < args.positional.size(); ++i) is_same = equals(rt, (*last_changed_)[i], args.positional[i]);
  if (!is_same && cursor_) last_changed_ = args.positional;
  return Value::boolean(!is_same);
}

Value Loop::cycle(const CallArgs& args) const {
  if (args.positional.empty()) fail("no items for cycling given");
  return args.positional[static_cast<size_t>(std::max<int64_t>(idx_, 0)) % args.positional.size()];
}

bool Loop::attribute(Runtime& rt, std::string_view name, Value* out) {
  if (name == "index") *out = Value::integer(idx_ + 1);
  else if (name == "index0") *out = Value::integer(idx_);
  else if (name == "first") *out = Value::boolean(idx_ == 0);
  else if (name == "last") *out = Value::boolean(!peek());
  else if (name == "length") *out = Value::integer(item_count());
  else if (name == "revindex") *out = Value::integer(item_count() - idx_);
  else if (name == "revindex0") *out = Value::integer(item_count() - idx_ - 1);
  else if (name == "depth") *out = Value::integer(depth_ + 1);
  else if (name == "depth0") *out = Value::integer(depth_);
  else if (name == "previtem") *out = idx_ > 0 ? previous_ : make_undefined(rt, Missing::Why::kHint, "there is no previous item");
  else if (name == "nextitem") *out = peek() ? ahead_.front() : make_undefined(rt, Missing::Why::kHint, "there is no next item");
  else if (name == "cycle" || name == "changed") {
    auto self = std::static_pointer_cast<Loop>(shared_from_this());
    const bool is_cycle = name == "cycle";
    *out = make_function(rt, std::string(name), [self, is_cycle](Runtime& r, const CallArgs& args) {
      return is_cycle ? self->cycle(args) : self->changed(r, args);
    });
  } else {
    return false;
  }
  return true;
}

Value Loop::call(Runtime&, const CallArgs& args) {
  if (!statement_.is_recursive) fail("The loop must have the 'recursive' marker to be called recursively.");
  if (!cursor_) fail("expected loop(…) to be called inside the loop");
  const Params p("loop", args, {"iterable"}, 1);
  return interpreter_->call_recursive_loop(statement_, scope_, p[0], depth_ + 1);
}

void Loop::print(Runtime&, TextBuffer& out) { out.append(fmt::format("<LoopContext {}/{}>", idx_ + 1, item_count())); }

}  // namespace hanlin::jinja
