// Requests in the words of OpenAI's API.
#pragma once

#include <string>

#include "api/generate.h"
#include "base/json_fwd.h"
#include "remote/options.h"

namespace hanlin::remote {

struct RequestBody {
  std::string path;  // "/chat/completions" or "/completions"
  std::string json;
};

// A streamed request that asks for its usage. Fields that OpenAI does not know are written only where they differ from their
// defaults. A constraint of the kind kCalls is left out: the service holds calls to their schemas itself. Errors:
// kUnsupported with param for what no service of this kind can be asked for: other constraints than JSON Schema,
// prompt_logprobs, an answer that is already begun.
Result<RequestBody> request_body(const api::GenerateRequest& request, const RemoteOptions& options);

// Messages in OpenAI's shape: calls and results without ids get some, the old role "function" becomes "tool".
Json messages_json(const std::vector<api::Message>& messages);

}  // namespace hanlin::remote
