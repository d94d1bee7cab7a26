// What the refusals of OpenAI-compatible services mean here.
#pragma once

#include <string>

#include "base/json_fwd.h"
#include "base/result.h"

namespace hanlin::remote {

// A failure, and whether the same request may succeed later.
struct Failure {
  Error error;
  bool may_retry = false;
};

// An answer with another status than 200. `where` begins the message; `key_hint` says where the key comes from, never the key.
// 400, 413, 422 → kInvalidArgument with the service's message and param; 401, 403 → kUnavailable; 404 → kNotFound;
// 429 → kResourceExhausted; everything else → kUnavailable.
Failure failure_of_answer(int status, const std::string& body, const std::string& where, const std::string& key_hint);

// The value of "error" in a stream that began with 200: by its code where that is a status, else by its type.
Failure failure_of_event(const Json& error, const std::string& where, const std::string& key_hint);

}  // namespace hanlin::remote
