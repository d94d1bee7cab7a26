// Compiles the input as a template and renders it with a fixed context under small limits: neither may crash, hang or
// use more than the limits allow.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/json.h"
#include "text/chat_template/chat_template.h"

namespace {

const hanlin::Json& context() {
  static const hanlin::Json json = *hanlin::parse_json(R"json({
    "s": "Hello, World", "zh": "你好，世界", "n": 42, "f": 2.5, "t": true, "nil": null, "xs": [3, 1, 2], "d": {"b": 1, "a": {"x": [1, null]}},
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"},
                 {"role": "assistant", "content": "A", "tool_calls": [{"function": {"name": "f", "arguments": {"k": "v"}}}]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"k": {"type": "string"}}}}}],
    "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"})json");
  return json;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto compiled = hanlin::ChatTemplate::compile(std::string(reinterpret_cast<const char*>(data), size));
  if (!compiled.ok()) return 0;
  hanlin::RenderOptions options;
  options.now = 1721995200;
  options.limits = {.max_steps = 20'000, .max_output_bytes = 1 << 16, .max_memory_bytes = 4 << 20, .max_depth = 50};
  const auto text = compiled->render(context(), options);
  HANLIN_CHECK(!text.ok() || text->size() <= options.limits.max_output_bytes, "the output is larger than its limit");
  return 0;
}
