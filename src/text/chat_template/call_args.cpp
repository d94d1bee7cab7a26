#include "text/chat_template/call_args.h"

#include <fmt/format.h>

namespace hanlin::jinja {

Params::Params(std::string_view function, const CallArgs& args, std::initializer_list<const char*> names, size_t n_required)
    : function_(function), given_(names.size(), nullptr) {
  if (args.positional.size() > names.size()) {
    fail(fmt::format("{}() takes at most {} arguments ({} given)", function, names.size(), args.positional.size()));
  }
  for (size_t i = 0; i < args.positional.size(); ++i) given_[i] = &args.positional[i];
  for (const auto& [name, value] : args.named) {
    size_t idx = 0;
    while (idx < names.size() && name != names.begin()[idx]) ++idx;
    if (idx == names.size()) fail(fmt::format("{}() got an unexpected keyword argument '{}'", function, name));
    if (given_[idx] != nullptr) fail(fmt::format("{}() got multiple values for argument '{}'", function, name));
    given_[idx] = &value;
  }
  for (size_t i = 0; i < n_required; ++i) {
    if (given_[i] == nullptr) fail(fmt::format("{}() missing required argument '{}'", function, names.begin()[i]));
  }
}

int64_t Params::integer(size_t idx, int64_t missing) const { return has(idx) ? require_integer(*given_[idx]) : missing; }

std::string_view Params::string(size_t idx, std::string_view missing) const {
  if (!has(idx)) return missing;
  if (given_[idx]->is_undefined()) fail_undefined(*given_[idx]);
  if (!given_[idx]->is_string()) {
    fail(fmt::format("{}(): expected str as argument {}, got {}", function_, idx + 1, jinja::type_name(*given_[idx])));
  }
  return given_[idx]->str();
}

int64_t require_integer(const Value& value) {
  if (value.is_undefined()) fail_undefined(value);
  if (!value.is_integral()) fail(fmt::format("'{}' object cannot be interpreted as an integer", type_name(value)));
  return value.as_int();
}

}  // namespace hanlin::jinja
