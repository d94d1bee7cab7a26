// Any bytes as tokenizer.model; if they are one, their own bytes as text through it.
#include <cstdint>
#include <string_view>

#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  auto parts = hanlin::parse_sentencepiece_model(input);
  if (!parts.ok()) return 0;
  parts->finish();
  const hanlin::Tokenizer tokenizer(std::move(parts).value());
  tokenizer.decode(tokenizer.encode(input));
  tokenizer.decode(tokenizer.encode(" a  b\xE4\xB8\xAD\n"));
  return 0;
}
