#include "grammar/schema_compiler.h"

#include <string>
#include <utility>

#include "base/json.h"
#include "grammar/formula.h"
#include "grammar/program_builder.h"
#include "grammar/schema_reader.h"

namespace hanlin::grammar {
namespace {

constexpr size_t kMaxSchemaBytes = 1 << 20;
constexpr int kMaxSchemaDepth = 100;

}  // namespace

Result<Program> compile_schema(std::string_view text, const JsonSchemaOptions& options, std::function<std::vector<int32_t>(const Dfa&)> text_costs) {
  if (text.size() > kMaxSchemaBytes) return Error{Code::kUnsupported, "JSON Schema: larger than 1 MiB"};
  Result<Json> document = parse_json(text, kMaxSchemaDepth);
  if (!document.ok()) return Error{Code::kInvalidArgument, "JSON Schema: " + document.error().message};
  if (!document->is_object() && !document->is_boolean()) {
    return Error{Code::kInvalidArgument, std::string("JSON Schema at '': expected an object or a boolean, got ") + document->type_name()};
  }
  if (!text_costs) text_costs = [](const Dfa& dfa) { return costs_to_accept(dfa, -1, cheapest_json_bytes); };
  FormulaStore store;
  SchemaReader reader(*document, store, options.assert_formats);
  HANLIN_ASSIGN(Program program, ProgramBuilder(store, reader, options.any_order, std::move(text_costs)).build(reader.root()));
  if (program.specs[static_cast<size_t>(program.root)].cost >= kInfinite && !options.allow_empty) {
    return Error{Code::kInvalidArgument, "JSON Schema at '': no value is valid, the conditions contradict each other"};
  }
  return program;
}

}  // namespace hanlin::grammar
