#include "agent/tools/openapi.h"

#include <gtest/gtest.h>

#include "net/test_server.h"


namespace hanlin::agent {
namespace {

const char* environment(const char* name) { return std::string_view(name) == "TOKEN" ? "t0ken" : nullptr; }

// A small document in the manner of the specification's own examples.
Json pet_store(const std::string& server) {
  Json document = parse_json(R"json({
    "openapi": "3.0.3", "info": {"title": "Pets", "version": "1"},
    "x-headers": {"Authorization": "Bearer ${TOKEN}"},
    "paths": {
      "/pets": {
        "get": {"operationId": "listPets", "summary": "Lists pets", "parameters": [
          {"$ref": "#/components/parameters/Limit"},
          {"name": "tags", "in": "query", "explode": false, "schema": {"type": "array", "items": {"type": "string"}}},
          {"name": "X-Trace", "in": "header", "schema": {"type": "string"}}]},
        "post": {"operationId": "create pet!", "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}},
        "delete": {"summary": "no operationId: no tool"}
      },
      "/pets/{petId}": {
        "parameters": [{"name": "petId", "in": "path", "required": true, "description": "Its number", "schema": {"type": "integer", "minimum": 0, "exclusiveMinimum": true}}],
        "get": {"operationId": "getPet"},
        "put": {"operationId": "putPet", "x-permission": "deny", "requestBody": {"content": {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}}}}}}
      },
      "/tree": {"post": {"operationId": "plant", "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Tree"}}}}}}
    },
    "components": {
      "parameters": {"Limit": {"name": "limit", "in": "query", "schema": {"type": "integer", "default": 10, "example": 5}}},
      "schemas": {
        "Pet": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "nullable": true}, "kind": {"$ref": "#/components/schemas/Kind"}}},
        "Kind": {"type": "string", "enum": ["cat", "dog"], "xml": {"name": "kind"}},
        "Tree": {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}}}
      }
    }
  })json").value();
  document["servers"] = Json::array({{{"url", server}, {"variables", {{"version", {{"default", "v1"}}}}}}});
  return document;
}

std::shared_ptr<RunnableTool> find(const std::vector<std::shared_ptr<RunnableTool>>& tools, const std::string& name) {
  for (const auto& tool : tools) {
    if (tool->tool().name == name) return tool;
  }
  return nullptr;
}

TEST(OpenApi, OperationsBecomeTools) {
  net::TestServer server([](const std::string&) { return net::http_ok(R"([{"name":"Tom"}])", "application/json"); });
  const Json document = pet_store(server.base() + "/{version}/");
  const auto tools = openapi_tools(JsonPlace("pets.json", document), {.environment = environment});
  ASSERT_TRUE(tools.ok()) << tools.error().message;
  ASSERT_EQ(tools->size(), 5u);
  const auto list = find(*tools, "listPets"), create = find(*tools, "create_pet_"), get = find(*tools, "getPet"), put = find(*tools, "putPet"), plant = find(*tools, "plant");
  ASSERT_TRUE(list && create && get && put && plant);

  EXPECT_EQ(list->tool().description, "Lists pets");
  EXPECT_EQ(list->tool().parameters_json,
            R"({"type":"object","properties":{"limit":{"type":"integer","default":10},"tags":{"type":"array","items":{"type":"string"}},"X-Trace":{"type":"string"}},"additionalProperties":false})");
  EXPECT_EQ(list->run({{"tags", {"a", "b c"}}, {"X-Trace", "t"}}, {}).value(), R"([{"name":"Tom"}])");
  EXPECT_EQ(server.requests().back().find("GET /v1/pets?tags=a,b%20c&limit=10 HTTP/1.1\r\n"), 0u) << server.requests().back();
  EXPECT_NE(server.requests().back().find("X-Trace: t\r\n"), std::string::npos);
  EXPECT_NE(server.requests().back().find("Authorization: Bearer t0ken\r\n"), std::string::npos);

  EXPECT_EQ(create->tool().parameters_json,
            R"({"type":"object","properties":{"name":{"type":["string","null"]},"kind":{"type":"string","enum":["cat","dog"]}},"required":["name"],"additionalProperties":false})");
  EXPECT_TRUE(create->run({{"name", "Tom"}, {"kind", "cat"}}, {}).ok());
  EXPECT_EQ(server.requests().back().find("POST /v1/pets HTTP/1.1\r\n"), 0u);
  EXPECT_TRUE(server.requests().back().ends_with("\r\n\r\n{\"name\":\"Tom\",\"kind\":\"cat\"}"));

  EXPECT_EQ(get->tool().parameters_json,
            R"({"type":"object","properties":{"petId":{"type":"integer","exclusiveMinimum":0,"description":"Its number"}},"required":["petId"],"additionalProperties":false})");
  EXPECT_TRUE(get->run({{"petId", 7}}, {}).ok());
  EXPECT_EQ(server.requests().back().find("GET /v1/pets/7 HTTP/1.1\r\n"), 0u);

  EXPECT_TRUE(put->run({{"petId", 7}, {"body", {{{"name", "Tom"}}}}}, {}).ok());
  EXPECT_TRUE(server.requests().back().ends_with("\r\n\r\n[{\"name\":\"Tom\"}]"));

  EXPECT_EQ(list->permission(), Permission::kAllow);
  EXPECT_EQ(create->permission(), Permission::kAsk);
  EXPECT_EQ(put->permission(), Permission::kDeny);
}

