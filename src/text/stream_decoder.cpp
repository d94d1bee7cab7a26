#include "text/stream_decoder.h"

#include <algorithm>
#include <utility>

#include "text/utf8.h"

namespace hanlin {

StreamDecoder::StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool continues_text, std::vector<int32_t> visible_special)
    : tokenizer_(std::move(tokenizer)), visible_special_(std::move(visible_special)), strip_space_(!continues_text && tokenizer_->strips_first_space()) {}

std::string StreamDecoder::push(int32_t id) {
  if (tokenizer_->is_special(id) && std::find(visible_special_.begin(), visible_special_.end(), id) == visible_special_.end()) return {};
  std::string_view bytes = tokenizer_->token_bytes(id);
  if (bytes.empty()) return {};
  if (strip_space_ && bytes.front() == ' ') bytes.remove_prefix(1);
  strip_space_ = false;
  std::string text = std::exchange(pending_, {});
  text.append(bytes);
  const size_t n_held = incomplete_suffix_bytes(text);
  pending_ = text.substr(text.size() - n_held);
  text.resize(text.size() - n_held);
  return is_valid_utf8(text) ? text : replace_invalid_utf8(text);
}

std::string StreamDecoder::flush() {
  strip_space_ = false;
  return replace_invalid_utf8(std::exchange(pending_, {}));
}

}  // namespace hanlin
