// Chat templates: the Jinja that models carry to turn a conversation into a prompt.
//
// The language is Jinja 2 as Hugging Face transformers sets it up: immutable sandbox, trim_blocks, lstrip_blocks, the
// loop-control and generation tags, `tojson` without ASCII escapes, `raise_exception`, `strftime_now`. Results are
// byte-equal to the Python implementation. What the sandbox forbids (list.append, dict.update, …) is an error here too.
// Not there: inheritance and includes (a chat template is one file), autoescape, i18n, integers beyond 64 bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>

#include "base/json_fwd.h"
#include "base/result.h"

namespace hanlin {

namespace jinja {
struct Template;
}

// Bounds of one rendering. A template comes with a model file, so it is hostile until shown otherwise.
struct TemplateLimits {
  int64_t max_steps = 2'000'000;            // evaluated nodes; work on long strings counts by its length
  size_t max_output_bytes = 32 << 20;       // of the rendered text
  size_t max_memory_bytes = 256 << 20;      // values alive at the same time, the context included
  int max_depth = 200;                      // macro calls and recursive loops inside each other
};

struct RenderOptions {
  std::optional<std::time_t> now;  // what strftime_now shows, in local time; unset: the clock
  TemplateLimits limits;
};

// A compiled template. Immutable and cheap to copy; render() is safe from any thread.
class ChatTemplate {
 public:
  // Errors: kCorrupt with the line number for a syntax error, kUnsupported for tags that need other files.
  static Result<ChatTemplate> compile(std::string source);

  // Renders with the members of the object `context` as variables: messages, tools, add_generation_prompt, bos_token,
  // eos_token, … Errors: kInvalidArgument with the template's own message if it calls raise_exception;
  // kInvalidArgument with "chat template, line N: …" if it does what Jinja refuses (types, undefined values, sandbox);
  // kResourceExhausted if a limit is hit.
  Result<std::string> render(const Json& context, const RenderOptions& options = {}) const;

  const std::string& source() const;

 private:
  explicit ChatTemplate(std::shared_ptr<const jinja::Template> compiled) : template_(std::move(compiled)) {}
  std::shared_ptr<const jinja::Template> template_;
};

}  // namespace hanlin
