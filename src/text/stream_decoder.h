// Text from tokens as they come, never half a character.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace hanlin {

// One stream of text. push() returns what has become certain: whole UTF-8 characters; the bytes of an incomplete one are
// held until it is complete (or known to be invalid: U+FFFD). Special tokens add nothing. The pushes and the flush
// together equal Tokenizer::decode(ids, true). Not thread-safe; cheap to make.
class StreamDecoder {
 public:
  // `continues_text`: the stream goes on after other text, so a leading space belongs to it. `visible_special`: special
  // tokens that add their names all the same.
  explicit StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool continues_text = false, std::vector<int32_t> visible_special = {});

  std::string push(int32_t id);
  // The end of the stream: what was held, as U+FFFD. The decoder is then as new, in the middle of a text.
  std::string flush();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<int32_t> visible_special_;
  bool strip_space_;     // the next bytes are the first of the text
  std::string pending_;  // at most three bytes of an incomplete character
};

}  // namespace hanlin
