// Any bytes as tokenizer.json; if they are one, any bytes as text through it.
#include <cstdint>
#include <string_view>

#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  // The file ends at the first zero byte; what follows is the text.
  const std::string_view json = input.substr(0, input.find('\0'));
  const std::string_view text = json.size() < input.size() ? input.substr(json.size() + 1) : std::string_view("a b\xC3 1");
  auto parts = hanlin::parse_tokenizer_json(json);
  if (!parts.ok()) return 0;
  parts->finish();
  const hanlin::Tokenizer tokenizer(std::move(parts).value());
  const auto ids = tokenizer.encode(text);
  tokenizer.decode(ids);
  tokenizer.encode_pair(text, text);
  return 0;
}
