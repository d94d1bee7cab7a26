#include "remote/service_error.h"

#include <fmt/format.h>

#include <charconv>

#include "base/json.h"
#include "remote/retry.h"

namespace hanlin::remote {
namespace {

constexpr size_t kMaxMessageBytes = 1000;

// What services put into their error objects; every part may be missing.
struct Said {
  std::string message, param, type, code;
};

std::string said_at(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return {};
  return found->is_string() ? found->get<std::string>() : dump_json(*found);
}

// {"message", "type", "param", "code"}, or only a text.
Said said_in(const Json& error) {
  if (error.is_string()) return {error.get<std::string>(), {}, {}, {}};
  if (!error.is_object()) return {dump_json(error), {}, {}, {}};
  return {said_at(error, "message"), said_at(error, "param"), said_at(error, "type"), said_at(error, "code")};
}

// {"error": …}, FastAPI's {"detail": …}, or an object without a wrapper.
Said said_in_body(const std::string& body) {
  const Result<Json> json = parse_json(body);
  if (!json.ok() || !json->is_object()) return {body, {}, {}, {}};
  for (const char* name : {"error", "detail"}) {
    if (json->contains(name)) return said_in((*json)[name]);
  }
  return json->contains("message") ? said_in(*json) : Said{body, {}, {}, {}};
}

Failure failure(int status, Said said, const std::string& what, const std::string& where, const std::string& key_hint) {
  if (said.message.size() > kMaxMessageBytes) said.message.resize(kMaxMessageBytes);
  std::string message = fmt::format("{}: {}{}{}", where, what, said.message.empty() ? "" : ": ", said.message);
  Failure result{{Code::kUnavailable, {}, said.param}, is_retryable_status(status)};
  switch (status) {
    case 400:
    case 413:
    case 422: result.error.code = Code::kInvalidArgument; break;
    case 401:
    case 403: message += " (" + key_hint + ")"; break;
    case 404: result.error.code = Code::kNotFound; break;
    case 429:
      result.error.code = Code::kResourceExhausted;
      if (said.code == "insufficient_quota") result.may_retry = false;  // waiting does not fill an account
      break;
    default: break;
  }
  result.error.message = std::move(message);
  return result;
}

int status_of_type(const std::string& type) {
  if (type.starts_with("invalid_request") || type == "BadRequestError") return 400;
  if (type == "authentication_error" || type == "permission_error") return 401;
  if (type.starts_with("not_found") || type == "NotFoundError") return 404;
  if (type.starts_with("rate_limit")) return 429;
  return 503;
}

}  // namespace

Failure failure_of_answer(int status, const std::string& body, const std::string& where, const std::string& key_hint) {
  return failure(status, said_in_body(body), fmt::format("HTTP {}", status), where, key_hint);
}

Failure failure_of_event(const Json& error, const std::string& where, const std::string& key_hint) {
  Said said = said_in(error);
  int status = 0;
  const auto [end, failed] = std::from_chars(said.code.data(), said.code.data() + said.code.size(), status);
  if (failed != std::errc() || end != said.code.data() + said.code.size() || status < 400 || status > 599) status = status_of_type(said.type);
  return failure(status, std::move(said), "the service ended the answer with an error", where, key_hint);
}

}  // namespace hanlin::remote
