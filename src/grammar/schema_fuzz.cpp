// Any bytes as a source: compiles or is refused, quickly; what compiles can be walked.
#include <cstdint>
#include <memory>
#include <string_view>

#include "grammar/machine.h"
#include "grammar/schema_compiler.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hanlin::grammar;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  auto code = std::make_shared<MachineCode>();
  auto program = compile_schema(input, {.any_order = size % 2 == 0});
  if (!program.ok()) return 0;
  code->program = *std::move(program);
  // Downhill to an end: the cost falls with every byte.
  Machine machine(code);
  FrameSet here = machine.start(), next, best;
  for (int i = 0; i < 64 && !here.empty() && !machine.may_end(here); ++i) {
    const int32_t before = Machine::cost(here);
    int32_t least = kInfinite;
    for (int b = 0; b < 256; ++b) {
      machine.step(here, static_cast<uint8_t>(b), true, next);
      if (!next.empty() && Machine::cost(next) < least) {
        least = Machine::cost(next);
        best = next;
      }
    }
    if (least >= before) __builtin_trap();
    here = best;
  }
  return 0;
}
