// The machine-readable description of the API.
#pragma once

#include <string>

namespace hanlin::server {

// OpenAPI 3.1, written from the route table and the schemas below; made once.
const std::string& openapi_text();

// JSON object of component schemas by name: what requests and answers look like.
extern const char* const kOpenapiSchemas;

}  // namespace hanlin::server
