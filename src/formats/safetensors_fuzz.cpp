// libFuzzer target: a safetensors file of any content opens or is refused; every tensor of it can be read. The same
// bytes are also tried as the index of a sharded model.
#include "formats/fuzz_file.h"
#include "formats/safetensors.h"
#include "formats/safetensors_header.h"

namespace {
volatile uint64_t sink;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hanlin;
  uint64_t sum = 0;
  const auto index = parse_safetensors_index({reinterpret_cast<const char*>(data), size});
  if (index.ok()) sum += index->size();
  const FuzzFile input(data, size);
  const auto file = SafetensorsFile::open(input.path());
  if (file.ok()) {
    for (const StoredTensor& tensor : file->tensors()) {
      if (tensor.bytes != static_cast<size_t>(tensor.n_values()) * static_cast<size_t>(dtype_info(tensor.dtype).bytes)) __builtin_trap();
      sum += touch(tensor.data, tensor.bytes);
    }
  }
  sink = sum;
  return 0;
}
