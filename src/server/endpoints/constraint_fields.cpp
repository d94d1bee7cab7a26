// Fields of a request that say what the answer must look like.
#include <utility>

#include "base/json.h"
#include "server/endpoints/request_fields.h"

namespace hanlin::server {
namespace {

using Kind = api::Constraint::Kind;

constexpr size_t kMaxChoiceTexts = 10'000, kMaxTags = 256;

// A schema in a field: an object, true or false; some clients send its text.
void read_schema(JsonFields& fields, const char* param, const Json& schema, api::Constraint& out) {
  if (schema.is_object() || schema.is_boolean()) {
    out.source = dump_json(schema);
  } else if (schema.is_string()) {
    out.source = schema.get<std::string>();
  } else {
    fields.fail(param, "expected a JSON Schema, got " + describe_json(schema));
  }
}

void read_response_format(JsonFields& fields, const Json& format, std::optional<api::Constraint>& out) {
  if (!format.is_object() || !format.contains("type") || !format["type"].is_string()) {
    return fields.fail("response_format", "expected an object with a type, got " + describe_json(format));
  }
  const std::string type = format["type"].get<std::string>();
  if (type == "text") return;
  api::Constraint constraint;
  constraint.param = "response_format";
  if (type == "json_object") {
    constraint.source = R"({"type":"object"})";
    // llama.cpp's way to send a schema.
    if (format.contains("schema")) read_schema(fields, "response_format", format["schema"], constraint);
  } else if (type == "json_schema") {
    const Json* inner = format.contains("json_schema") ? &format["json_schema"] : nullptr;
    if (inner == nullptr || !inner->is_object() || !inner->contains("schema")) {
      return fields.fail("response_format", "expected json_schema to be an object with name and schema");
    }
    read_schema(fields, "response_format", (*inner)["schema"], constraint);
  } else {
    return fields.fail("response_format", "expected the type text, json_object or json_schema, got \"" + type.substr(0, 40) + "\"");
  }
  out = std::move(constraint);
}

// [{"trigger": "<call>", "schema": {…}, "end": "</call>"}]
void read_tags(JsonFields& fields, const Json& list, api::Constraint& out) {
  if (!list.is_array() || list.empty() || list.size() > kMaxTags) {
    return fields.fail("guided_tags", "expected a list of 1 to 256 objects with trigger, schema and perhaps end, got " + describe_json(list));
  }
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = "guided_tags[" + std::to_string(i) + "]";
    if (!list[i].is_object()) return fields.fail(where, "expected an object with trigger, schema and perhaps end, got " + describe_json(list[i]));
    JsonFields tag(list[i], where + ".");
    api::Constraint::Tag& read = out.tags.emplace_back();
    read.trigger = tag.required_text("trigger");
    read.end = tag.text("end");
    if (!tag.ok()) return fields.fail(std::move(tag.status()).error());
    if (!list[i].contains("schema")) return fields.fail(where + ".schema", "expected a JSON Schema");
    const Json& schema = list[i]["schema"];
    if (!schema.is_object() && !schema.is_boolean()) return fields.fail(where + ".schema", "expected a JSON Schema, got " + describe_json(schema));
    read.schema = dump_json(schema);
  }
}

}  // namespace

void read_constraint(JsonFields& fields, api::GenerateRequest* request) {
  std::optional<api::Constraint> found;
  const auto take = [&](const char* param, Kind kind) -> api::Constraint& {
    if (found) fields.fail(param, "expected only one of response_format and the guided fields, got also " + found->param);
    found.emplace();
    found->kind = kind;
    found->param = param;
    return *found;
  };
  if (const Json* format = fields.find("response_format")) read_response_format(fields, *format, found);
  if (const Json* schema = fields.find("guided_json")) read_schema(fields, "guided_json", *schema, take("guided_json", Kind::kJsonSchema));
  if (fields.find("guided_regex")) take("guided_regex", Kind::kRegex).source = fields.text("guided_regex");
  for (const char* param : {"guided_grammar", "grammar"}) {
    if (fields.find(param)) take(param, Kind::kGrammar).source = fields.text(param);
  }
  if (const Json* tags = fields.find("guided_tags")) read_tags(fields, *tags, take("guided_tags", Kind::kTags));
  if (const Json* choices = fields.find("guided_choice")) {
    api::Constraint& constraint = take("guided_choice", Kind::kChoices);
    if (!choices->is_array() || choices->empty() || choices->size() > kMaxChoiceTexts) {
      return fields.fail("guided_choice", "expected a list of 1 to 10000 strings, got " + describe_json(*choices));
    }
    for (const Json& choice : *choices) {
      if (!choice.is_string()) return fields.fail("guided_choice", "expected strings, got " + describe_json(choice));
      constraint.choices.push_back(choice.get<std::string>());
    }
  }
  request->constraint = std::move(found);
}

}  // namespace hanlin::server
