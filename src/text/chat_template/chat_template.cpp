#include "text/chat_template/chat_template.h"

#include <fmt/format.h>

#include <ctime>
#include <new>

#include "base/json.h"
#include "text/chat_template/interpreter.h"
#include "text/chat_template/parser.h"

namespace hanlin {

Result<ChatTemplate> ChatTemplate::compile(std::string source) {
  try {
    return ChatTemplate(jinja::parse(std::move(source)));
  } catch (jinja::TemplateError& error) {
    return Error{error.code, std::move(error.message)};
  }
}

Result<std::string> ChatTemplate::render(const Json& context, const RenderOptions& options) const {
  jinja::Interpreter interpreter(*template_, options.limits, options.now.value_or(std::time(nullptr)));
  try {
    return interpreter.run(context);
  } catch (jinja::TemplateError& error) {
    if (error.is_from_template) return Error{error.code, std::move(error.message)};
    return Error{error.code, fmt::format("chat template, line {}: {}", interpreter.line(), error.message)};
  } catch (const std::bad_alloc&) {
    return Error{Code::kResourceExhausted, fmt::format("chat template, line {}: out of memory", interpreter.line())};
  }
}

const std::string& ChatTemplate::source() const { return template_->source; }

}  // namespace hanlin
