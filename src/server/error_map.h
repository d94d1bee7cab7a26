// Errors on the wire. The only place that knows which HTTP status belongs to which Code.
#pragma once

#include <string>

#include "base/json_fwd.h"
#include "base/result.h"
#include "server/http.h"

namespace hanlin::server {

// kInvalidArgument 400, kCorrupt 400 (of a request: its body), kUnsupported 400, kNotFound 404, kResourceExhausted 429,
// kUnavailable 503, kDeadlineExceeded 504, kCancelled 499 (client gone, only ever logged), kIo and kInternal 500.
int http_status(Code code);
inline constexpr int kClientGone = 499;  // http_status(Code::kCancelled)

// {"error":{"message","type","param","code"}} as OpenAI's clients expect it.
Json error_json(const Error& error);
HttpResponse error_response(const Error& error);

// Failures of HTTP itself, which have no Code: 401, 405, 408, 413, 417, 431 …
HttpResponse http_error_response(int status, const std::string& message, const std::string& code = "");

// What a model says about its answer: a corrupt one is not the client's fault, as kCorrupt of a request is. It becomes kUnavailable.
Error model_error(Error error);

// The error for a model name nobody serves.
Error model_not_found(const std::string& name);

}  // namespace hanlin::server
