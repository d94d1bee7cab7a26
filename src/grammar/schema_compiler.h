// The whole way from the text of a JSON Schema to rules.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/rules.h"

namespace hanlin::grammar {

struct JsonSchemaOptions {
  bool any_order = false;       // properties in any order; default: as the schema declares them
  bool assert_formats = true;   // `format` must hold where it is known
  int max_whitespace = 16;      // white space characters in a row between the parts of a value; 0: compact JSON only
  bool allow_empty = false;     // a schema without any value is no error, but a grammar that allows nothing
};

// Errors: kInvalidArgument for what is no schema or has no value, kUnsupported for what cannot be enforced exactly.
// `text_costs` as ProgramBuilder's; none: bytes.
Result<Program> compile_schema(std::string_view schema, const JsonSchemaOptions& options,
                               std::function<std::vector<int32_t>(const Dfa&)> text_costs = {});

}  // namespace hanlin::grammar
