// OpenAPI 3.0 and 3.1 documents as tools.
#pragma once

#include <memory>
#include <vector>

#include "agent/tools/tool_file.h"

namespace hanlin::agent {

// One tool for each operation with an operationId, which becomes its name. Parameters of path, query and header and the
// properties of a JSON body are its arguments; a body that is no plain object, or has a property named like a parameter, is the
// argument "body". The server is the first of the operation's, path's or document's "servers". "x-permission" of an operation
// or of the document is the permission; without it GET and HEAD are allowed and all others ask. "x-headers" of the document
// is sent with every request ("Authorization": "Bearer ${TOKEN}"). Errors as load_tool_file.
Result<std::vector<std::shared_ptr<RunnableTool>>> openapi_tools(const JsonPlace& document, const ToolFileOptions& options);

// `schema` of the document as a JSON Schema of its own: references to other parts of the document are replaced by what they
// mean, recursive ones go to "$defs"; what is OpenAPI's own ("nullable", "example", …) is translated or left out.
// kInvalidArgument: a reference to nothing, or out of the document; kResourceExhausted: it grows without end.
Result<Json> standalone_schema(const JsonPlace& schema, const JsonPlace& document);

// `place`, or what its "$ref" leads to, through further references; inside of the document only. kInvalidArgument.
Result<JsonPlace> follow_reference(JsonPlace place, const JsonPlace& document);

}  // namespace hanlin::agent
