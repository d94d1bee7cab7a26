#include "agent/run/check_arguments.h"

#include <fmt/format.h>

#define VALIJSON_USE_EXCEPTIONS 1  // else it aborts on a schema it cannot read
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "base/json.h"

namespace hanlin::agent {
namespace {

// Without the keywords that are left to the tool, and with $defs as draft 7 calls them by their pointer.
nlohmann::json checkable(const nlohmann::json& schema) {
  if (schema.is_array()) {
    nlohmann::json out = nlohmann::json::array();
    for (const auto& item : schema) out.push_back(checkable(item));
    return out;
  }
  if (!schema.is_object()) return schema;
  nlohmann::json out = nlohmann::json::object();
  for (const auto& [key, value] : schema.items()) {
    if (key == "enum" || key == "const") out[key] = value;
    else if (key == "properties" || key == "$defs" || key == "definitions") {
      // Here the keys are names, not keywords.
      for (const auto& [name, inner] : value.items()) out[key][name] = checkable(inner);
    } else if (key != "pattern" && key != "format" && key != "patternProperties" && key != "$schema" && key != "$id" && key != "id" &&
               !(key == "additionalProperties" && schema.contains("patternProperties"))) {
      out[key] = checkable(value);
    }
  }
  return out;
}

}  // namespace

Status check_arguments(const std::string& schema_json, const Json& arguments) {
  if (schema_json.empty()) return {};
  try {
    const nlohmann::json document = checkable(nlohmann::json::parse(schema_json));
    const nlohmann::json value = nlohmann::json::parse(dump_json(arguments));
    valijson::Schema schema;
    valijson::SchemaParser().populateSchema(valijson::adapters::NlohmannJsonAdapter(document), schema);
    valijson::ValidationResults results;
    valijson::Validator validator;
    if (validator.validate(schema, valijson::adapters::NlohmannJsonAdapter(value), &results)) return {};
    std::string where = "arguments", why = "they do not follow the schema";
    if (valijson::ValidationResults::Error error; results.popError(error)) {
      for (size_t i = 1; i < error.context.size(); ++i) where += error.context[i];
      why = error.description;
    }
    return Error{Code::kInvalidArgument, fmt::format("{}: {}; expected: {}", where, why, schema_json)};
  } catch (const std::exception&) {
    return {};  // of the library, about a schema it cannot read
  }
}

}  // namespace hanlin::agent
