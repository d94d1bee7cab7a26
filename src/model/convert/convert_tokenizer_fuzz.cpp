// libFuzzer target: the first byte chooses between tokenizer.json and tokenizer.model; the rest is the file.
#include "model/convert/hf_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hanlin;
  if (size == 0) return 0;
  const std::string_view file(reinterpret_cast<const char*>(data) + 1, size - 1);
  TokenizerMetadata out;
  const Status status = data[0] % 2 == 0 ? parse_tokenizer_json(file, &out) : parse_tokenizer_model(file, &out);
  if (!status.ok()) return 0;
  if (out.tokens.size() != out.types.size()) __builtin_trap();
  if (out.model == "llama" && out.scores.size() != out.tokens.size()) __builtin_trap();
  return 0;
}
