// What one rendering may use: steps, memory, depth, and the error that ends it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/chat_template/chat_template.h"

namespace hanlin::jinja {

// Values nest at most this deep; lists inside lists, generators over generators. Bounds every recursion over a value,
// its destruction included.
inline constexpr int kMaxValueDepth = 400;

// Leaves compile() or render(): thrown inside the library, turned into an Error at its wall, never seen outside.
struct TemplateError {
  Code code;
  std::string message;
  bool is_from_template = false;  // raise_exception: the message belongs to the template and stays as it is
};

// The template did what Jinja or Python refuses.
[[noreturn]] void fail(std::string message);
[[noreturn]] void fail_limit(std::string message);

// Bytes held by the values of one rendering. Values give back what they took when they die.
class MemoryBudget {
 public:
  explicit MemoryBudget(size_t limit_bytes) : limit_bytes_(limit_bytes) {}
  void take(size_t n_bytes) {
    if (n_bytes > limit_bytes_ - used_bytes_) refuse();
    used_bytes_ += n_bytes;
  }
  void give_back(size_t n_bytes) { used_bytes_ -= n_bytes; }

 private:
  [[noreturn]] void refuse() const;
  size_t limit_bytes_;
  size_t used_bytes_ = 0;  // never above limit_bytes_
};

// The state every operation on values needs. One per rendering, one thread.
class Runtime {
 public:
  Runtime(const TemplateLimits& limits, std::time_t now) : limits_(limits), now_(now), memory_(limits.max_memory_bytes) {}
  Runtime(const Runtime&) = delete;

  void step(int64_t n = 1) {
    if (n > steps_left()) refuse_steps();
    n_steps_ += n;
  }
  // Work proportional to `n_bytes` of text: plain copies are cheap, looking at each character is not.
  void step_for_copy(size_t n_bytes) { step(static_cast<int64_t>(n_bytes >> 11)); }
  void step_for_scan(size_t n_bytes) { step(static_cast<int64_t>(n_bytes >> 7)); }

  MemoryBudget& memory() { return memory_; }
  const TemplateLimits& limits() const { return limits_; }
  std::time_t now() const { return now_; }

  int n_printed_namespaces = 0;  // being printed inside each other; they can form chains of any length

 private:
  int64_t steps_left() const { return limits_.max_steps - n_steps_; }
  [[noreturn]] void refuse_steps() const;

  TemplateLimits limits_;
  std::time_t now_;
  MemoryBudget memory_;
  int64_t n_steps_ = 0;
};

// Text under construction; counted against the budget while it grows.
class TextBuffer {
 public:
  explicit TextBuffer(Runtime& rt, size_t max_bytes = SIZE_MAX) : rt_(rt), max_bytes_(max_bytes) {}
  TextBuffer(const TextBuffer&) = delete;
  ~TextBuffer() { rt_.memory().give_back(text_.size()); }

  void append(std::string_view piece);
  void append(char c) { append(std::string_view(&c, 1)); }
  void append_repeated(char c, size_t n);
  size_t size() const { return text_.size(); }
  const std::string& text() const { return text_; }
  // Hands the text over and leaves the buffer empty.
  std::string take();

 private:
  void reserve_for(size_t n_more);
  Runtime& rt_;
  unsigned n_appends_ = 0;
  size_t max_bytes_;
  std::string text_;
};

}  // namespace hanlin::jinja
