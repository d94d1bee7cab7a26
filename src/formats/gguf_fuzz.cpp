// libFuzzer target: a GGUF file of any content opens or is refused; everything it promises can be read.
#include "formats/fuzz_file.h"
#include "formats/gguf.h"

namespace {
volatile uint64_t sink;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hanlin;
  const FuzzFile input(data, size);
  const auto file = GgufFile::open(input.path());
  if (!file.ok()) return 0;
  uint64_t sum = 0;
  for (const auto& [key, value] : file->metadata()) {
    sum += value.as_u64().value_or(0) + static_cast<uint64_t>(value.as_i64().value_or(0)) + (value.as_f64().value_or(0) > 0);
    if (const auto text = value.as_string()) sum += touch(reinterpret_cast<const uint8_t*>(text->data()), text->size());
    for (const std::string_view text : value.as_strings().value_or(std::vector<std::string_view>{})) {
      sum += touch(reinterpret_cast<const uint8_t*>(text.data()), text.size());
    }
    for (const int64_t number : value.as_ints().value_or(std::vector<int64_t>{})) sum += static_cast<uint64_t>(number);
    for (const float number : value.as_floats().value_or(std::vector<float>{})) sum += number > 0;
    if (file->find(key) != &value) __builtin_trap();
  }
  for (const GgufTensor& entry : file->tensors()) {
    const auto tensor = file->tensor(entry.tensor.name);
    if (tensor.ok()) sum += touch(tensor->data, tensor->bytes);
  }
  sink = sum;
  return 0;
}
