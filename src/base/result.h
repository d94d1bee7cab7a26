// Result<T>: a value or an Error. The way every function reports what a caller, a file, the network or a limit can get
// wrong; our own bugs go to HANLIN_CHECK (base/check.h) instead.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace hanlin {

// What kind of thing went wrong. Only server/error_map.cpp knows which HTTP status belongs to which code.
enum class Code {
  kInvalidArgument,    // the caller asked for something that makes no sense: fix the request
  kNotFound,           // a model, file or id that does not exist
  kCorrupt,            // a file or message that does not follow its format
  kUnsupported,        // well-formed, but Hanlin does not do it
  kResourceExhausted,  // a bound was hit: queue full, out of memory, out of cache; trying later may help
  kUnavailable,        // a dependency (network, model still loading, shutting down) is not there now
  kDeadlineExceeded,   // the time allowed ran out
  kCancelled,          // the caller no longer wants the answer
  kIo,                 // the operating system refused a file or socket operation
  kInternal,           // an invariant broke in a place where the process must go on
};

// Short lower-case name of a code, for logs: "invalid_argument".
const char* code_name(Code code);

// A failure. `message` reads "where: what was expected, what came" and, where it helps, what to do.
// `param` names the request field at fault (OpenAI's error shape has a slot for it); empty if none.
struct Error {
  Code code = Code::kInternal;
  std::string message;
  std::string param = {};

  // The same failure with the caller's context in front: "model.gguf: <message>".
  Error with_context(const std::string& where) && {
    message = where + ": " + message;
    return std::move(*this);
  }
};

// Either a T or an Error. Never both, never neither. value() on an error is our bug and stops the program.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { HANLIN_CHECK(ok(), "Result::value() called on an error: " + error_text()); return *std::get_if<0>(&state_); }
  const T& value() const& { HANLIN_CHECK(ok(), "Result::value() called on an error: " + error_text()); return *std::get_if<0>(&state_); }
  T&& value() && { HANLIN_CHECK(ok(), "Result::value() called on an error: " + error_text()); return std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& { HANLIN_CHECK(!ok(), "Result::error() called on a value"); return *std::get_if<1>(&state_); }
  Error&& error() && { HANLIN_CHECK(!ok(), "Result::error() called on a value"); return std::move(*std::get_if<1>(&state_)); }

 private:
  std::string error_text() const { return ok() ? std::string() : std::get_if<1>(&state_)->message; }
  std::variant<T, Error> state_;
};

// Result without a value: success or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const& { HANLIN_CHECK(!ok(), "Result::error() called on success"); return *error_; }
  Error&& error() && { HANLIN_CHECK(!ok(), "Result::error() called on success"); return std::move(*error_); }

 private:
  std::optional<Error> error_;
};
using Status = Result<void>;

}  // namespace hanlin

// Leaves the function with the error of `expr` (a Result or Status) if it has one.
#define HANLIN_TRY(expr)                                             \
  do {                                                               \
    if (auto hanlin_status_ = (expr); !hanlin_status_.ok()) {        \
      return std::move(hanlin_status_).error();                      \
    }                                                                \
  } while (false)

// HANLIN_ASSIGN(auto x, make_x()): declares x from a Result or leaves the function with its error.
#define HANLIN_CONCAT2(a, b) a##b
#define HANLIN_CONCAT(a, b) HANLIN_CONCAT2(a, b)
#define HANLIN_ASSIGN(decl, expr)                                                                    \
  auto HANLIN_CONCAT(hanlin_result_, __LINE__) = (expr);                                             \
  if (!HANLIN_CONCAT(hanlin_result_, __LINE__).ok()) {                                               \
    return std::move(HANLIN_CONCAT(hanlin_result_, __LINE__)).error();                               \
  }                                                                                                  \
  decl = std::move(HANLIN_CONCAT(hanlin_result_, __LINE__)).value()
