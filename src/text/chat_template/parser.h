// Template source to syntax tree.
#pragma once

#include <memory>
#include <string>

#include "text/chat_template/ast.h"

namespace hanlin::jinja {

// Throws TemplateError: kCorrupt with the line number, kUnsupported for tags that need other files.
// Depth of nesting and length of operator chains are bounded, so neither parsing nor rendering nor destroying the tree
// can exhaust the stack.
std::shared_ptr<const Template> parse(std::string source);

}  // namespace hanlin::jinja
