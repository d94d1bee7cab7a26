// Arguments of a host function by name: positional first, then named, as Python binds them.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_template/value.h"

namespace hanlin::jinja {

class Params {
 public:
  // Binds `args` to `names`. Fails on too many, unknown or doubled arguments; `n_required` of them must be there.
  Params(std::string_view function, const CallArgs& args, std::initializer_list<const char*> names, size_t n_required = 0);

  bool has(size_t idx) const { return given_[idx] != nullptr; }
  bool has_value(size_t idx) const { return has(idx) && !given_[idx]->is_none(); }  // given and not None
  const Value& operator[](size_t idx) const { return *given_[idx]; }
  int64_t integer(size_t idx, int64_t missing) const;
  bool boolean(size_t idx, bool missing) const { return has(idx) ? is_true(*given_[idx]) : missing; }
  // Fails if the argument is not a string.
  std::string_view string(size_t idx, std::string_view missing) const;

 private:
  std::string_view function_;
  std::vector<const Value*> given_;
};

// The value as an integer; fails for everything but int and bool.
int64_t require_integer(const Value& value);

}  // namespace hanlin::jinja