TEST(OpenApi, RecursiveSchemasKeepTheirDefinition) {
  const Json document = pet_store("https://pets.example/v1");
  const auto tools = openapi_tools(JsonPlace("pets.json", document), {.environment = environment}).value();
  const Json schema = parse_json(find(tools, "plant")->tool().parameters_json).value();
  EXPECT_EQ(dump_json(schema["properties"]["children"]), R"({"type":"array","items":{"$ref":"#/$defs/Tree"}})");
  EXPECT_EQ(dump_json(schema["$defs"]["Tree"]["properties"]["children"]["items"]), R"({"$ref":"#/$defs/Tree"})");
}

TEST(OpenApi, MistakesNameTheirPlace) {
  const auto error = [](const std::string& patch) {
    Json document = pet_store("https://pets.example/v1");
    document.merge_patch(parse_json(patch).value());
    const auto tools = openapi_tools(JsonPlace("p", document), {.environment = environment});
    return tools.ok() ? "no error" : tools.error().message;
  };
  EXPECT_EQ(error(R"({"openapi": "2.0"})"), "p#/openapi: expected version 3, got \"2.0\"");
  EXPECT_EQ(error(R"({"servers": null})"), "p#: expected servers, a list whose first item has the url of the service");
  EXPECT_EQ(error(R"({"servers": [{"url": "/v1"}]})"), "p#/servers/0/url: expected the whole address of a server, such as https://api.example.com/v1, got \"/v1\"");
  EXPECT_EQ(error(R"({"paths": {"/pets/{petId}": null, "/tree": null, "/pets": {"post": null, "get": {"operationId": "x", "parameters": [{"$ref": "#/components/parameters/Gone"}]}}}})"),
            "p#/paths/~1pets/get/parameters/0/$ref: there is nothing at #/components/parameters/Gone");
  EXPECT_EQ(error(R"({"paths": {"/pets/{petId}": {"parameters": null}}})"), "p#/paths/~1pets~1{petId}/get: the path's {petId} is no parameter with \"in\": \"path\"");
  EXPECT_EQ(error(R"({"paths": {"/tree": {"post": {"operationId": "getPet"}}}})"), "p#/paths/~1tree/post/operationId: the name \"getPet\" is there twice");
  EXPECT_EQ(error(R"({"x-headers": {"K": "${GONE}"}})"), "p#/x-headers/K: the environment has no variable GONE");
  EXPECT_EQ(error(R"({"paths": {"/tree": {"post": {"requestBody": {"content": {"application/json": null, "text/xml": {}}}}}}})"),
            "p#/paths/~1tree/post/requestBody/content: Hanlin sends only JSON bodies, and this operation takes none");
  EXPECT_EQ(error(R"({"paths": null})"), "p#: expected paths");
}

}  // namespace
}  // namespace hanlin::agent
