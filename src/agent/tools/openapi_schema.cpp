// Schemas of OpenAPI documents as schemas of their own.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "agent/tools/openapi.h"

namespace hanlin::agent {
namespace {

constexpr size_t kMaxNodes = 100000, kMaxDepth = 60;

// Rewrites a schema so that it stands alone.
class SchemaResolver {
 public:
  explicit SchemaResolver(const JsonPlace& document) : document_(document) {}

  Result<Json> resolve(const JsonPlace& schema) {
    HANLIN_ASSIGN(Json root, rewrite(schema, 0));
    for (std::string name; !(name = next_recursive()).empty();) {
      open_ = {name};
      const Json reference{{"$ref", name}};
      const JsonPlace place(schema.where(), reference);
      HANLIN_ASSIGN(const JsonPlace target, follow_reference(place, document_));
      HANLIN_ASSIGN(definitions_[key_of(name)], rewrite(target, 0));
    }
    if (!definitions_.empty()) root["$defs"] = definitions_;
    return root;
  }

 private:
  static std::string key_of(const std::string& ref) { return ref.substr(ref.rfind('/') + 1); }
  std::string next_recursive() const {
    for (const std::string& name : recursive_) {
      if (!definitions_.contains(key_of(name))) return name;
    }
    return "";
  }

  Result<Json> rewrite(const JsonPlace& place, size_t depth) {
    if (++n_nodes_ > kMaxNodes || depth > kMaxDepth) return Error{Code::kResourceExhausted, place.where() + ": the schema grows too large when its references are resolved"};
    if (!place.value().is_object()) return place.value();
    if (place.has("$ref")) {
      HANLIN_ASSIGN(const std::string ref, place.at("$ref").text());
      if (std::find(open_.begin(), open_.end(), ref) != open_.end()) {
        recursive_.insert(ref);
        return Json{{"$ref", "#/$defs/" + key_of(ref)}};
      }
      HANLIN_ASSIGN(const JsonPlace target, follow_one(place));
      open_.push_back(ref);
      auto resolved = rewrite(target, depth + 1);
      open_.pop_back();
      return resolved;
    }
    return rewrite_object(place, depth);
  }
  Result<JsonPlace> follow_one(const JsonPlace& place) const { return follow_reference(place, document_); }

  // Only what JSON Schema knows; the rest is for readers of the document.
  Result<Json> rewrite_object(const JsonPlace& place, size_t depth) {
    Json result = Json::object();
    for (const auto& [key, value] : place.value().items()) {
      static const std::set<std::string, std::less<>> kDropped = {"example",      "examples", "xml",       "discriminator", "externalDocs",
                                                                  "deprecated",   "readOnly", "writeOnly", "nullable",      "$schema"};
      static const std::set<std::string, std::less<>> kSchemas = {"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"};
      static const std::set<std::string, std::less<>> kLists = {"allOf", "anyOf", "oneOf", "prefixItems"};
      static const std::set<std::string, std::less<>> kMaps = {"properties", "patternProperties", "dependentSchemas"};
      if (kDropped.contains(key) || key.starts_with("x-")) continue;
      if (kSchemas.contains(key)) {
        HANLIN_ASSIGN(result[key], rewrite(place.at(key), depth + 1));
      } else if (kLists.contains(key) && value.is_array()) {
        result[key] = Json::array();
        for (size_t i = 0; i < value.size(); ++i) {
          HANLIN_ASSIGN(Json item, rewrite(place.at(key).at(i), depth + 1));
          result[key].push_back(std::move(item));
        }
      } else if (kMaps.contains(key) && value.is_object()) {
        result[key] = Json::object();
        for (const auto& [name, property] : value.items()) {
          HANLIN_ASSIGN(result[key][name], rewrite(place.at(key).at(name), depth + 1));
        }
      } else {
        result[key] = value;
      }
    }
    translate_3_0(place.value(), &result);
    return result;
  }

  // OpenAPI 3.0 writes these in its own way.
  static void translate_3_0(const Json& original, Json* schema) {
    for (const auto& [exclusive, bound] : {std::pair{"exclusiveMinimum", "minimum"}, {"exclusiveMaximum", "maximum"}}) {
      if (!schema->contains(exclusive) || !(*schema)[exclusive].is_boolean()) continue;
      const bool is_exclusive = (*schema)[exclusive].get<bool>();
      schema->erase(exclusive);
      if (!is_exclusive || !schema->contains(bound)) continue;
      (*schema)[exclusive] = (*schema)[bound];
      schema->erase(bound);
    }
    if (original.value("nullable", Json()) != true || !schema->contains("type")) return;
    if ((*schema)["type"].is_string()) (*schema)["type"] = Json::array({(*schema)["type"], "null"});
    if (schema->contains("enum") && (*schema)["enum"].is_array()) (*schema)["enum"].push_back(nullptr);
  }

  const JsonPlace& document_;
  std::vector<std::string> open_;  // references that are being resolved
  std::set<std::string> recursive_;
  Json definitions_ = Json::object();
  size_t n_nodes_ = 0;
};

}  // namespace

Result<JsonPlace> follow_reference(JsonPlace place, const JsonPlace& document) {
  for (int n_steps = 0; place.has("$ref"); ++n_steps) {
    HANLIN_ASSIGN(const std::string ref, place.at("$ref").text());
    if (!ref.starts_with("#/") || n_steps == 20) return place.at("$ref").mismatch("a reference into this document, such as #/components/schemas/Name");
    JsonPlace target = document;
    for (size_t at = 2; at <= ref.size();) {
      const size_t end = std::min(ref.find('/', at), ref.size());
      std::string key;
      for (size_t i = at; i < end; ++i) {
        const bool escaped = ref[i] == '~' && i + 1 < end;
        key += escaped ? (ref[++i] == '1' ? '/' : '~') : ref[i];
      }
      if (!target.has(key)) return place.at("$ref").mistake("there is nothing at " + ref);
      target = target.at(key);
      at = end + 1;
    }
    place = target;
  }
  return place;
}

Result<Json> standalone_schema(const JsonPlace& schema, const JsonPlace& document) { return SchemaResolver(document).resolve(schema); }

}  // namespace hanlin::agent
