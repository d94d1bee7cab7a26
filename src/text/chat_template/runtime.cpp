#include "text/chat_template/runtime.h"

#include <fmt/format.h>

namespace hanlin::jinja {

void fail(std::string message) { throw TemplateError{Code::kInvalidArgument, std::move(message)}; }
void fail_limit(std::string message) { throw TemplateError{Code::kResourceExhausted, std::move(message)}; }

void MemoryBudget::refuse() const {
  fail_limit(fmt::format("expected at most {} bytes of values at a time, got more", limit_bytes_));
}

void Runtime::refuse_steps() const {
  fail_limit(fmt::format("expected the rendering to end within {} steps, it did not", limits_.max_steps));
}

void TextBuffer::reserve_for(size_t n_more) {
  if (n_more > max_bytes_ - text_.size()) fail_limit(fmt::format("expected at most {} bytes of output, got more", max_bytes_));
  if (++n_appends_ % 32 == 0) rt_.step();  // many small pieces are work too
  rt_.step_for_copy(n_more);
  rt_.memory().take(n_more);
}

void TextBuffer::append(std::string_view piece) {
  reserve_for(piece.size());
  text_.append(piece);
}

void TextBuffer::append_repeated(char c, size_t n) {
  reserve_for(n);
  text_.append(n, c);
}

std::string TextBuffer::take() {
  rt_.memory().give_back(text_.size());
  std::string text = std::move(text_);
  text_.clear();
  return text;
}

}  // namespace hanlin::jinja
